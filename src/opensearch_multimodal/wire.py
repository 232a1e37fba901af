"""The multi-vector wire format, version 1: bytes ↔ numpy (specified in ``docs/wire-format.md``).

Little-endian. A header of 12 bytes: ``4D 56`` ("MV"), the version ``01``, the encoding (0 float32, 1 float16,
2 int8, 3 bit), the dimension and the count as uint32. Then the rows, in model order.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from .errors import InvalidInput
from .types import MAX_DIMENSION, FloatArray, MultiVector, check_multi_vector

__all__ = ["HEADER_SIZE", "VERSION", "Encoding", "Header", "pack", "read_header", "unpack", "unpack_many"]

Encoding = Literal["float32", "float16", "int8", "bit"]
"""How the rows are stored; the position in this list is the number in the header."""

HEADER_SIZE = 12
VERSION = 1

Buffer: TypeAlias = bytes | bytearray | memoryview

_MAGIC = b"MV"
_ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
_HEADER = struct.Struct("<2sBBII")
_MAX_COUNT = 2**32 - 1
_LARGEST_SCALE = float(np.finfo(np.float32).max) / 128


@dataclass(frozen=True, slots=True)
class Header:
    """The first 12 bytes of a multi-vector.

    Attributes:
        encoding: how the rows are stored.
        dimension: components of a row, 1–4096.
        count: number of rows, at least 1.
    """

    encoding: Encoding
    dimension: int
    count: int

    @property
    def size(self) -> int:
        """The exact number of bytes of the whole message, header included."""
        row = {
            "float32": 4 * self.dimension,
            "float16": 2 * self.dimension,
            "int8": 4 + self.dimension,
            "bit": (self.dimension + 7) // 8,
        }[self.encoding]
        return HEADER_SIZE + row * self.count


def pack(vectors: npt.ArrayLike, encoding: Encoding = "int8") -> bytes:
    """Encode a multi-vector.

    Args:
        vectors: shape (n, d), any real dtype, rows in model order, n ≥ 1, d 1–4096, finite.
        encoding: ``float32`` and ``float16`` store the components; ``int8`` stores each row divided by its
            scale max|row| / 127 and rounded to the nearest whole number (ties to even); ``bit`` stores only
            which components are greater than 0.

    Raises:
        InvalidInput: an unknown encoding, a wrong shape, a component that is NaN or infinite, or too large
            for float16 (above 65504) or int8 (above 3.3e38).
    """
    if encoding not in _ENCODINGS:
        raise InvalidInput(f"encoding: {encoding!r} is not one of {', '.join(_ENCODINGS)}")
    rows = check_multi_vector("multi-vector", vectors)
    count, dimension = rows.shape
    if count > _MAX_COUNT:
        raise InvalidInput(f"multi-vector: {count} rows, at most {_MAX_COUNT} are allowed")
    header = _HEADER.pack(_MAGIC, VERSION, _ENCODINGS.index(encoding), dimension, count)
    return header + _PACKERS[encoding](rows)


def read_header(data: Buffer) -> Header:
    """Read and check the header, and that ``data`` has exactly the length it announces.

    Raises:
        InvalidInput: the data is not a complete multi-vector of version 1.
    """
    length = _length(data)
    if length < HEADER_SIZE:
        raise InvalidInput(f"multi-vector: {length} bytes, the header alone has {HEADER_SIZE}")
    magic, version, code, dimension, count = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise InvalidInput(f"multi-vector: starts with bytes {magic.hex(' ').upper()}, expected 4D 56")
    if version != VERSION:
        raise InvalidInput(f"multi-vector: version {version}, only version {VERSION} is understood")
    if code >= len(_ENCODINGS):
        raise InvalidInput(f"multi-vector: encoding {code}, only 0–{len(_ENCODINGS) - 1} are understood")
    if not 1 <= dimension <= MAX_DIMENSION:
        raise InvalidInput(f"multi-vector: dimension {dimension} is outside 1–{MAX_DIMENSION}")
    if count < 1:
        raise InvalidInput("multi-vector: count 0, at least 1 row is required")
    header = Header(_ENCODINGS[code], dimension, count)
    if length != header.size:
        shape = f"{count} rows of dimension {dimension} as {header.encoding}"
        raise InvalidInput(f"multi-vector: {length} bytes, but {shape} take {header.size}")
    return header


def unpack(data: Buffer) -> MultiVector:
    """Decode a multi-vector.

    Args:
        data: one message; its length must be exactly what its header announces.

    Returns:
        Shape (n, d), float32, C order, writable, rows in model order. Rows of ``bit`` are ±1/√d.

    Raises:
        InvalidInput: a broken header, a wrong length, or a component that is not finite.
    """
    header = read_header(data)
    rows = np.empty((header.count, header.dimension), dtype=np.float32)
    _decode(data, header, rows)
    return rows


def unpack_many(messages: Sequence[Buffer]) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    """Decode several multi-vectors of one dimension into one array.

    Args:
        messages: at least one message; the encodings may differ.

    Returns:
        ``rows`` of shape (P, d), float32, C order: the rows of the first message, then those of the
        second, and so on; ``offsets`` of shape (len(messages) + 1,): message i is
        ``rows[offsets[i]:offsets[i + 1]]``.

    Raises:
        InvalidInput: no messages, a broken message (its position is named), or dimensions that differ.
    """
    if not messages:
        raise InvalidInput("multi-vectors: expected at least 1 message, got 0")
    headers = [_at(position, read_header, data) for position, data in enumerate(messages)]
    dimension = headers[0].dimension
    offsets = np.zeros(len(headers) + 1, dtype=np.intp)
    for position, header in enumerate(headers):
        if header.dimension != dimension:
            raise InvalidInput(
                f"message {position}: multi-vector: dimension {header.dimension}, "
                f"but message 0 has {dimension}"
            )
        offsets[position + 1] = offsets[position] + header.count
    rows = np.empty((int(offsets[-1]), dimension), dtype=np.float32)
    bounds = offsets.tolist()
    for position, (data, header) in enumerate(zip(messages, headers, strict=True)):
        _at(position, _decode, data, header, rows[bounds[position] : bounds[position + 1]])
    return rows, offsets


def _at(position: int, function: Any, *arguments: Any) -> Any:
    """Call ``function``; an error names the message's position."""
    try:
        return function(*arguments)
    except InvalidInput as error:
        raise InvalidInput(f"message {position}: {error}") from None


