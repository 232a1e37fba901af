from __future__ import annotations

import hashlib

import numpy as np
import pytest

from opensearch_multimodal import fde
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.fde import FdeParameters
from opensearch_multimodal.maxsim import maxsim

SMALL = FdeParameters(repetitions=3, simhash_bits=2, projection=4, seed=9)


def unit(generator, *shape):
    rows = generator.standard_normal(shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def slowly(rows, parameters, *, document):
    """MUVERA by the letter: one repetition, one bucket, one row at a time."""
    planes, projections = fde._matrices(parameters, rows.shape[1])
    width = parameters.projection or rows.shape[1]
    bits = parameters.simhash_bits
    blocks = []
    for repetition in range(parameters.repetitions):
        cut = planes[:, repetition * bits : (repetition + 1) * bits]
        codes = [sum(int(bit) << position for position, bit in enumerate(row @ cut > 0)) for row in rows]
        if parameters.projection is None:
            projected = rows
        else:
            projected = rows @ projections[:, repetition * width : (repetition + 1) * width]
        for bucket in range(2**bits):
            members = [row for row, code in zip(projected, codes, strict=True) if code == bucket]
            if members:
                blocks.append(np.sum(members, axis=0) / (len(members) if document else 1))
            elif document and parameters.fill_empty:
                differing = [(code ^ bucket).bit_count() for code in codes]
                blocks.append(projected[differing.index(min(differing))])
            else:
                blocks.append(np.zeros(width))
    return np.concatenate(blocks)


@pytest.mark.parametrize(
    "parameters",
    [
        SMALL,
        FdeParameters(repetitions=2, simhash_bits=3, projection=None, seed=1),
        FdeParameters(repetitions=2, simhash_bits=0, projection=5, seed=2),
        FdeParameters(repetitions=2, simhash_bits=4, projection=3, seed=3, fill_empty=False),
    ],
    ids=["small", "no projection", "one bucket", "empty buckets stay empty"],
)
@pytest.mark.parametrize("count", [1, 20])
def test_encodings_equal_the_definition(parameters, count):
    rows = unit(np.random.default_rng(4), count, 12)
    before = rows.copy()
    document, query = fde.encode_document(rows, parameters), fde.encode_query(rows, parameters)
    assert document.dtype == query.dtype == np.float32
    assert document.shape == query.shape == (parameters.dimension(12),)
    np.testing.assert_allclose(document, slowly(rows, parameters, document=True), atol=1e-6)
    np.testing.assert_allclose(query, slowly(rows, parameters, document=False), atol=1e-6)
    np.testing.assert_array_equal(rows, before)


def test_dimension_is_repetitions_times_buckets_times_width():
    assert FdeParameters(20, 4, 32).dimension(128) == 20 * 2**4 * 32
    assert FdeParameters(20, 4, None).dimension(128) == 20 * 2**4 * 128


def test_random_matrices_are_the_same_for_ever():
    planes, projection = fde._matrices(FdeParameters(repetitions=2, simhash_bits=3, projection=4, seed=1), 8)
    digest = hashlib.sha256(planes.astype("<f4").tobytes() + projection.astype("<f4").tobytes()).hexdigest()
    assert digest == "b521782b090bf13fd46f4251f69864f8c6a42dc8f1b7a99366e5286822744af5"
    assert np.unique(np.abs(projection)).tolist() == [0.5]


def test_hyperplanes_are_close_to_normal():
    planes, _ = fde._matrices(FdeParameters(repetitions=20, simhash_bits=5, projection=None), 128)
    assert planes.mean() == pytest.approx(0, abs=0.15)
    assert planes.std() == pytest.approx(np.sqrt(64) / 2, rel=0.02)
    assert np.mean((planes / planes.std()) ** 4) == pytest.approx(3 - 2 / 64, abs=0.2)


def test_inner_products_follow_maxsim():
    generator = np.random.default_rng(5)
    query = unit(generator, 16, 64)
    documents = [unit(generator, 40, 64) for _ in range(200)]
    for rank, document in enumerate(documents[:10]):
        near = query[: 16 - rank] + 0.5 * unit(generator, 16 - rank, 64)
        document[: 16 - rank] = near / np.linalg.norm(near, axis=1, keepdims=True)
    parameters = FdeParameters(repetitions=20, simhash_bits=4, projection=16)
    encoded = np.stack([fde.encode_document(document, parameters) for document in documents])
    exact = np.argsort(-maxsim(query, documents))[:10]
    close = np.argsort(-(encoded @ fde.encode_query(query, parameters)))[:20]
    assert len(set(exact.tolist()) & set(close.tolist())) >= 9
    codes = np.stack([fde.quantize_document(row) for row in encoded]).astype(np.int32)
    in_bytes = codes @ fde.quantize_query(fde.encode_query(query, parameters)).astype(np.int32)
    assert len(set(exact.tolist()) & set(np.argsort(-in_bytes)[:20].tolist())) >= 9


def test_documents_get_one_length_and_are_clipped():
    values = np.array([3.0, -1.0] * 50 + [1000.0], dtype=np.float32)
    before = values.copy()
    mean_square = (50 * 3**2 + 50 * 1**2 + 1000**2) / 101
    codes = fde.quantize_document(values)
    assert codes.dtype == np.int8
    assert codes[:2].tolist() == [
        round(3 * 127 / (3 * mean_square**0.5)),
        round(-1 * 127 / (3 * mean_square**0.5)),
    ]
    assert codes[-1] == 127
    np.testing.assert_array_equal(values, before)
    np.testing.assert_array_equal(fde.quantize_document(7 * values), codes)
    assert fde.quantize_document([0.0, 0.0]).tolist() == [0, 0]


def test_a_document_with_crowded_buckets_is_not_put_at_a_disadvantage():
    generator = np.random.default_rng(6)
    parameters = FdeParameters(repetitions=20, simhash_bits=3, projection=16)
    lengths = {}
    for count in (5, 500):
        encoded = fde.encode_document(unit(generator, count, 64), parameters)
        codes = fde.quantize_document(encoded).astype(float)
        lengths[count] = np.linalg.norm(encoded), np.linalg.norm(codes)
    assert lengths[500][0] < 0.5 * lengths[5][0]
    assert lengths[500][1] == pytest.approx(lengths[5][1], rel=0.05)


def test_queries_have_their_own_scale():
    assert fde.quantize_query([0.5, -1.0, 0.25]).tolist() == [round(127 / 2), -127, round(127 / 4)]
    assert fde.quantize_query([1e-30, -1e-30]).tolist() == [127, -127]
    assert fde.quantize_query([0.0, 0.0]).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"repetitions": 2.5}, "fde repetitions: 2.5 is not a whole number"),
        ({"repetitions": 0}, "fde repetitions: 0 is outside 1–1000"),
        ({"simhash_bits": 13}, "fde simhash_bits: 13 is outside 0–12"),
        ({"projection": 0}, "fde projection: 0 is outside 1–4096"),
        ({"seed": -1}, "fde seed: -1 is outside 0–"),
        ({"final_dimension": 0}, "fde final_dimension: 0 is outside 1–"),
    ],
)
def test_parameters_out_of_range_are_refused(change, message):
    with pytest.raises(InvalidInput, match=message):
        FdeParameters(**change)


