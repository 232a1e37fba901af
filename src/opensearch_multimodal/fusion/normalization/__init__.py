"""Normalizations: the scores of one retriever for all candidates → values that can be added to others'."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from .min_max import min_max
from .softmax import softmax
from .z_score import z_score

__all__ = ["NORMALIZATIONS", "min_max", "softmax", "z_score"]

NORMALIZATIONS: Mapping[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
    "min_max": min_max,
    "softmax": softmax,
    "z_score": z_score,
}
"""Name → function of the scores, shape (c,), finite or −∞ (no score); it leaves them unchanged."""
