"""Combinations: the values of all retrievers for each candidate → one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from .arithmetic_mean import arithmetic_mean
from .comb_mnz import comb_mnz
from .dempster_shafer import dempster_shafer
from .geometric_mean import geometric_mean
from .harmonic_mean import harmonic_mean
from .rrf import rrf

__all__ = [
    "COMBINATIONS",
    "COMBINATIONS_OF_RANKS",
    "COMBINATIONS_OF_SCORES",
    "arithmetic_mean",
    "comb_mnz",
    "dempster_shafer",
    "geometric_mean",
    "harmonic_mean",
    "rrf",
]

_Floats = npt.NDArray[np.float64]

COMBINATIONS_OF_SCORES: Mapping[str, Callable[[_Floats, _Floats], _Floats]] = {
    "arithmetic_mean": arithmetic_mean,
    "geometric_mean": geometric_mean,
    "harmonic_mean": harmonic_mean,
    "comb_mnz": comb_mnz,
    "dempster_shafer": dempster_shafer,
}
"""Name → function of normalized values and of weights, both of shape (retrievers, c)."""

COMBINATIONS_OF_RANKS: Mapping[str, Callable[[_Floats, _Floats, int], _Floats]] = {
    "rrf": rrf,
}
"""Name → function of raw scores, shape (retrievers, c), weights (retrievers,), and the rank constant."""

COMBINATIONS = (*COMBINATIONS_OF_SCORES, *COMBINATIONS_OF_RANKS)
"""The names of all combinations."""
