"""Write the projection of all-minilm-l6-v2-tokens: a random orthonormal map from 384 to 128 dimensions.

Random projections keep inner products in expectation (Johnson and Lindenstrauss, 1984) and, unlike a PCA,
favour no collection; README.md beside this file has what both cost. The spec names the file's sha256: what
another version of NumPy or LAPACK rounds differently would be seen there.

    python onnx_models/make_projection.py TARGET.npy
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

MODEL_DIMENSION = 384
DIMENSION = 128
SEED = 0


def projection() -> npt.NDArray[np.float16]:
    """Return shape (384, 128), float16, orthonormal columns but for the rounding."""
    words = np.random.PCG64(SEED).random_raw(MODEL_DIMENSION * DIMENSION // 64).astype("<u8")
    signs = np.unpackbits(words.view(np.uint8)).reshape(MODEL_DIMENSION, DIMENSION) * 2.0 - 1.0
    columns, triangle = np.linalg.qr(signs)
    return (columns * np.sign(np.diag(triangle))).astype(np.float16)


if __name__ == "__main__":
    with Path(sys.argv[1]).open("wb") as file:
        np.save(file, projection())