def test_wrong_vectors_are_refused():
    with pytest.raises(InvalidInput, match=r"query: expected a multi-vector of shape \(n, d\)"):
        fde.encode_query([1.0, 2.0], SMALL)
    with pytest.raises(InvalidInput, match="document: component"):
        fde.encode_document([[1.0, np.inf]], SMALL)
    with pytest.raises(
        InvalidInput, match=r"fde: expected finite components of shape \(D,\), got shape \(1, 2\)"
    ):
        fde.quantize_document([[1.0, 2.0]])
    with pytest.raises(InvalidInput, match="fde: expected finite components"):
        fde.quantize_query([np.nan])


def test_the_final_projection_adds_each_component_with_a_sign_to_one_of_the_result():
    rows = unit(np.random.default_rng(7), 20, 12)
    whole = FdeParameters(repetitions=3, simhash_bits=2, projection=4, seed=9)
    short = FdeParameters(repetitions=3, simhash_bits=2, projection=4, seed=9, final_dimension=10)
    assert short.dimension(12) == 10
    places, signs = fde._sketch(short, 48)
    for encode in (fde.encode_document, fde.encode_query):
        expected = np.zeros(10)
        for place, sign, value in zip(places, signs, encode(rows, whole), strict=True):
            expected[place] += sign * value
        encoded = encode(rows, short)
        assert (encoded.shape, encoded.dtype) == ((10,), np.float32)
        np.testing.assert_allclose(encoded, expected, atol=1e-6)


def test_the_final_projection_keeps_inner_products_on_average():
    generator = np.random.default_rng(8)
    query, document = unit(generator, 6, 16), unit(generator, 30, 16)
    whole = FdeParameters(repetitions=4, simhash_bits=2, projection=8)
    exact = fde.encode_query(query, whole) @ fde.encode_document(document, whole)
    products = []
    for seed in range(300):
        short = FdeParameters(4, 2, 8, seed=seed, final_dimension=64)
        places, signs = fde._sketch(short, 4 * 4 * 8)
        sketched = [
            np.bincount(places, signs * encoded, 64)
            for encoded in (fde.encode_query(query, whole), fde.encode_document(document, whole))
        ]
        products.append(sketched[0] @ sketched[1])
    assert np.mean(products) == pytest.approx(exact, abs=4 * np.std(products) / np.sqrt(300))


def test_the_sketch_is_the_same_for_ever_and_independent_of_the_planes():
    places, signs = fde._sketch(FdeParameters(seed=1, final_dimension=100), 1000)
    digest = hashlib.sha256(places.astype("<i8").tobytes() + signs.astype("<f4").tobytes()).hexdigest()
    assert digest == "75a3fad1d80648e4c800105200d0be644ce48cff2aff1dab528aa79072aab13e"
    assert np.bincount(places, minlength=100).max() < 30
    assert abs(signs.mean()) < 0.1


@pytest.mark.parametrize("final", [48, 100])
def test_a_final_projection_that_is_none_is_refused(final):
    short = FdeParameters(repetitions=3, simhash_bits=2, projection=4, final_dimension=final)
    with pytest.raises(InvalidInput, match=f"fde final_dimension: {final} of 48 dimensions"):
        short.dimension(12)
