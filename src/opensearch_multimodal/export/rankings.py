"""Do exported vectors rank as the original ones do?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from ..models import Kind
from ..types import FloatArray
from .parity import RankingParity

__all__ = ["compare_rankings", "correlation"]

_TIED = 1e-4
"""Scores of the original nearer to each other than this, per row of the query, are no ranking."""


def compare_rankings(
    kind: Kind, original: Sequence[Sequence[FloatArray]], exported: Sequence[Sequence[FloatArray]]
) -> RankingParity:
    """Compare rankings: texts rank images where there are both, else the first third ranks the rest.

    Args:
        kind: what the model yields.
        original: per tower, the vectors (rows, d) of each example by the original; text first.
        exported: the same by the ONNX files.
    """
    if kind == "reranker":
        scores = [np.array([_score(rows) for rows in some[0]])[None] for some in (original, exported)]
        return _agreement("logit", scores[0], scores[1], np.array([_TIED]))
    one_tower = len(original) == 1
    cut = len(original[0]) // 3 if one_tower else len(original[0])
    skip = cut if one_tower else 0
    both = [
        np.array([[_maxsim(query, passage) for passage in some[-1][skip:]] for query in some[0][:cut]])
        for some in (original, exported)
    ]
    ties = np.array([_TIED * len(query) for query in original[0][:cut]])
    return _agreement("MaxSim" if kind == "multi_vector" else "inner product", both[0], both[1], ties)


def _maxsim(query: FloatArray, passage: FloatArray) -> float:
    """Return the sum over query rows of the largest inner product; for one row each, the inner product."""
    return float((query @ passage.T).max(axis=1).sum())


def _score(logits: FloatArray) -> float:
    return float(logits[0, 0] if logits.shape[1] == 1 else logits[0, 1] - logits[0, 0])


def _agreement(
    name: str,
    original: npt.NDArray[np.float64],
    exported: npt.NDArray[np.float64],
    ties: npt.NDArray[np.float64],
) -> RankingParity:
    kept = decided = 0
    taus = []
    whole = []
    for wanted, found, tied in zip(original, exported, ties, strict=True):
        pairs = list(combinations(range(len(wanted)), 2))
        signs = np.array([np.sign((wanted[a] - wanted[b]) * (found[a] - found[b])) for a, b in pairs])
        clear = np.array([abs(wanted[a] - wanted[b]) > tied for a, b in pairs])
        taus.append(float(signs.mean()))
        kept += int((signs[clear] > 0).sum())
        decided += int(clear.sum())
        whole.append(bool((signs[clear] > 0).all()))
    return RankingParity(
        score=name,
        queries=len(original),
        passages=original.shape[1],
        max_difference=float(np.abs(original - exported).max()),
        kendall_tau=float(np.mean(taus)),
        decided_kept=kept / decided if decided else 1.0,
        identical=float(np.mean(whole)),
    )


def correlation(wanted: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> float:
    """Return Pearson's correlation of two arrays of shape (n,)."""
    wanted, found = wanted - wanted.mean(), found - found.mean()
    return float(wanted @ found / max(float(np.linalg.norm(wanted) * np.linalg.norm(found)), 1e-30))
