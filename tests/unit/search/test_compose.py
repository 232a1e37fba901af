"""Composed questions: hand-computed sums, what is exact for MaxSim, and what is refused."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.maxsim import maxsim, stack
from opensearch_multimodal.search import Request
from opensearch_multimodal.search.compose import MAX_PARTS, parse_parts, words_of
from opensearch_multimodal.search.composition import compose_multi_vectors, compose_vectors
from opensearch_multimodal.search.first_stage import bm25_clause
from opensearch_multimodal.search.scoring import FieldVectors


def vector(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def rows(count: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((count, 8)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def png() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_single_vectors_are_summed_by_weight_and_brought_to_unit_length() -> None:
    composed = compose_vectors("dense", [vector(1, 0), None, vector(0, 1)], [3.0, 9.0, -4.0])
    assert composed.vector == pytest.approx([3 / 5, -4 / 5])
    assert composed.told == (
        {"cosine": pytest.approx(3 / 5)},
        None,
        {"cosine": pytest.approx(-4 / 5)},
    )
    assert composed.subtracted is None


def test_a_prompt_direction_is_image_plus_weighted_difference_of_texts() -> None:
    image, target, source = rows(3, 1)
    weight = 0.7
    composed = compose_vectors("dense", [image, target, source], [1.0, weight, -weight])
    expected = image + weight * (target - source)
    assert composed.vector == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)


def test_parts_that_cancel_out_are_refused() -> None:
    with pytest.raises(InvalidInput, match="field 'dense' the parts cancel each other out"):
        compose_vectors("dense", [vector(1, 0), vector(1, 0)], [1.0, -1.0])


def test_maxsim_of_a_composition_is_the_weighted_sum_of_the_parts() -> None:
    parts, weights = [rows(3, 1), rows(5, 2), rows(2, 3)], [1.0, 0.5, -0.4]
    before = [part.copy() for part in parts]
    records = [rows(count, 10 + count) for count in (4, 7, 1)]
    composed = compose_multi_vectors(parts, weights)
    size = ((3 + 5) / 2) / (1.0 + 0.5)
    positions = {("x", f"r{i}"): i for i in range(3)}
    stored = FieldVectors.compared(positions, stack(records), composed.vector)
    scores = list(stored.scores(composed.subtracted).values())
    for score, record in zip(scores, records, strict=True):
        by_part = [float((part @ record.T).max(axis=1).mean()) for part in parts]
        expected = sum(weight * value for weight, value in zip(weights, by_part, strict=True))
        assert score == pytest.approx(size * expected, abs=1e-5)
    assert composed.told[2] == {"rows": 2, "scale": pytest.approx(-0.4 * size / 2)}
    assert all(np.array_equal(part, copy) for part, copy in zip(parts, before, strict=True))


def test_negative_rows_below_the_others_would_score_something_else() -> None:
    """Why negative parts are kept apart: −max over a record's rows is not the max of the negated rows."""
    wanted, unwanted, record = vector(1, 0)[None], vector(0, 1)[None], np.stack([vector(0, 1), vector(0, -1)])
    wrong = maxsim(np.concatenate([wanted, -unwanted]), stack([record]))
    composed = compose_multi_vectors([wanted, unwanted], [1.0, -1.0])
    assert wrong == pytest.approx([0 + 1])
    stored = FieldVectors.compared({("x", "r"): 0}, stack([record]), composed.vector)
    right = stored.scores(composed.subtracted)
    assert right == {("x", "r"): pytest.approx(0 - 1)}


@pytest.mark.parametrize("weight", [0.2, 1.0, 7.0])
def test_one_part_is_the_query_that_it_is_alone(weight: float) -> None:
    query = rows(4, 5)
    assert compose_multi_vectors([query], [weight]).vector == pytest.approx(query)
    assert compose_vectors("dense", [query[0]], [weight]).vector == pytest.approx(query[0], abs=1e-6)


