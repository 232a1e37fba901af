"""Write valid.json and broken.json beside this file: the wire format's golden files.

    python tests/golden/wire/regenerate.py

The bytes are put together here by hand from docs/wire-format.md, with ``struct`` and without the package, so
that the package is tested against the specification and not against itself. Tests in Python and in Java read
the files. Floats are written with enough digits to be exact; read them as double, then narrow to float.

valid.json: a list of {name, encoding, dimension, count, bytes, given, rows}
    bytes  the message in base64
    given  the rows that pack() gets, or null where the message is only to be read
    rows   the rows that unpack() returns, exactly (bit: within one unit in the last place)
broken.json: a list of {name, bytes, names}
    names  what the refusal must name: the offending value or length
"""

import base64
import json
import math
import random
import struct
from pathlib import Path

HERE = Path(__file__).parent
CODES = {"float32": 0, "float16": 1, "int8": 2, "bit": 3}


def f32(value):
    """Round to the nearest float32."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


def header(encoding, dimension, count, magic=b"MV", version=1):
    return struct.pack("<2sBBII", magic, version, encoding, dimension, count)


def body(encoding, rows):
    """Return the bytes after the header, and the rows that they decode to."""
    if encoding in ("float32", "float16"):
        letter = "f" if encoding == "float32" else "e"
        packed = b"".join(struct.pack(f"<{len(row)}{letter}", *row) for row in rows)
        size = struct.calcsize(f"<{len(rows[0])}{letter}")
        return packed, [
            list(struct.unpack_from(f"<{len(rows[0])}{letter}", packed, i * size)) for i in range(len(rows))
        ]
    if encoding == "int8":
        scales = [f32(max(map(abs, row)) / 127) for row in rows]
        codes = [
            [max(-127, min(127, round(f32(x / s)))) if s else 0 for x in row]
            for row, s in zip(rows, scales, strict=True)
        ]
        packed = struct.pack(f"<{len(rows)}f", *scales)
        packed += b"".join(struct.pack(f"{len(row)}b", *row) for row in codes)
        return packed, [[f32(s * c) for c in row] for row, s in zip(codes, scales, strict=True)]
    dimension = len(rows[0])
    packed = b""
    for row in rows:
        bits = "".join("1" if x > 0 else "0" for x in row).ljust((dimension + 7) // 8 * 8, "0")
        packed += int(bits, 2).to_bytes(len(bits) // 8, "big")
    unit = f32(1 / math.sqrt(dimension))
    return packed, [[unit if x > 0 else -unit for x in row] for row in rows]


def unit_rows(count, dimension, seed):
    generator = random.Random(seed)
    rows = []
    for _ in range(count):
        row = [generator.gauss(0, 1) for _ in range(dimension)]
        length = math.sqrt(sum(x * x for x in row))
        rows.append([f32(x / length) for x in row])
    return rows


def valid():
    given = {
        "one component": unit_rows(1, 1, 1),
        "one row": unit_rows(1, 128, 2),
        "odd dimension": unit_rows(3, 13, 3),
        "whole bytes": unit_rows(4, 8, 4),
        "one bit over": unit_rows(2, 9, 5),
        "several rows": unit_rows(3, 64, 6),
        "dimension 320": unit_rows(1, 320, 7),
        "a row of zeros": [[0.0, 0.0, 0.0], [1.0, -1.0, 0.5]],
        "halves are rounded to even": [[127.0, 0.5, 1.5, 2.5, -0.5, -1.5, 126.5]],
        "large": [[65504.0, -65504.0, 1.0, 0.25]],
        "small": [[f32(1e-30), f32(-3e-31), 0.0]],
    }
    cases = []
    for name, rows in given.items():
        for encoding, code in CODES.items():
            packed, decoded = body(encoding, rows)
            message = header(code, len(rows[0]), len(rows)) + packed
            cases.append(case(f"{name}, {encoding}", encoding, message, rows, decoded))
    widest = struct.pack("<f", 1.0) + bytes(i % 256 for i in range(4096))
    signed = [[float(i % 256 - 256 * (i % 256 > 127)) for i in range(4096)]]
    cases.append(case("dimension 4096, −128 included", "int8", header(2, 4096, 1) + widest, None, signed))
    return cases


def case(name, encoding, message, given, rows):
    return {
        "name": name,
        "encoding": encoding,
        "dimension": len(rows[0]),
        "count": len(rows),
        "bytes": base64.b64encode(message).decode(),
        "given": given,
        "rows": rows,
    }


def broken():
    one = struct.pack("<2f", 1.0, 0.0)
    nan, infinite = float("nan"), float("inf")
    messages = [
        ("empty", b"", "0 bytes"),
        ("shorter than a header", header(0, 2, 1)[:11], "11 bytes"),
        ("another magic", header(0, 2, 1, magic=b"VM") + one, "56 4D"),
        ("version 0", header(0, 2, 1, version=0) + one, "version 0"),
        ("version 2", header(0, 2, 1, version=2) + one, "version 2"),
        ("unknown encoding", header(4, 2, 1) + one, "encoding 4"),
        ("dimension 0", header(0, 0, 1), "dimension 0"),
        ("dimension 4097", header(3, 4097, 1) + bytes(513), "dimension 4097"),
        ("count 0", header(0, 2, 0), "count 0"),
        ("header only", header(0, 2, 1), "12 bytes"),
        ("a byte short", header(0, 2, 1) + one[:-1], "19 bytes"),
        ("a byte over", header(0, 2, 1) + one + b"\0", "21 bytes"),
        ("a count that would fill the memory", header(0, 4096, 2**32 - 1) + one, "4294967295"),
        ("int8 without its scale", header(2, 2, 1) + b"\1\2", "14 bytes"),
        ("NaN in float32", header(0, 2, 1) + struct.pack("<2f", 1.0, nan), "nan"),
        ("infinity in float32", header(0, 2, 1) + struct.pack("<2f", infinite, 1.0), "inf"),
        ("NaN in float16", header(1, 2, 1) + struct.pack("<2e", 1.0, nan), "nan"),
        ("infinity in float16", header(1, 2, 1) + struct.pack("<2e", -infinite, 1.0), "-inf"),
        ("NaN scale", header(2, 2, 1) + struct.pack("<f", nan) + b"\1\2", "nan"),
        ("infinite scale", header(2, 2, 1) + struct.pack("<f", infinite) + b"\1\2", "inf"),
        ("negative scale", header(2, 2, 1) + struct.pack("<f", -0.5) + b"\1\2", "-0.5"),
        ("scale that overflows", header(2, 2, 1) + struct.pack("<f", 3e36) + b"\1\2", "3e+36"),
        ("padding that is not 0", header(3, 5, 1) + b"\xa4", "A4"),
    ]
    return [
        {"name": name, "bytes": base64.b64encode(message).decode(), "names": names}
        for name, message, names in messages
    ]


def main():
    for name, cases in (("valid.json", valid()), ("broken.json", broken())):
        lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
        (HERE / name).write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
