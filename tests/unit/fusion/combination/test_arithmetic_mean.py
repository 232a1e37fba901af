from __future__ import annotations

import numpy as np

from opensearch_multimodal.fusion.combination import arithmetic_mean


def test_arithmetic_mean():
    values, weights = np.array([[1.0, 0.5], [0.2, 0.4]]), np.array([[3.0, 3.0], [1.0, 1.0]])
    before = values.copy(), weights.copy()
    combined = arithmetic_mean(values, weights)
    np.testing.assert_allclose(combined, [(3 * 1.0 + 0.2) / (3 + 1), (3 * 0.5 + 0.4) / (3 + 1)])
    np.testing.assert_array_equal(values, before[0])
    np.testing.assert_array_equal(weights, before[1])


def test_what_has_no_weight_is_left_out_of_the_mean():
    values, weights = np.array([[0.8, 0.8], [0.2, 0.2]]), np.array([[3.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(arithmetic_mean(values, weights), [3 * 0.8 / 3, 0])
