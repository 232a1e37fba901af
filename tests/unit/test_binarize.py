from __future__ import annotations

import numpy as np
import pytest

from opensearch_multimodal.binarize import Rotation, fit_itq, rotated_codes, rotated_query_codes, sign_codes
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


def rotation_of(generator, dimension):
    return np.linalg.qr(generator.standard_normal((dimension, dimension)))[0]


def hamming(codes, bits):
    unpacked = np.unpackbits(codes.view(np.uint8), axis=1)[:, :bits]
    return (unpacked[:, None] != unpacked[None]).sum(axis=2)


def test_a_bit_is_one_above_its_threshold():
    thresholds = np.array([[0.5, -1], [0.6, -3]], dtype=np.float32)
    rotation = Rotation(np.eye(3, 2, dtype=np.float32), *thresholds)
    vectors = np.array([[0.6, -2, 9], [0.5, 0, 9]], dtype=np.float32)
    before = vectors.copy()
    # 0.6 > 0.5, −2 ≤ −1; 0.5 is not above 0.5, 0 > −1.
    assert rotated_codes(vectors, rotation).tolist() == [[0b10000000 - 256], [0b01000000]]
    # Queries have thresholds of their own: 0.6 is not above 0.6, −2 > −3; nor is 0.5, 0 > −3.
    assert rotated_query_codes(vectors, rotation).tolist() == [[0b01000000], [0b01000000]]
    np.testing.assert_array_equal(vectors, before)


def test_itq_finds_a_turned_and_shifted_hypercube():
    generator = np.random.default_rng(1)
    corners = np.sign(generator.standard_normal((400, 5)))
    turned = (corners + 0.05 * generator.standard_normal((400, 5))) @ rotation_of(generator, 5).T + 3.0
    before = turned.copy()
    rotation = fit_itq(turned)
    np.testing.assert_array_equal(turned, before)
    expected = (corners[:, None] != corners[None]).sum(axis=2)
    np.testing.assert_array_equal(hamming(rotated_codes(turned, rotation), 5), expected)
    assert (hamming(sign_codes(turned), 5) != expected).any()


def test_itq_is_orthonormal_and_centres():
    generator = np.random.default_rng(2)
    vectors = generator.standard_normal((500, 20)) * np.linspace(3, 0.1, 20) + 1.5
    rotation = fit_itq(vectors, bits=8, iterations=5)
    assert (rotation.dimension, rotation.bits) == (20, 8)
    assert rotation.matrix.dtype == rotation.threshold.dtype == np.float32
    np.testing.assert_allclose(rotation.matrix.T @ rotation.matrix, np.eye(8), atol=1e-5)
    np.testing.assert_allclose(rotation.threshold, vectors.mean(axis=0) @ rotation.matrix, atol=1e-4)
    np.testing.assert_array_equal(rotation.query_threshold, rotation.threshold)
    # The space is that of the 8 largest components of the data.
    axes = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)[2][:8]
    np.testing.assert_allclose(np.linalg.norm(axes @ rotation.matrix, axis=0), 1, atol=1e-4)


def test_queries_are_centred_by_their_own_mean():
    generator = np.random.default_rng(7)
    vectors, queries = generator.standard_normal((200, 6)) + 1, generator.standard_normal((30, 6)) - 2
    plain, rotation = fit_itq(vectors), fit_itq(vectors, queries)
    np.testing.assert_array_equal(rotation.matrix, plain.matrix)
    np.testing.assert_array_equal(rotation.threshold, plain.threshold)
    np.testing.assert_allclose(
        rotation.query_threshold, queries.mean(axis=0) @ rotation.matrix, rtol=1e-4, atol=1e-5
    )


def test_each_iteration_brings_the_signs_closer():
    generator = np.random.default_rng(3)
    vectors = generator.standard_normal((800, 16)) * np.linspace(2, 0.2, 16)

    def loss(iterations):
        rotation = fit_itq(vectors, iterations=iterations)
        rotated = vectors @ rotation.matrix - rotation.threshold
        return np.square(np.sign(rotated) - rotated).sum()

    losses = [loss(iterations) for iterations in (1, 2, 5, 20, 50)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


def test_itq_finds_more_neighbours_than_signs_alone():
    generator = np.random.default_rng(4)
    vectors = generator.standard_normal((1200, 64)) * np.exp(-np.arange(64) / 12) + 0.8
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rotation = fit_itq(vectors[100:])
    exact = np.argsort(-(vectors[:100] @ vectors[100:].T), axis=1)[:, :10]

    def found(codes):
        near = np.argsort(hamming(codes, 64)[:100, 100:], axis=1, kind="stable")[:, :50]
        return np.mean([len(set(one) & set(two)) / 10 for one, two in zip(exact, near, strict=True)])

    assert found(rotated_codes(vectors, rotation)) > found(sign_codes(vectors)) + 0.2


def test_the_same_seed_learns_the_same():
    vectors = np.random.default_rng(5).standard_normal((50, 6))
    one, other = fit_itq(vectors, seed=3), fit_itq(vectors, seed=3)
    np.testing.assert_array_equal(one.matrix, other.matrix)
    assert not np.array_equal(one.matrix, fit_itq(vectors, seed=4).matrix)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bits": 5}, "itq bits: 5 is outside 1–4"),
        ({"bits": 0}, "itq bits: 0 is outside 1–4"),
        ({"iterations": 0}, "itq iterations: 0 is below 1"),
        ({"vectors": np.ones((4, 4))}, "itq: 4 vectors are too few for 4 bits; at least 5"),
        ({"vectors": [[np.inf, 1.0]]}, "vectors: component"),
        ({"queries": np.ones((2, 3))}, "queries: dimension 3, but 4 is required"),
    ],
)
def test_what_cannot_be_learnt(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        fit_itq(**{"vectors": np.eye(9, 4), **arguments})


def test_rotations_that_do_not_fit():
    with pytest.raises(InvalidInput, match="2 bits need as many finite thresholds"):
        Rotation(np.eye(3, 2, dtype=np.float32), np.zeros(2, np.float32), np.zeros(3, np.float32))
    rotation = Rotation(np.eye(3, 2, dtype=np.float32), np.zeros(2, np.float32), np.zeros(2, np.float32))
    with pytest.raises(InvalidInput, match="dimension 4, but 3 is required"):
        rotated_codes(np.ones((1, 4)), rotation)
