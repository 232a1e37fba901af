"""Confidence intervals of means and of paired differences, by the bootstrap over queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..errors import InvalidInput

__all__ = ["CONFIDENCE", "SAMPLES", "Interval", "mean_intervals", "paired_intervals"]

CONFIDENCE = 0.95
"""The share of repetitions in which an interval holds the true mean."""

SAMPLES = 10_000
"""Resamples of the queries; twice as many move a bound by less than the third decimal of a metric."""

_BLOCK = 1_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over queries with the bounds of its confidence interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside: then a difference is unlikely to be chance alone."""
        return self.low > 0 or self.high < 0

    @property
    def verdict(self) -> Literal["better", "worse", "unclear"]:
        """What a difference says: more than chance, or not."""
        if not self.excludes_zero:
            return "unclear"
        return "better" if self.low > 0 else "worse"

    def widened(self, factor: float) -> Interval:
        """Return an interval ``factor`` times as wide to each side of the same mean."""
        low, high = (self.mean + factor * (bound - self.mean) for bound in (self.low, self.high))
        return Interval(self.mean, low, high)

    def to_json(self) -> dict[str, float]:
        """Return mean and bounds as plain JSON values."""
        return {"mean": self.mean, "low": self.low, "high": self.high}


def mean_intervals(
    values: npt.NDArray[np.float64], *, samples: int = SAMPLES, seed: int = 0
) -> list[Interval]:
    """Return the mean of each column with its 95% percentile bootstrap interval.

    The queries are the sample: each resample draws as many of them, with replacement
    (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13; for retrieval metrics:
    Sakai, "Evaluating evaluation metrics based on the bootstrap", SIGIR 2006).

    Args:
        values: shape (q, m), float64: one row per query, one column per metric; left unchanged.
        samples: how many resamples are drawn.
        seed: the same seed gives the same interval.

    Raises:
        InvalidInput: there are no queries.
    """
    if values.ndim != 2 or values.shape[0] == 0:
        raise InvalidInput(f"values: expected shape (q, m) with at least 1 query, got shape {values.shape}")
    means = np.concatenate(list(_resampled_means(values, samples, seed)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    # A column without spread must not get bounds that rounding moved past its mean.
    flat = values.min(axis=0) == values.max(axis=0)
    centre = np.where(flat, values[0], values.mean(axis=0))
    low, high = np.where(flat, centre, low), np.where(flat, centre, high)
    return [Interval(float(c), float(a), float(b)) for c, a, b in zip(centre, low, high, strict=True)]


def paired_intervals(
    values: npt.NDArray[np.float64],
    baseline: npt.NDArray[np.float64],
    *,
    samples: int = SAMPLES,
    seed: int = 0,
) -> list[Interval]:
    """Return the mean of ``values - baseline`` per column with its 95% interval.

    Both come from the same queries, so the difference is taken query by query before resampling: what makes
    a query hard for both cancels, and the interval is narrower than that of two independent means.

    Args:
        values: shape (q, m), float64: one row per query, one column per metric; left unchanged.
        baseline: the same shape, rows and columns in the same order; left unchanged.
        samples: how many resamples are drawn.
        seed: the same seed gives the same interval.

    Raises:
        InvalidInput: the shapes differ, or there are no queries.
    """
    if values.shape != baseline.shape:
        raise InvalidInput(f"baseline: expected shape {values.shape} like values, got {baseline.shape}")
    return mean_intervals(values - baseline, samples=samples, seed=seed)


def _resampled_means(
    values: npt.NDArray[np.float64], samples: int, seed: int
) -> Iterator[npt.NDArray[np.float64]]:
    """Yield blocks of shape (b, m): the means of b resamples."""
    queries = values.shape[0]
    generator = np.random.Generator(np.random.PCG64(seed))
    block = max(1, _BLOCK // queries)
    for start in range(0, samples, block):
        size = min(block, samples - start)
        drawn = generator.integers(queries, size=(size, queries))
        rows = np.arange(size)[:, None] * queries
        counts = np.bincount((drawn + rows).ravel(), minlength=size * queries).reshape(size, queries)
        yield counts @ values / queries