def test_bm25_adds_the_positive_texts_by_weight() -> None:
    parts = parse_parts(
        [{"text": "red sofa"}, {"text": "leather", "weight": 0.5}, {"text": "old", "weight": -1}]
    )
    assert words_of(parts) == (("red sofa", 1.0), ("leather", 0.5))
    assert bm25_clause("text", words_of(parts) or "", None) == {
        "bool": {
            "should": [
                {"match": {"text": {"query": "red sofa", "boost": 1.0}}},
                {"match": {"text": {"query": "leather", "boost": 0.5}}},
            ]
        }
    }
    assert words_of(parse_parts([{"image": png()}])) is None


def test_words_of_many_parts_stay_within_what_the_cluster_takes() -> None:
    texts = tuple((" ".join(f"w{i}x{j}" for j in range(500)), 1.0) for i in range(4))
    clause = bm25_clause("text", texts, {"term": {"page": 1}})
    [composed] = clause["bool"]["must"]
    assert [len(one["match"]["text"]["query"].split()) for one in composed["bool"]["should"]] == [250] * 4


def test_the_question_itself_is_a_part_of_weight_one() -> None:
    request = Request(
        "sofa", Image.new("RGB", (2, 2)), overrides={"compose": [{"text": "red", "weight": -2}]}
    )
    request.check()
    assert [(part.shown(), part.weight) for part in request.parts()] == [
        ("image, 2 × 2", 1.0),
        ("sofa", 1.0),
        ("red", -2.0),
    ]
    assert Request("sofa", overrides={"refine": None}).parts() == ()


def test_parts_alone_are_a_question() -> None:
    request = Request(overrides={"compose": [{"image": png(), "weight": 0.5}]})
    request.check()
    assert [part.input for part in request.parts()] == ["image"]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], r"compose: expected a list of parts, got an empty list"),
        ({"text": "a"}, r"compose: expected a list of parts, got dict"),
        (["a"], r"compose\[0\]: expected an object with 'text' or 'image'"),
        ([{"text": "a"}] * (MAX_PARTS + 1), rf"compose: {MAX_PARTS + 1} parts, the limit is {MAX_PARTS}"),
        ([{"text": "a"}, {"weight": 1}], r"compose\[1\]: give 'text' or 'image', one of them"),
        ([{"text": "a", "image": "b"}], r"compose\[0\]: give 'text' or 'image', one of them"),
        ([{"text": "a", "wait": 1}], r"compose\[0\]: unknown key 'wait'"),
        ([{"text": " "}], r"compose\[0\]\.text: expected words"),
        ([{"text": "a\ud800"}], r"compose\[0\]\.text: is not valid Unicode"),
        ([{"text": "a", "weight": 10**400}], r"compose\[0\]\.weight: an integer is 0 or outside −100–100"),
        ([{"text": "a", "weight": float("nan")}], r"compose\[0\]\.weight: nan is 0 or outside"),
        ([{"text": "a", "weight": 0}], r"compose\[0\]\.weight: 0 is 0 or outside −100–100"),
        ([{"text": "a", "weight": float("nan")}], r"compose\[0\]\.weight: nan"),
        ([{"text": "a", "weight": True}], r"compose\[0\]\.weight: expected a number, got bool"),
        ([{"image": "??"}], r"compose\[0\]\.image: not base64"),
        ([{"image": "AAAA"}], r"compose\[0\]\.image: .*not a JPEG, PNG"),
        ([{"image": Image.new("L", (1, 1))}] * 5, r"compose: 5 images, the limit is 4"),
        ([{"text": "a", "weight": -1}], r"compose: every part is negative"),
        ([{"text": "a" * 6000}, {"text": "b" * 6000}], r"compose: 12000 characters in all parts"),
    ],
)
def test_bad_parts_are_refused(parts: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Request(overrides={"compose": parts}).parts()
