from __future__ import annotations

import math

import numpy as np

from opensearch_multimodal.fusion.normalization import z_score

MISSING = -np.inf


def test_z_score():
    mean, deviation = (4 + 1 + 1) / 3, math.sqrt(((4 - 2) ** 2 + (1 - 2) ** 2 + (1 - 2) ** 2) / (3 - 1))
    expected = [(4 - mean) / deviation, (1 - mean) / deviation, (1 - mean) / deviation]
    np.testing.assert_allclose(z_score(np.array([4.0, 1.0, 1.0])), expected)


def test_a_candidate_without_score_gets_the_lowest():
    normalized = z_score(np.array([4.0, MISSING, 1.0]))
    np.testing.assert_allclose(
        normalized, [1.5 / math.sqrt(4.5), -1.5 / math.sqrt(4.5), -1.5 / math.sqrt(4.5)]
    )


def test_equal_scores_are_zero():
    np.testing.assert_array_equal(z_score(np.array([0.1 + 0.2] * 3 + [MISSING])), [0.0] * 4)
