from __future__ import annotations

import numpy as np

from opensearch_multimodal.fusion.combination import comb_mnz


def test_comb_mnz():
    values = np.array([[0.9, 0.5, 0.3], [0.4, 0.2, 0.1]])
    weights = np.array([[2.0, 2.0, 0.0], [1.0, 0.0, 0.0]])
    before = values.copy()
    np.testing.assert_allclose(comb_mnz(values, weights), [2 * (2 * 0.9 + 0.4), 1 * 2 * 0.5, 0])
    np.testing.assert_array_equal(values, before)


def test_negative_values_count_as_zero():
    np.testing.assert_allclose(comb_mnz(np.array([[-0.5], [0.4]]), np.ones((2, 1))), [2 * (0 + 0.4)])
