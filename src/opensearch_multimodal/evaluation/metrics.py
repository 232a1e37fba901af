"""Ranking metrics per query, computed by ir-measures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ir_measures
import numpy as np
import numpy.typing as npt

from ..errors import InvalidInput
from ..types import Run
from .judgements import Qrels

__all__ = ["DEFAULT_METRICS", "Metric", "parse_metric", "per_query"]

DEFAULT_METRICS = ("ndcg@10", "recall@100", "mrr@10")

_FAMILIES: Mapping[str, Any] = {
    "ndcg": ir_measures.nDCG,
    "recall": ir_measures.R,
    "mrr": ir_measures.RR,
    "precision": ir_measures.P,
    "success": ir_measures.Success,
    "map": ir_measures.AP,
}
_NAME = re.compile(r"([a-z]+)@([1-9][0-9]{0,4})")


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric with its cut-off.

    Attributes:
        name: such as ``ndcg@10``.
        depth: the cut-off: how many hits it looks at.
        measure: the same metric in ir-measures.
    """

    name: str
    depth: int
    measure: Any


def parse_metric(name: str) -> Metric:
    """Return the metric called ``name``, such as ``ndcg@10``; names are lower case.

    Raises:
        InvalidInput: there is none; the message lists those there are.
    """
    match = _NAME.fullmatch(name.strip().lower())
    if match is None or match[1] not in _FAMILIES:
        known = ", ".join(f"{family}@K" for family in _FAMILIES)
        raise InvalidInput(f"metric '{name}' is unknown: choose from {known}, with a number such as 10 for K")
    depth = int(match[2])
    return Metric(match[0], depth, _FAMILIES[match[1]] @ depth)


def per_query(run: Run, qrels: Qrels, metrics: Sequence[Metric]) -> npt.NDArray[np.float64]:
    """Return every metric of every judged query.

    A judged query for which the run holds nothing scores 0; what the run holds for other queries is ignored.
    Hits are ranked by score, equal scores in the order in which the run holds them.
    nDCG is the one of trec_eval: the grade itself as gain, logarithmic discount (Järvelin and Kekäläinen,
    "Cumulated gain-based evaluation of IR techniques", 2002).

    Args:
        run: query id → record id → score.
        qrels: query id → record id → grade.
        metrics: the metrics to compute.

    Returns:
        Shape (number of judged queries, number of metrics), float64; rows in the order of ``qrels``,
        columns in the order of ``metrics``.
    """
    rows = {query: row for row, query in enumerate(qrels)}
    columns = {metric.measure: column for column, metric in enumerate(metrics)}
    values = np.zeros((len(rows), len(columns)))
    # trec_eval reads scores as single precision and breaks ties by id: hand it positions instead.
    ranked = {query: _positions(run.get(query, {})) for query in qrels}
    judged = {query: dict(records) for query, records in qrels.items()}
    for value in ir_measures.iter_calc(list(columns), judged, ranked):
        values[rows[value.query_id], columns[value.measure]] = value.value
    return values


def _positions(scores: Mapping[str, float]) -> dict[str, float]:
    """Return record id → a score that falls by 1 from rank to rank."""
    order = sorted(scores, key=lambda record: -scores[record])
    return {record: float(len(order) - rank) for rank, record in enumerate(order)}
