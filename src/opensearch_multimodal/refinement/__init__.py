"""Guided query refinement (GQR): move the query's vectors towards what other retrievers know.

Uzan and others, "Guided Query Refinement: Multimodal Hybrid Retrieval with Test-Time Optimization",
2025, arXiv:2510.05038.
"""

from __future__ import annotations

from .active_set import MaxSimTracker
from .options import MULTI_VECTOR_BUDGET, SINGLE_VECTOR_BUDGET, Options
from .refine import Candidates, Refinement, refine, refine_many
from .targets import TARGETS, TargetName

__all__ = [
    "MULTI_VECTOR_BUDGET",
    "SINGLE_VECTOR_BUDGET",
    "TARGETS",
    "Candidates",
    "MaxSimTracker",
    "Options",
    "Refinement",
    "TargetName",
    "refine",
    "refine_many",
]