def _length(data: Buffer) -> int:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidInput(f"multi-vector: expected bytes, got {type(data).__name__}")
    return memoryview(data).nbytes


def _pack_float32(rows: MultiVector) -> bytes:
    stored: bytes = rows.astype("<f4", copy=False).tobytes()
    return stored


def _pack_float16(rows: MultiVector) -> bytes:
    with np.errstate(over="ignore"):
        halves = rows.astype("<f2")
    _check_finite(halves, rows, "is too large for float16 (at most 65504)")
    return halves.tobytes()


def _pack_int8(rows: MultiVector) -> bytes:
    scales = np.abs(rows).max(axis=1) / np.float32(127)
    _check_scales(scales)
    quotients = np.zeros_like(rows)
    np.divide(rows, scales[:, None], out=quotients, where=scales[:, None] > 0)
    codes = np.clip(np.rint(quotients), -127, 127).astype(np.int8)
    stored: bytes = scales.astype("<f4", copy=False).tobytes()
    return stored + codes.tobytes()


def _pack_bit(rows: MultiVector) -> bytes:
    return np.packbits(rows > 0, axis=1).tobytes()


_PACKERS = {"float32": _pack_float32, "float16": _pack_float16, "int8": _pack_int8, "bit": _pack_bit}


def _decode(data: Buffer, header: Header, out: MultiVector) -> None:
    """Write the rows of ``data`` into ``out``, shape (count, dimension), float32, C order."""
    count, dimension = header.count, header.dimension
    if header.encoding == "int8":
        scales = np.frombuffer(data, dtype="<f4", count=count, offset=HEADER_SIZE)
        _check_scales(scales)
        codes = np.frombuffer(data, dtype=np.int8, offset=HEADER_SIZE + 4 * count)
        np.multiply(codes.reshape(count, dimension), scales[:, None], out=out, dtype=np.float32)
    elif header.encoding == "bit":
        packed = np.frombuffer(data, dtype=np.uint8, offset=HEADER_SIZE).reshape(count, -1)
        _check_padding(packed, dimension)
        bits = np.unpackbits(packed, axis=1, count=dimension)
        unit = np.float32(1 / np.sqrt(dimension))
        np.take(np.array([-unit, unit]), bits, out=out, mode="clip")
    else:
        stored = np.frombuffer(
            data, dtype="<f4" if header.encoding == "float32" else "<f2", offset=HEADER_SIZE
        )
        out[:] = stored.reshape(count, dimension)
        _check_finite(out, out, "is not finite")


def _check_finite(stored: npt.NDArray[Any], shown: MultiVector, problem: str) -> None:
    finite = np.isfinite(stored)
    if not finite.all():
        row, column = (int(i) for i in np.argwhere(~finite)[0])
        raise InvalidInput(f"multi-vector: component ({row}, {column}) is {shown[row, column]}: it {problem}")


def _check_scales(scales: npt.NDArray[np.float32]) -> None:
    usable = (scales >= 0) & (scales <= _LARGEST_SCALE)
    if not usable.all():
        row = int(np.argmin(usable))
        raise InvalidInput(
            f"multi-vector: the scale of row {row} is {scales[row]:.7g}; it must be finite, at least 0 "
            f"and at most {_LARGEST_SCALE:.4g}"
        )


def _check_padding(packed: npt.NDArray[np.uint8], dimension: int) -> None:
    unused = -dimension % 8
    if unused:
        stray = packed[:, -1] & ((1 << unused) - 1)
        if stray.any():
            row = int(np.argmax(stray > 0))
            raise InvalidInput(
                f"multi-vector: the last byte of row {row} is {packed[row, -1]:02X}; its lowest "
                f"{unused} bits are padding and must be 0"
            )
