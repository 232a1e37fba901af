"""Write scores.json beside this file: MaxSim scores that every implementation must give.

    python tests/golden/maxsim/regenerate.py

The scores are computed in float64, row by row, from what the messages decode to: by the definition, and not
by the package's ``maxsim``, which tests/unit/test_maxsim.py holds against them; the server plugin's tests in
Java hold its kernels against them.

scores.json: a list of {name, dimension, query, candidates: [{encoding, message, score}]}
    query    the query's rows, float32 wire format in base64
    message  a candidate in the wire format, base64
    score    the sum over the query's rows of the largest inner product; to be met within 1e-4 of its size
"""

import base64
import json
from pathlib import Path

import numpy as np

from opensearch_multimodal import wire

HERE = Path(__file__).parent
SHAPES = [
    # dimension, rows of the query, rows of the candidates
    (1, 1, (1, 2, 65)),
    (2, 3, (1, 64)),
    (13, 4, (1, 7, 64, 67)),
    (64, 5, (63,)),
    (96, 2, (16, 70)),
    (100, 3, (17,)),
    (128, 20, (1, 31, 128, 131)),
    (320, 1, (9,)),
    (1024, 2, (5,)),
    (4096, 1, (2,)),
]


def rows(generator, count, dimension):
    made = generator.standard_normal((count, dimension))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def score(query, candidate):
    return float(sum(max(float(q @ c) for c in candidate) for q in query))


def main():
    generator = np.random.default_rng(5)
    cases = []
    for dimension, tokens, counts in SHAPES:
        query = rows(generator, tokens, dimension)
        candidates = []
        for count in counts:
            vectors = rows(generator, count, dimension) * generator.uniform(0.5, 2)
            for encoding in ("float32", "int8", "bit"):
                message = wire.pack(vectors, encoding)
                expected = score(query.astype(np.float64), wire.unpack(message).astype(np.float64))
                candidates.append(
                    {"encoding": encoding, "message": base64.b64encode(message).decode(), "score": expected}
                )
        cases.append(
            {
                "name": f"dimension {dimension}, {tokens} rows",
                "dimension": dimension,
                "query": base64.b64encode(wire.pack(query, "float32")).decode(),
                "candidates": candidates,
            }
        )
    opposite = np.array([[1, 0], [0.6, 0.8]], dtype=np.float32)
    message = wire.pack(-opposite[:1], "float32")
    cases.append(
        {
            "name": "negative scores stay negative",
            "dimension": 2,
            "query": base64.b64encode(wire.pack(opposite, "float32")).decode(),
            "candidates": [
                {"encoding": "float32", "message": base64.b64encode(message).decode(), "score": -1 - 0.6}
            ],
        }
    )
    lines = ",\n".join(json.dumps(case) for case in cases)
    (HERE / "scores.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
