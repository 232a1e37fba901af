from __future__ import annotations

import numpy as np

from opensearch_multimodal.fusion.combination import harmonic_mean


def test_harmonic_mean():
    values, weights = np.array([[0.9, 0.5], [0.4, 0.2]]), np.array([[1.0, 3.0], [1.0, 1.0]])
    before = values.copy()
    expected = [2 / (1 / 0.9 + 1 / 0.4), (3 + 1) / (3 / 0.5 + 1 / 0.2)]
    np.testing.assert_allclose(harmonic_mean(values, weights), expected)
    np.testing.assert_array_equal(values, before)


def test_a_zero_makes_it_zero_and_what_has_no_weight_is_left_out():
    values = np.array([[0.9, 0.9, 0.9, -0.1], [0.0, 0.0, 0.4, 0.5]])
    weights = np.array([[1.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]])
    np.testing.assert_allclose(harmonic_mean(values, weights), [0, 0.9, 0, 0])
