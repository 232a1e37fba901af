from __future__ import annotations

import numpy as np

from opensearch_multimodal.fusion.combination import geometric_mean


def test_geometric_mean():
    values, weights = np.array([[0.9, 0.5], [0.4, 0.2]]), np.array([[1.0, 3.0], [1.0, 1.0]])
    before = values.copy()
    expected = [(0.9 * 0.4) ** (1 / 2), (0.5**3 * 0.2) ** (1 / 4)]
    np.testing.assert_allclose(geometric_mean(values, weights), expected)
    np.testing.assert_array_equal(values, before)


def test_a_zero_makes_it_zero_and_what_has_no_weight_is_left_out():
    values = np.array([[0.9, 0.9, 0.9, -0.1], [0.0, 0.0, 0.4, 0.5]])
    weights = np.array([[1.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]])
    np.testing.assert_allclose(geometric_mean(values, weights), [0, 0.9, 0, 0])
