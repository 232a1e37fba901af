"""What a refined query is to say of the candidates: the three published definitions of GQR's target.

Uzan and others (2025, arXiv:2510.05038) mix the primary retriever's distribution over the candidates, p₁,
with the complementary one, p₂, in the share a:

- ``mixture``, their published code: m = (1 − a)·p₁ + a·p₂, fixed before the first step;
- ``recomputed``, their text: the same mixture with p₁ of the query as it is now, so that the target moves
  along and its own gradient counts;
- ``mean_scores``, their published notebook: m = softmax((1 − a)·s₁/T₁ + a·s₂/T₂), fixed.

With several complementary retrievers, p₂ is the weighted mean of their distributions; ``mean_scores`` takes
the weighted mean of their scores over their temperatures.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

__all__ = [
    "TARGETS",
    "Target",
    "TargetName",
    "divergence",
    "joined",
    "log_ratio",
    "make_target",
    "softmax",
]

TargetName = Literal["mixture", "recomputed", "mean_scores"]
TARGETS: tuple[TargetName, ...] = get_args(TargetName)

Doubles: TypeAlias = npt.NDArray[np.float64]


class Target(Protocol):
    """What the distribution of each of b queries over its c candidates is drawn to."""

    def at(self, logits: Doubles) -> Doubles:
        """Return m while the primary's logits s/T₁ are these; both of shape (b, c)."""
        ...

    def gradient(self, logits: Doubles) -> Doubles:
        """Return dKL(m ‖ softmax(logits)) / dlogits, shape (b, c)."""
        ...


def make_target(
    name: TargetName, logits: Doubles, complementary: Doubles, weights: Doubles, mix: float
) -> Doubles:
    """Return what `joined` needs of one query: m, or p₂ where the target is recomputed; shape (c,).

    Args:
        name: the definition.
        logits: s₁/T₁, shape (c,), finite.
        complementary: sᵣ/Tᵣ, shape (r, c), −∞ where a retriever has no score.
        weights: shape (r,), summing to 1.
        mix: a.
    """
    if name == "mean_scores":
        lowest = np.min(complementary, axis=1, where=np.isfinite(complementary), initial=np.inf)
        known = np.maximum(complementary, lowest[:, None])
        return softmax((1 - mix) * logits + mix * (weights @ known))
    guide: Doubles = weights @ softmax(complementary)
    return guide if name == "recomputed" else (1 - mix) * softmax(logits) + mix * guide


def joined(name: TargetName, parts: Doubles, mix: float) -> Target:
    """Return the target of b queries from what `make_target` returned for each, shape (b, c)."""
    return _Recomputed(parts, mix) if name == "recomputed" else _Fixed(parts)


class _Fixed:
    def __init__(self, target: Doubles) -> None:
        self._target = target

    def at(self, logits: Doubles) -> Doubles:
        return self._target

    def gradient(self, logits: Doubles) -> Doubles:
        gradient = softmax(logits)
        gradient -= self._target
        return gradient


class _Recomputed:
    """m = (1 − a)·p + a·p₂, where p is the primary's distribution now.

    dKL(m ‖ p)/dzₖ = pₖ − mₖ + (1 − a)·pₖ·(lₖ − Σᵢ pᵢ·lᵢ) with l = log(m/p): the second part is the target's
    own movement. Without it, p − m would be a·(p − p₂), whose length Adam divides out: the mixture would have
    no effect but on the rounding.
    """

    def __init__(self, guide: Doubles, mix: float) -> None:
        self._guide = guide
        self._mix = mix

    def at(self, logits: Doubles) -> Doubles:
        return (1 - self._mix) * softmax(logits) + self._mix * self._guide

    def gradient(self, logits: Doubles) -> Doubles:
        p = softmax(logits)
        m = (1 - self._mix) * p + self._mix * self._guide
        ratio = log_ratio(m, logits)
        own = p * (ratio - (p * ratio).sum(axis=-1, keepdims=True))
        gradient: Doubles = p - m + (1 - self._mix) * own
        return gradient


def softmax(logits: npt.NDArray[Any]) -> Doubles:
    """Return the softmax over the last axis, in float64, of logits that are finite or −∞."""
    powers = np.array(logits, dtype=np.float64)
    powers -= np.maximum.reduce(powers, axis=-1, keepdims=True)
    np.exp(powers, out=powers)
    powers /= np.add.reduce(powers, axis=-1, keepdims=True)
    return powers


def log_ratio(target: Doubles, logits: Doubles) -> Doubles:
    """Return log(target / softmax(logits)), and 0 where the target is 0; both of shape (…, c)."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    positive = target > 0
    ratio: Doubles = np.where(positive, np.log(np.where(positive, target, 1.0)) - logs, 0.0)
    return ratio


def divergence(target: Doubles, logits: Doubles) -> Doubles:
    """Return KL(target ‖ softmax(logits)) in nats over the last axis; 0 · log 0 is 0."""
    nats: Doubles = (target * log_ratio(target, logits)).sum(axis=-1)
    return nats
