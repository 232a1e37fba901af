from __future__ import annotations

import numpy as np

from opensearch_multimodal.fusion.normalization import rank

MISSING = -np.inf


def test_rank():
    expected = [1 - (2 - 1) / 4, 1 - (4 - 1) / 4, 1 - (1 - 1) / 4, 1 - (3 - 1) / 4]
    np.testing.assert_allclose(rank(np.array([0.4, -7.0, 90.0, 0.3])), expected)


def test_equal_scores_share_the_better_rank():
    np.testing.assert_allclose(rank(np.array([5.0, 5.0, 1.0])), [1, 1, 1 - (3 - 1) / 3])


def test_a_candidate_without_score_is_zero_and_does_not_count():
    np.testing.assert_allclose(rank(np.array([5.0, MISSING, 1.0])), [1, 0, 1 - (2 - 1) / 2])
