"""How to refine: the options of `refine`, and their defaults."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from ..errors import InvalidInput
from .targets import TARGETS, TargetName

__all__ = ["MULTI_VECTOR_BUDGET", "SINGLE_VECTOR_BUDGET", "Options", "Settings"]

SINGLE_VECTOR_BUDGET = 0.5
"""Default budget for one vector per candidate."""

MULTI_VECTOR_BUDGET = 0.3
"""Default budget for each row of a multi-vector query."""


class Options(TypedDict, total=False):
    """How to refine; what is left out has its default.

    Attributes:
        steps: steps of Adam, at least 1; 25.
        mix: the share a of the complementary retrievers in the target, 0–1; 0.5.
        budget: how far a vector may move in all, B = learning rate · steps · √d. A fixed learning rate does
            not transfer between dimensions, a budget does. `SINGLE_VECTOR_BUDGET` or `MULTI_VECTOR_BUDGET`. A
            refinement that drifts further than its budget is dropped.
        temperature: T₁; 1.
        complementary_temperature: T₂ of every complementary retriever; None matches each of them:
            T₁ · σ₂ / σ₁, the standard deviations of the two retrievers' scores over these candidates.
        learning_rate: Adam's, instead of one from the budget; there is a limit to the drift then only if
            ``budget`` is given too.
        target: one of `TARGETS`; ``mixture``.
        tolerance: stop early where the gradient has become this small a share of the first one; 0.01. 0
            takes every step.
        weights: shape (r,), the weights of several complementary retrievers, positive; equal.
    """

    steps: int
    mix: float
    budget: float | None
    temperature: float
    complementary_temperature: float | None
    learning_rate: float | None
    target: TargetName
    tolerance: float
    weights: Sequence[float] | None


@dataclass(frozen=True, slots=True)
class Settings:
    """`Options` with their defaults, checked; see there."""

    steps: int = 25
    mix: float = 0.5
    budget: float | None = None
    temperature: float = 1.0
    complementary_temperature: float | None = None
    learning_rate: float | None = None
    target: TargetName = "mixture"
    tolerance: float = 0.01
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InvalidInput(f"steps: {self.steps}, at least 1 is required")
        if not 0 <= self.mix <= 1:
            raise InvalidInput(f"mix: {self.mix} is outside 0–1")
        if not 0 <= self.tolerance < 1:
            raise InvalidInput(f"tolerance: {self.tolerance} is outside 0–1")
        if self.target not in TARGETS:
            raise InvalidInput(f"target: {self.target!r} is not one of {', '.join(TARGETS)}")
        for name in ("budget", "temperature", "complementary_temperature", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InvalidInput(f"{name}: {value}, a finite number greater than 0 is required")

    def limit(self, rank: int) -> float:
        """Return how far a query of one (rank 1) or several vectors may drift."""
        if self.budget is not None:
            return self.budget
        if self.learning_rate is not None:
            return math.inf
        return SINGLE_VECTOR_BUDGET if rank == 1 else MULTI_VECTOR_BUDGET

    def rate(self, shape: tuple[int, ...]) -> float:
        """Return the learning rate for a query of this shape."""
        return self.learning_rate or self.limit(len(shape)) / (self.steps * math.sqrt(shape[-1]))
