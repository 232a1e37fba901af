from __future__ import annotations

import numpy as np
import pytest

from opensearch_multimodal.binarize import sign_codes
from opensearch_multimodal.errors import InvalidInput


def test_bits_are_signs_with_the_most_significant_first():
    vectors = np.array([[1, -1, 1, -1, -1, -1, -1, 1], [-1, 1, 1, 1, 1, 1, 1, 1]], dtype=np.float32)
    before = vectors.copy()
    codes = sign_codes(vectors)
    assert codes.dtype == np.int8
    assert codes.tolist() == [[0b10100001 - 256], [0b01111111]]
    np.testing.assert_array_equal(vectors, before)


def test_zero_is_not_greater_than_zero():
    assert sign_codes([[0.0, -0.0, 1e-30, 0, 0, 0, 0, 0]]).tolist() == [[0b00100000]]


def test_the_last_byte_is_padded_with_zeros():
    assert sign_codes(np.ones((1, 11))).tolist() == [[-1, 0b11100000 - 256]]


def test_distance_of_codes_estimates_the_angle():
    generator = np.random.default_rng(0)
    one, other = generator.standard_normal((2, 4096))
    angle = np.arccos(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    codes = np.unpackbits(sign_codes([one, other]).view(np.uint8), axis=1)
    assert (codes[0] != codes[1]).mean() == pytest.approx(angle / np.pi, abs=0.04)


@pytest.mark.parametrize("vectors", [[1.0, 2.0], [[np.nan]], np.empty((0, 4))])
def test_refusals(vectors):
    with pytest.raises(InvalidInput, match="vectors: "):
        sign_codes(vectors)
