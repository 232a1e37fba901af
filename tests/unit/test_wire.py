from __future__ import annotations

import base64
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from opensearch_multimodal import wire
from opensearch_multimodal.errors import InvalidInput

GOLDEN = Path(__file__).parents[1] / "golden" / "wire"
VALID = json.loads((GOLDEN / "valid.json").read_text(encoding="utf-8"))
BROKEN = json.loads((GOLDEN / "broken.json").read_text(encoding="utf-8"))
ENCODINGS = ("float32", "float16", "int8", "bit")


def by_name(case):
    return case["name"]


@pytest.mark.parametrize("case", VALID, ids=by_name)
def test_golden_messages_are_read(case):
    message = base64.b64decode(case["bytes"])
    assert wire.read_header(message) == wire.Header(case["encoding"], case["dimension"], case["count"])
    rows = wire.unpack(message)
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    assert rows.flags.writeable
    expected = np.array(case["rows"], dtype=np.float32)
    assert rows.shape == expected.shape
    np.testing.assert_array_max_ulp(rows, expected, maxulp=1 if case["encoding"] == "bit" else 0)


@pytest.mark.parametrize("case", [case for case in VALID if case["given"]], ids=by_name)
def test_golden_messages_are_written(case):
    rows = np.array(case["given"], dtype=np.float32)
    before = rows.copy()
    assert wire.pack(rows, case["encoding"]) == base64.b64decode(case["bytes"])
    np.testing.assert_array_equal(rows, before)


@pytest.mark.parametrize("case", BROKEN, ids=by_name)
def test_golden_broken_messages_are_refused_by_value(case):
    with pytest.raises(InvalidInput) as refusal:
        wire.unpack(base64.b64decode(case["bytes"]))
    assert case["names"] in str(refusal.value)


def test_golden_files_cover_every_encoding():
    assert {case["encoding"] for case in VALID} == set(ENCODINGS)


@given(
    arrays(
        np.float32, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.floats(-1, 1, width=32)
    ),
    st.sampled_from(ENCODINGS),
)
def test_round_trip(rows, encoding):
    message = wire.pack(rows, encoding)
    back = wire.unpack(message)
    assert len(message) == wire.read_header(message).size
    if encoding == "float32":
        np.testing.assert_array_equal(back, rows)
    elif encoding == "float16":
        np.testing.assert_array_equal(back, rows.astype(np.float16).astype(np.float32))
    elif encoding == "int8":
        scale = np.abs(rows).max(axis=1, keepdims=True) / 127
        assert (np.abs(back - rows) <= 0.5001 * scale + 1e-44).all()
    else:
        np.testing.assert_array_equal(back > 0, rows > 0)
        np.testing.assert_allclose(np.linalg.norm(back, axis=1), 1, rtol=1e-6)


@given(st.binary(max_size=80), st.integers(0, 255), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_arbitrary_bytes_are_read_or_refused(tail, encoding, dimension, count):
    message = struct.pack("<2sBBII", b"MV", 1, encoding, dimension, count) + tail
    try:
        rows = wire.unpack(message)
    except InvalidInput:
        return
    assert rows.shape == (count, dimension)
    assert np.isfinite(rows).all()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_read_and_left_unchanged(kind):
    message = wire.pack([[1.0, -0.5]], "int8")
    data = kind(message)
    wire.unpack(data)[:] = 7
    assert bytes(data) == message


def test_text_is_not_a_buffer():
    with pytest.raises(InvalidInput, match="expected bytes, got str"):
        wire.unpack("TVYB")


@pytest.mark.parametrize(
    ("rows", "encoding", "message"),
    [
        ([[1.0]], "int4", "'int4' is not one of float32, float16, int8, bit"),
        ([1.0, 2.0], "int8", r"got shape \(2,\)"),
        (np.empty((0, 3)), "int8", r"at least 1 row, got shape \(0, 3\)"),
        (np.zeros((1, 4097)), "int8", "dimension 4097 is outside 1–4096"),
        ([[1.0, np.nan]], "int8", r"component \(0, 1\) is nan"),
        ([[1.0], [np.inf]], "bit", r"component \(1, 0\) is inf"),
        ([[1.0], [3.4e38]], "int8", "scale of row 1 is 2.677165e[+]36"),
        ([[1.0, 70000.0]], "float16", r"component \(0, 1\) is 70000.0: it is too large for float16"),
    ],
)
def test_pack_refuses(rows, encoding, message):
    with pytest.raises(InvalidInput, match=message):
        wire.pack(rows, encoding)


def test_zero_rows_stay_zero_in_int8():
    np.testing.assert_array_equal(wire.unpack(wire.pack(np.zeros((2, 3)), "int8")), np.zeros((2, 3)))


@pytest.mark.parametrize("largest", [1e-45, 1e-40, 3.3e38])
def test_int8_keeps_extreme_rows_finite_and_in_range(largest):
    rows = np.array([[largest, -largest, largest / 2]], dtype=np.float32)
    np.testing.assert_allclose(wire.unpack(wire.pack(rows, "int8")), rows, rtol=0.01, atol=1e-43)


def test_unpack_many_stacks_in_order():
    generator = np.random.default_rng(3)
    parts = [generator.standard_normal((count, 5)).astype(np.float32) for count in (1, 4, 2, 3)]
    messages = [wire.pack(part, encoding) for part, encoding in zip(parts, ENCODINGS, strict=True)]
    rows, offsets = wire.unpack_many(messages)
    assert offsets.tolist() == [0, 1, 1 + 4, 1 + 4 + 2, 1 + 4 + 2 + 3]
    np.testing.assert_array_equal(rows, np.concatenate([wire.unpack(message) for message in messages]))


def test_unpack_many_names_the_message():
    good = wire.pack([[1.0, 2.0]])
    with pytest.raises(InvalidInput, match="message 1: multi-vector: 3 bytes"):
        wire.unpack_many([good, good[:3]])
    with pytest.raises(InvalidInput, match="message 1: multi-vector: dimension 3, but message 0 has 2"):
        wire.unpack_many([good, wire.pack([[1.0, 2.0, 3.0]])])
    with pytest.raises(InvalidInput, match="at least 1 message, got 0"):
        wire.unpack_many([])
