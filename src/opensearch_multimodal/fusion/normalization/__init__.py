"""Normalizations: the scores of one retriever for all candidates → values that can be added to others'."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from .collection import collection
from .l2 import l2
from .min_max import min_max
from .rank import rank
from .softmax import softmax
from .z_score import z_score

__all__ = [
    "NORMALIZATIONS",
    "NORMALIZATIONS_OF_ONE_QUERY",
    "collection",
    "l2",
    "min_max",
    "rank",
    "softmax",
    "z_score",
]

NORMALIZATIONS_OF_ONE_QUERY: Mapping[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
    "l2": l2,
    "min_max": min_max,
    "rank": rank,
    "softmax": softmax,
    "z_score": z_score,
}
"""Name → function of the scores, shape (c,), finite or −∞ (no score); it leaves them unchanged."""

NORMALIZATIONS = (*NORMALIZATIONS_OF_ONE_QUERY, "collection")
"""The names of all normalizations; ``collection`` also takes statistics."""
