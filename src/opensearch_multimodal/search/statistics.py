"""What was learnt of the collection, as a query's candidates need it. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ..errors import InvalidInput
from ..mappings import Moments, Statistics
from ..types import Candidate
from .scoring import NO_VECTOR

__all__ = ["Scales", "scales", "unlearnt"]

Scales = Mapping[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]
"""Field → mean and deviation of each candidate's modality, two arrays of shape (c,), float64."""


def scales(candidates: Sequence[Candidate], fields: Iterable[str], statistics: Statistics) -> Scales:
    """Return each candidate's mean and deviation by each field.

    A modality that nothing was learnt of has those of all others together.

    Args:
        candidates: in any order.
        fields: the scored fields.
        statistics: of the index.

    Raises:
        InvalidInput: nothing was learnt of a field.
    """
    found = {}
    for name in fields:
        known = statistics.scores.get(name)
        if not known:
            raise InvalidInput(
                f"the index has no statistics of field '{name}', which normalization 'collection' and cut "
                "'relevance' need: run 'osmm index calibrate'"
            )
        pooled = _pooled(known.values())
        moments = [known.get(candidate.modality, pooled) for candidate in candidates]
        found[name] = (np.array([m.mean for m in moments]), np.array([m.deviation for m in moments]))
    return found


def unlearnt(
    candidates: Sequence[Candidate], fields: Iterable[str], statistics: Statistics
) -> list[tuple[str, str]]:
    """Return the pairs of field and modality that candidates have scores of and nothing was learnt of."""
    pairs = {
        (name, candidate.modality)
        for candidate in candidates
        for name in fields
        if candidate.scores.get(name, NO_VECTOR) != NO_VECTOR
    }
    return sorted(pair for pair in pairs if pair[1] not in statistics.scores.get(pair[0], {}))


def _pooled(parts: Iterable[Moments]) -> Moments:
    """Return the moments of all parts together (Chan, Golub and LeVeque, 1979)."""
    known = list(parts)
    counts = np.array([part.count for part in known], dtype=np.float64)
    means = np.array([part.mean for part in known])
    deviations = np.array([part.deviation for part in known])
    total = counts.sum()
    mean = float(counts @ means / total)
    squares = (counts - 1) @ deviations**2 + counts @ (means - mean) ** 2
    return Moments(mean=mean, deviation=float(np.sqrt(squares / (total - 1))), count=int(total))
