from __future__ import annotations

import numpy as np

from opensearch_multimodal.fusion.normalization import collection

MISSING = -np.inf


def test_each_candidate_is_measured_by_its_own_modality():
    scores, means, deviations = np.array([0.9, 0.3]), np.array([0.8, 0.2]), np.array([0.05, 0.1])
    before = scores.copy(), means.copy(), deviations.copy()
    expected = [(0.9 - 0.8) / 0.05, (0.3 - 0.2) / 0.1]
    np.testing.assert_allclose(collection(scores, means, deviations), expected)
    for now, then in zip((scores, means, deviations), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_equal_scores_are_not_made_equal_to_those_of_other_queries():
    np.testing.assert_allclose(
        collection(np.array([3.0, 3.0]), np.full(2, 1.0), np.full(2, 4.0)), [(3 - 1) / 4] * 2
    )


def test_a_candidate_without_score_gets_the_lowest():
    normalized = collection(np.array([3.0, MISSING, 0.0]), np.full(3, 1.0), np.full(3, 4.0))
    np.testing.assert_allclose(normalized, [(3 - 1) / 4, (0 - 1) / 4, (0 - 1) / 4])
    np.testing.assert_array_equal(collection(np.array([MISSING]), np.ones(1), np.ones(1)), [0.0])
