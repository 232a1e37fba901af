from __future__ import annotations

import numpy as np

from opensearch_multimodal.fusion.combination import rrf

MISSING = -np.inf


def test_rrf():
    scores = np.array([[9.0, 5.0, 7.0], [0.1, 0.3, 0.2]])
    before = scores.copy()
    expected = [1 / (60 + 1) + 1 / (60 + 3), 1 / (60 + 3) + 1 / (60 + 1), 1 / (60 + 2) + 1 / (60 + 2)]
    np.testing.assert_allclose(rrf(scores, np.ones(2), 60), expected)
    np.testing.assert_array_equal(scores, before)


def test_weights_are_not_normalized():
    np.testing.assert_allclose(rrf(np.array([[2.0, 1.0]]), np.array([3.0]), 1), [3 / (1 + 1), 3 / (1 + 2)])


def test_equal_scores_share_the_better_rank():
    fused = rrf(np.array([[0.0, 5.0, 0.0, -1.0]]), np.ones(1), 60)
    np.testing.assert_allclose(fused, [1 / (60 + 2), 1 / (60 + 1), 1 / (60 + 2), 1 / (60 + 4)])


def test_without_a_score_there_is_nothing():
    np.testing.assert_allclose(rrf(np.array([[MISSING, 5.0]]), np.ones(1), 60), [0.0, 1 / (60 + 1)])
