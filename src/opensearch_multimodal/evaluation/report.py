"""From runs and judgements to a report: a pure function, no cluster involved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput
from ..types import Run, is_part, judges_wholes, whole_record
from .intervals import CONFIDENCE, SAMPLES, Interval, mean_intervals, paired_intervals
from .judgements import Qrels
from .metrics import DEFAULT_METRICS, parse_metric, per_query

__all__ = ["ProfileReport", "Report", "evaluate", "roll_up"]


@dataclass(frozen=True, slots=True)
class ProfileReport:
    """What one profile reached.

    Attributes:
        metrics: metric → mean over the queries with its 95% interval.
        differences: metric → mean difference to the baseline, paired by query, with its 95% interval;
            empty for the baseline itself.
        per_query: metric → query id → value.
    """

    metrics: Mapping[str, Interval]
    differences: Mapping[str, Interval]
    per_query: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Report:
    """What every profile reached on the same queries.

    Attributes:
        profiles: profile → its report, in the order given.
        baseline: the profile that the others are compared with.
        queries: how many queries were evaluated.
        rolled_up: whether hits on parts of a record were counted as hits on the record.
        warnings: sentences about what looks wrong in the runs.
    """

    profiles: Mapping[str, ProfileReport]
    baseline: str
    queries: int
    rolled_up: bool
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON values, without the values of single queries."""
        return {
            "queries": self.queries,
            "baseline": self.baseline,
            "confidence": CONFIDENCE,
            "rolled_up": self.rolled_up,
            "warnings": list(self.warnings),
            "profiles": {
                name: {"metrics": {metric: value.to_json() for metric, value in profile.metrics.items()}}
                for name, profile in self.profiles.items()
            },
            "differences": {
                name: {
                    metric: {**value.to_json(), "excludes_zero": value.excludes_zero}
                    for metric, value in profile.differences.items()
                }
                for name, profile in self.profiles.items()
                if name != self.baseline
            },
        }


def evaluate(
    runs: Mapping[str, Run],
    qrels: Qrels,
    metrics: Sequence[str] = DEFAULT_METRICS,
    *,
    baseline: str | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Report:
    """Compare runs of several profiles on the same judgements.

    Every judged query counts, with 0 where a run returned nothing for it. When no judged id ends in
    ``#c<n>``, hits on the parts ``X#c1``, ``X#c2`` … of a split record count as one hit on ``X`` with
    the best part's score.

    Args:
        runs: profile → run; left unchanged.
        qrels: the judgements of the queries to count; left unchanged.
        metrics: names such as ``ndcg@10``.
        baseline: the profile that the others are compared with; the first by default.
        samples: resamples of the bootstrap.
        seed: of the bootstrap; the same seed gives the same intervals.

    Raises:
        InvalidInput: no runs, no judged queries, an unknown metric, or a baseline that is not among the runs.
    """
    if not runs:
        raise InvalidInput("runs: at least one profile is needed, got none")
    if not qrels:
        raise InvalidInput("qrels: at least one judged query is needed, got none")
    reference = baseline if baseline is not None else next(iter(runs))
    if reference not in runs:
        raise InvalidInput(f"baseline '{reference}' is not among the profiles evaluated: {', '.join(runs)}")
    parsed = list({metric.name: metric for metric in map(parse_metric, metrics)}.values())
    if not parsed:
        raise InvalidInput("metrics: at least one metric is needed, got none")

    rolled_up = judges_wholes(qrels) and any(is_part(record) for run in runs.values() for record in _ids(run))
    whole = {name: roll_up(run) if rolled_up else run for name, run in runs.items()}
    values = {name: per_query(run, qrels, parsed) for name, run in whole.items()}
    names = [metric.name for metric in parsed]
    profiles = {}
    for profile, table in values.items():
        means = mean_intervals(table, samples=samples, seed=seed)
        against = (
            []
            if profile == reference
            else paired_intervals(table, values[reference], samples=samples, seed=seed)
        )
        profiles[profile] = ProfileReport(
            metrics=dict(zip(names, means, strict=True)),
            differences=dict(zip(names, against, strict=False)),
            per_query={
                name: dict(zip(qrels, map(float, table[:, column]), strict=True))
                for column, name in enumerate(names)
            },
        )
    return Report(profiles, reference, len(qrels), rolled_up, tuple(_doubts(whole, qrels)))


def roll_up(run: Run) -> dict[str, dict[str, float]]:
    """Return ``run`` with the parts of a record replaced by the record, at the best part's score."""
    rolled: dict[str, dict[str, float]] = {}
    for query, hits in run.items():
        best = rolled.setdefault(query, {})
        for record, score in hits.items():
            key = whole_record(record)
            best[key] = max(score, best.get(key, score))
    return rolled


def _ids(run: Run) -> set[str]:
    return {record for hits in run.values() for record in hits}


def _doubts(runs: Mapping[str, Run], qrels: Qrels) -> list[str]:
    """Return what a user should look at before believing the numbers."""
    found = {record for run in runs.values() for record in _ids(run)}
    if not found:
        return ["no profile returned a single hit: is the index empty?"]
    judged = {record for records in qrels.values() for record in records}
    if found.isdisjoint(judged):
        return [
            "none of the judged records was ever returned, so the ids probably follow another scheme: "
            f"judged ids look like '{min(judged)}', returned ones like '{min(found)}'"
        ]
    return [
        f"profile '{name}' returned nothing for {missing} of {len(qrels)} queries; they count as 0"
        for name, run in runs.items()
        if (missing := sum(not run.get(query) for query in qrels))
    ]
