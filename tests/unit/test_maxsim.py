from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from opensearch_multimodal import wire
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.maxsim import Stacked, maxsim, stack

GOLDEN = json.loads(
    (Path(__file__).parents[1] / "golden" / "maxsim" / "scores.json").read_text(encoding="utf-8")
)


def unit(generator, *shape):
    rows = generator.standard_normal(shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def by_hand(query, candidates):
    return [sum(max(float(row @ other) for other in rows) for row in query) for rows in candidates]


def test_score_is_the_sum_of_maxima():
    query = [[1.0, 0.0], [0.6, 0.8]]
    near = [[1.0, 0.0], [0.0, 1.0]]
    far = [[-1.0, 0.0]]
    scores = maxsim(query, [near, far])
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [1.0 + 0.8, -1.0 + -0.6], rtol=1e-6)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_golden_scores_are_met(case):
    query = wire.unpack(base64.b64decode(case["query"]))
    candidates = [wire.unpack(base64.b64decode(candidate["message"])) for candidate in case["candidates"]]
    expected = [candidate["score"] for candidate in case["candidates"]]
    np.testing.assert_allclose(maxsim(query, candidates), expected, rtol=1e-4, atol=1e-6)


def test_arrays_are_scored_where_they_lie_whatever_their_strides():
    generator = np.random.default_rng(2)
    query = unit(generator, 3, 6)
    candidates = [unit(generator, 8, 6)[::2], np.asfortranarray(unit(generator, 5, 6)), unit(generator, 1, 6)]
    expected = by_hand(query, candidates)
    np.testing.assert_allclose(maxsim(query, candidates), expected, atol=1e-6)
    as_numbers = [rows.astype(np.float64) for rows in candidates]
    np.testing.assert_allclose(maxsim(query, as_numbers), expected, atol=1e-6)


@pytest.mark.parametrize("wrong", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("component", [0, 1])
def test_a_component_that_is_not_finite_is_found_wherever_it_hides(wrong, component):
    # Where the query's component is 0 or the similarity −∞, no maximum would show it.
    query = np.array([[1.0, 0.0]], dtype=np.float32)
    rows = np.array([[0.5, 0.5], [0.6, 0.6]], dtype=np.float32)
    rows[1, component] = wrong
    with pytest.raises(InvalidInput, match=rf"candidate 1: component \(1, {component}\) is"):
        maxsim(query, [np.ones((3, 2), dtype=np.float32), rows])


@pytest.mark.parametrize("lengths", [[4, 4, 4], [1, 7, 3]], ids=["equal", "ragged"])
def test_every_form_of_the_candidates_gives_the_same_scores(lengths):
    generator = np.random.default_rng(1)
    query = unit(generator, 5, 8)
    candidates = [unit(generator, length, 8) for length in lengths]
    padded = np.full((3, max(lengths), 8), np.nan, dtype=np.float32)
    for rows, part in zip(padded, candidates, strict=True):
        rows[: len(part)] = part
    before = [rows.copy() for rows in candidates]
    expected = by_hand(query, candidates)
    np.testing.assert_allclose(maxsim(query, candidates), expected, atol=1e-5)
    np.testing.assert_allclose(maxsim(query, stack(candidates)), expected, atol=1e-5)
    np.testing.assert_allclose(maxsim(query, padded, lengths=lengths), expected, atol=1e-5)
    for rows, copy in zip(candidates, before, strict=True):
        np.testing.assert_array_equal(rows, copy)


def test_padding_never_wins_against_negative_similarities():
    padded = np.array([[[-0.5, 0.0], [0.0, 0.0]]], dtype=np.float32)
    np.testing.assert_array_equal(maxsim([[1.0, 0.0]], padded, lengths=[1]), [-0.5])
    np.testing.assert_array_equal(maxsim([[1.0, 0.0]], padded), [0.0])


def test_no_candidates_give_no_scores():
    assert maxsim([[1.0, 0.0]], []).shape == (0,)
    assert maxsim([[1.0, 0.0]], stack([])).shape == (0,)


def test_stack_keeps_rows_in_order():
    stacked = stack([[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]])
    assert len(stacked) == 2
    assert stacked.dimension == 2
    assert stacked.offsets.tolist() == [0, 1, 1 + 2]
    assert stacked.lengths.tolist() == [1, 2]
    np.testing.assert_array_equal(stacked.rows, [[1, 2], [3, 4], [5, 6]])


@pytest.mark.parametrize(
    ("candidates", "lengths", "message"),
    [
        ([np.zeros((1, 3))], None, "query: dimension 2, but the candidates have 3"),
        ([np.zeros((1, 2)), np.zeros((1, 3))], None, "candidate 1: dimension 3, but 2 is required"),
        ([np.zeros((1, 2)), np.zeros((0, 2))], None, "candidate 1: a multi-vector needs at least 1 row"),
        (np.zeros((2, 0, 2)), None, "candidate 0: a multi-vector needs at least 1 row"),
        ([[[1.0, np.nan]]], None, r"candidate 0: component \(0, 1\) is nan"),
        (np.zeros((1, 2)), None, r"candidate 0: expected a multi-vector of shape \(n, d\), got shape \(2,\)"),
        (np.zeros((2, 3, 2)), [3], r"lengths: expected 2 whole numbers, one per candidate, got shape \(1,\)"),
        (np.zeros((2, 3, 2)), [1.0, 2.0], "whole numbers, one per candidate, .* of float64"),
        (np.zeros((2, 3, 2)), [3, 4], "candidate 1 has 3 rows, got length 4"),
        (np.zeros((2, 3, 2)), [0, 3], "candidate 0 has 3 rows, got length 0"),
        (Stacked(np.zeros((2, 2), np.float32), np.array([0, 2])), [2], "stacked candidates hold no padding"),
    ],
)
def test_refusals(candidates, lengths, message):
    with pytest.raises(InvalidInput, match=message):
        maxsim([[1.0, 0.0]], candidates, lengths=lengths)


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([0, 3], "from 0 to the number of rows, 4"),
        ([1, 4], "from 0 to"),
        ([0, 2, 2, 4], "candidate 1 has no rows"),
    ],
)
def test_stacked_refuses_offsets_that_do_not_fit(offsets, message):
    with pytest.raises(InvalidInput, match=message):
        Stacked(np.zeros((4, 2), dtype=np.float32), np.array(offsets))
