from __future__ import annotations

import math

import numpy as np
import pytest

from opensearch_multimodal.fusion.normalization import NORMALIZATIONS, min_max, softmax, z_score

MISSING = -np.inf


@pytest.mark.parametrize("normalize", NORMALIZATIONS.values(), ids=NORMALIZATIONS)
@pytest.mark.parametrize("scores", [[], [3.0], [2.0, 2.0], [5.0, MISSING, 1.0], [MISSING, MISSING]])
def test_results_are_finite_keep_the_order_and_leave_the_input(normalize, scores):
    scores = np.array(scores)
    before = scores.copy()
    normalized = normalize(scores)
    assert normalized.shape == scores.shape
    assert np.isfinite(normalized).all()
    ahead = scores[:, None] > scores
    assert (normalized[:, None] >= normalized)[ahead].all()
    np.testing.assert_array_equal(scores, before)


@pytest.mark.parametrize("normalize", NORMALIZATIONS.values(), ids=NORMALIZATIONS)
def test_scale_and_offset_do_not_matter(normalize):
    scores = np.array([4.0, 1.0, MISSING, 2.5])
    np.testing.assert_allclose(normalize(scores), normalize(10 * scores - 3), atol=1e-12)


def test_min_max():
    expected = [(4 - 1) / (5 - 1), 0.001, 1.0, (2 - 1) / (5 - 1)]
    np.testing.assert_allclose(min_max(np.array([4.0, 1.0, 5.0, 2.0])), expected)


def test_min_max_puts_a_candidate_without_score_below_the_lowest():
    np.testing.assert_allclose(min_max(np.array([4.0, MISSING, 1.0])), [1.0, 0.0, 0.001])


def test_min_max_of_equal_scores_is_one():
    np.testing.assert_array_equal(min_max(np.array([-2.0, -2.0, MISSING])), [1.0, 1.0, 0.0])


def test_z_score():
    mean, deviation = (4 + 1 + 1) / 3, math.sqrt(((4 - 2) ** 2 + (1 - 2) ** 2 + (1 - 2) ** 2) / (3 - 1))
    expected = [(4 - mean) / deviation, (1 - mean) / deviation, (1 - mean) / deviation]
    np.testing.assert_allclose(z_score(np.array([4.0, 1.0, 1.0])), expected)


def test_z_score_gives_a_candidate_without_score_the_lowest():
    normalized = z_score(np.array([4.0, MISSING, 1.0]))
    np.testing.assert_allclose(
        normalized, [1.5 / math.sqrt(4.5), -1.5 / math.sqrt(4.5), -1.5 / math.sqrt(4.5)]
    )


def test_z_score_of_equal_scores_is_zero():
    np.testing.assert_array_equal(z_score(np.array([0.1 + 0.2] * 3 + [MISSING])), [0.0] * 4)


def test_softmax():
    powers = [math.exp(1 / 1.0), math.exp(-1 / 1.0)]
    np.testing.assert_allclose(softmax(np.array([7.0, 5.0])), [power / sum(powers) for power in powers])


def test_softmax_shares_only_among_the_scored():
    np.testing.assert_allclose(softmax(np.array([2.0, MISSING, 2.0])), [1 / 2, 0, 1 / 2])
    np.testing.assert_array_equal(softmax(np.array([MISSING])), [0.0])
    assert softmax(np.array([1e4, -1e4, 3.0])).sum() == pytest.approx(1)
