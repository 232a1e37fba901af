"""Combinations: the values of all retrievers for each candidate → one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from .arithmetic_mean import arithmetic_mean
from .rrf import rrf

__all__ = ["COMBINATIONS", "COMBINATIONS_OF_RANKS", "COMBINATIONS_OF_SCORES", "arithmetic_mean", "rrf"]

_Floats = npt.NDArray[np.float64]

COMBINATIONS_OF_SCORES: Mapping[str, Callable[[_Floats, _Floats], _Floats]] = {
    "arithmetic_mean": arithmetic_mean,
}
"""Name → function of normalized values, shape (retrievers, c), and weights, shape (retrievers,)."""

COMBINATIONS_OF_RANKS: Mapping[str, Callable[[_Floats, _Floats, int], _Floats]] = {
    "rrf": rrf,
}
"""Name → function of raw scores, shape (retrievers, c), weights, and the rank constant."""

COMBINATIONS = (*COMBINATIONS_OF_SCORES, *COMBINATIONS_OF_RANKS)
"""The names of all combinations."""
