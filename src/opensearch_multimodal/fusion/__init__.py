"""Fusion of several retrievers' scores of the same candidates: normalization, then combination."""

from __future__ import annotations

from .combination import COMBINATIONS
from .fuse import fuse
from .methods import Missing, check_methods
from .normalization import NORMALIZATIONS

__all__ = ["COMBINATIONS", "NORMALIZATIONS", "Missing", "check_methods", "fuse"]
