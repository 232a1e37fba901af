from __future__ import annotations

import math

import numpy as np
import pytest

from opensearch_multimodal.fusion.normalization import softmax

MISSING = -np.inf


def test_softmax():
    powers = [math.exp(1 / 1.0), math.exp(-1 / 1.0)]
    np.testing.assert_allclose(softmax(np.array([7.0, 5.0])), [power / sum(powers) for power in powers])


def test_shares_are_only_among_the_scored():
    np.testing.assert_allclose(softmax(np.array([2.0, MISSING, 2.0])), [1 / 2, 0, 1 / 2])
    np.testing.assert_array_equal(softmax(np.array([MISSING])), [0.0])
    assert softmax(np.array([1e4, -1e4, 3.0])).sum() == pytest.approx(1)
