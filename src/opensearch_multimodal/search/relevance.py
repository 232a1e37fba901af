"""The probability that a result is relevant: a logistic function of its calibrated scores and its rank."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import InvalidInput
from ..mappings import IndexDescription, Relevance, Statistics
from ..types import Candidate
from .scoring import NO_VECTOR
from .statistics import scales

__all__ = ["RESULTS_LEARNT", "features", "fit", "probabilities", "relevance_of"]

_Floats = npt.NDArray[np.float64]
RESULTS_LEARNT = 50
"""How many results of a query relevance is learnt from; what is relevant is expected among so many."""

_RIDGE = 1.0
_MOST_STEPS = 100


def relevance_of(index: IndexDescription, profile: str) -> Relevance:
    """Return what was learnt for a profile, by its name or one that points to it.

    Raises:
        InvalidInput: nothing was.
    """
    name = index.resolve_name(profile)
    learnt = index.meta.statistics.relevance.get(name)
    if learnt is None:
        raise InvalidInput(
            f"cut: method 'relevance' needs what is learnt from judgements: run 'osmm index calibrate "
            f"{index.name} --profile {name} --queries FILE --qrels FILE'"
        )
    return learnt


def features(ranked: Sequence[Candidate], fields: Sequence[str], statistics: Statistics) -> _Floats:
    """Return what the logistic function reads of each result.

    Args:
        ranked: the results, best first.
        fields: the scored fields.
        statistics: of the index.

    Returns:
        Shape (c, fields + 1), float64: per field the score in standard deviations from the mean of the
        result's modality, 0 where there is no score (it says nothing), and last the logarithm of the rank.

    Raises:
        InvalidInput: nothing was learnt of a field.
    """
    learnt = scales(ranked, fields, statistics)
    columns = []
    for name in fields:
        means, deviations = learnt[name]
        scores = np.array([candidate.scores.get(name, NO_VECTOR) for candidate in ranked])
        columns.append(np.where(np.isfinite(scores), (scores - means) / deviations, 0.0))
    columns.append(np.log(np.arange(1, len(ranked) + 1)))
    return np.stack(columns, axis=1)


def probabilities(ranked: Sequence[Candidate], learnt: Relevance, statistics: Statistics) -> _Floats:
    """Return each result's probability of being relevant.

    Args:
        ranked: the results, best first, with a score of every field in ``learnt``.
        learnt: for the profile that ranked them.
        statistics: of the index.

    Returns:
        Shape (c,), float64, in 0–1.
    """
    coefficients = np.array([*learnt.fields.values(), learnt.rank])
    return _logistic(learnt.intercept + features(ranked, list(learnt.fields), statistics) @ coefficients)


def fit(values: _Floats, relevant: npt.NDArray[np.bool_]) -> tuple[float, _Floats]:
    """Return intercept and coefficients of a logistic regression, by Newton's method.

    Relevance as a logistic function of scores and ln(rank): Le Calvé and Savoy, "Database merging strategy
    based on logistic regression", Information Processing & Management 36, 2000. A ridge of 1 on the
    coefficients keeps them finite where the results can be told apart without error.

    Args:
        values: shape (n, d), float64: one row per result.
        relevant: shape (n,), bool.

    Returns:
        The intercept, and the coefficients of shape (d,), float64.

    Raises:
        InvalidInput: all results are relevant, or none is.
    """
    if relevant.all() or not relevant.any():
        raise InvalidInput(
            f"qrels: {int(relevant.sum())} of {relevant.size} results are judged relevant: "
            "relevance can only be learnt from some of both"
        )
    design = np.column_stack([np.ones(len(values)), values])
    penalty = np.full(design.shape[1], _RIDGE)
    penalty[0] = 0.0
    weights = np.zeros(design.shape[1])
    loss = _loss(design, relevant, weights, penalty)
    for _ in range(_MOST_STEPS):
        predicted = _logistic(design @ weights)
        gradient = design.T @ (predicted - relevant) + penalty * weights
        curvature = (design * (predicted * (1 - predicted))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(curvature + 1e-9 * np.eye(len(weights)), gradient)
        size = 1.0
        while size > 1e-6 and _loss(design, relevant, weights - size * step, penalty) > loss:
            size /= 2
        weights = weights - size * step
        before, loss = loss, _loss(design, relevant, weights, penalty)
        if before - loss < 1e-9 * (1 + abs(loss)):
            break
    return float(weights[0]), weights[1:]


def _logistic(values: _Floats) -> _Floats:
    probability: _Floats = 0.5 * (1 + np.tanh(values / 2))
    return probability


def _loss(design: _Floats, relevant: npt.NDArray[np.bool_], weights: _Floats, penalty: _Floats) -> float:
    """Return the negative log-likelihood plus the ridge."""
    logits = design @ weights
    return float(
        np.logaddexp(0, np.where(relevant, -logits, logits)).sum() + (penalty * weights**2).sum() / 2
    )
