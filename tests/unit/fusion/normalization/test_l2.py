from __future__ import annotations

import math

import numpy as np

from opensearch_multimodal.fusion.normalization import l2

MISSING = -np.inf


def test_l2():
    length = math.sqrt(4**2 + 1**2 + 2**2)
    np.testing.assert_allclose(l2(np.array([4.0, 1.0, 2.0])), [4 / length, 1 / length, 2 / length])


def test_a_candidate_without_score_is_zero_or_the_lowest():
    np.testing.assert_allclose(l2(np.array([3.0, MISSING, 4.0])), [3 / 5, 0, 4 / 5])
    np.testing.assert_allclose(l2(np.array([-3.0, MISSING, 4.0])), [-3 / 5, -3 / 5, 4 / 5])


def test_zeros_stay_zero():
    np.testing.assert_array_equal(l2(np.array([0.0, MISSING, 0.0])), [0.0, 0.0, 0.0])


def test_squares_neither_overflow_nor_vanish():
    np.testing.assert_allclose(l2(np.array([3e200, 4e200])), [3 / 5, 4 / 5])
    np.testing.assert_allclose(l2(np.array([3e-200, 4e-200])), [3 / 5, 4 / 5])
