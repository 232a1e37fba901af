"""Fusion of several retrievers' scores of the same candidates: normalization, then combination."""

from __future__ import annotations

from .combination import COMBINATIONS
from .fuse import check_methods, fuse
from .normalization import NORMALIZATIONS

__all__ = ["COMBINATIONS", "NORMALIZATIONS", "check_methods", "fuse"]
