from __future__ import annotations

import numpy as np

from opensearch_multimodal.fusion.normalization import min_max

MISSING = -np.inf


def test_min_max():
    expected = [(4 - 1) / (5 - 1), 0.001, 1.0, (2 - 1) / (5 - 1)]
    np.testing.assert_allclose(min_max(np.array([4.0, 1.0, 5.0, 2.0])), expected)


def test_a_candidate_without_score_is_below_the_lowest():
    np.testing.assert_allclose(min_max(np.array([4.0, MISSING, 1.0])), [1.0, 0.0, 0.001])


def test_equal_scores_are_one():
    np.testing.assert_array_equal(min_max(np.array([-2.0, -2.0, MISSING])), [1.0, 1.0, 0.0])
