"""Which queries a profile wins and loses against the baseline, and both rankings side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..types import Run, whole_record
from .judgements import Qrels
from .report import Report

__all__ = [
    "Column",
    "Duel",
    "MissedRecord",
    "QueryView",
    "Ranked",
    "choose_duels",
    "ranking",
    "shown_records",
    "view_query",
]

_HITS = 10
_MISSED = 15
_DIGITS = 9  # what differs by less was summed in another order


@dataclass(frozen=True, slots=True)
class Ranked:
    """A record at its rank.

    Attributes:
        id: the id that judgements name.
        record: the id to look at: that of the best part, where hits on parts count for their record.
        score: the score that ranks it.
    """

    id: str
    record: str
    score: float


@dataclass(frozen=True, slots=True)
class Duel:
    """The queries of one profile against those of the baseline; of one profile alone, its values.

    Attributes:
        profile: the profile.
        values: (query id, difference to the baseline), the best first; ties in the order of the queries. With
            one profile only, (query id, value).
        gains: the ids of the queries to show as wins, the largest first.
        losses: the ids of the queries to show as losses, the largest first; with one profile only, those with
            the lowest values.
    """

    profile: str
    values: tuple[tuple[str, float], ...]
    gains: tuple[str, ...]
    losses: tuple[str, ...]

    @property
    def won(self) -> int:
        """How many queries have a higher value than with the baseline."""
        return sum(value > 0 for _, value in self.values)

    @property
    def lost(self) -> int:
        """How many queries have a lower value than with the baseline."""
        return sum(value < 0 for _, value in self.values)

    @property
    def tied(self) -> int:
        """How many queries have the same value."""
        return len(self.values) - self.won - self.lost


@dataclass(frozen=True, slots=True)
class Column:
    """What one profile made of a query.

    Attributes:
        profile: the profile.
        value: the metric's value.
        hits: the first ten, best first.
        other_ranks: per hit its rank with the other profile, None where that did not return it.
    """

    profile: str
    value: float
    hits: tuple[Ranked, ...]
    other_ranks: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class MissedRecord:
    """A relevant record that is not among the hits shown of every column.

    Attributes:
        id: its id in the judgements.
        records: the ids to look at, of which one is there.
        grade: its grade.
        ranks: per column its rank, None where it was not returned.
    """

    id: str
    records: tuple[str, ...]
    grade: int
    ranks: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class QueryView:
    """One query, side by side.

    Attributes:
        query: its id.
        columns: the baseline and the profile; one where there is no other.
        grades: record id → grade of what was judged.
        missed: relevant records that not every column shows, the highest grade first.
        more_missed: how many further ones there are.
    """

    query: str
    columns: tuple[Column, ...]
    grades: Mapping[str, int]
    missed: tuple[MissedRecord, ...]
    more_missed: int


def ranking(hits: Mapping[str, float], *, rolled_up: bool) -> list[Ranked]:
    """Return the hits of a query as the metrics count them, best first; equal scores keep their order.

    Args:
        hits: record id → score; left unchanged.
        rolled_up: whether hits on parts count for their record.
    """
    best: dict[str, Ranked] = {}
    for record, score in hits.items():
        key = whole_record(record) if rolled_up else record
        if key not in best or score > best[key].score:
            best[key] = Ranked(key, record, score)
    return sorted(best.values(), key=lambda one: -one.score)


def choose_duels(report: Report, metric: str, most: int) -> list[Duel]:
    """Return the duel of every profile with the baseline; of a profile alone, its queries by their value.

    Args:
        report: the report.
        metric: the metric that decides.
        most: how many wins, and how many losses, are shown.
    """
    base = report.profiles[report.baseline].per_query[metric]
    if len(report.profiles) == 1:
        ordered = sorted(base.items(), key=lambda item: -item[1])
        lowest = [query for query, _ in sorted(base.items(), key=lambda item: item[1])]
        return [Duel(report.baseline, tuple(ordered), (), tuple(lowest[:most]))]
    duels = []
    for name, profile in report.profiles.items():
        if name == report.baseline:
            continue
        values = profile.per_query[metric]
        differences = [(query, round(value - base[query], _DIGITS)) for query, value in values.items()]
        differences.sort(key=lambda item: -item[1])
        gains = [query for query, difference in differences if difference > 0]
        losses = [query for query, difference in reversed(differences) if difference < 0]
        duels.append(Duel(name, tuple(differences), tuple(gains[:most]), tuple(losses[:most])))
    return duels


def view_query(
    query: str,
    profiles: Sequence[str],
    *,
    runs: Mapping[str, Run],
    qrels: Qrels,
    report: Report,
    metric: str,
) -> QueryView:
    """Return one query with the hits of some profiles side by side.

    Args:
        query: the query's id.
        profiles: one profile, or the baseline and another.
        runs: profile → run; left unchanged.
        qrels: the judgements.
        report: the report on these runs.
        metric: the metric whose values are shown.
    """
    ranked = [ranking(runs[name].get(query, {}), rolled_up=report.rolled_up) for name in profiles]
    ranks = [{one.id: rank for rank, one in enumerate(hits, start=1)} for hits in ranked]
    columns = []
    for place, (name, hits) in enumerate(zip(profiles, ranked, strict=True)):
        other = ranks[1 - place] if len(profiles) > 1 else {}
        columns.append(
            Column(
                name,
                report.profiles[name].per_query[metric][query],
                tuple(hits[:_HITS]),
                tuple(other.get(one.id) for one in hits[:_HITS]),
            )
        )
    missed = _missed(qrels[query], ranked, ranks, rolled_up=report.rolled_up)
    return QueryView(query, tuple(columns), qrels[query], missed[:_MISSED], len(missed[_MISSED:]))


def shown_records(view: QueryView) -> list[str]:
    """Return the ids of the records to look at, in the order in which they are shown."""
    hits = [hit.record for column in view.columns for hit in column.hits]
    return list(dict.fromkeys([*hits, *(record for one in view.missed for record in one.records)]))


def _missed(
    grades: Mapping[str, int],
    ranked: Sequence[Sequence[Ranked]],
    ranks: Sequence[Mapping[str, int]],
    *,
    rolled_up: bool,
) -> tuple[MissedRecord, ...]:
    found = {one.id: one.record for hits in ranked for one in hits}
    missed = []
    for record, grade in grades.items():
        places = tuple(one.get(record) for one in ranks)
        if grade > 0 and not all(place is not None and place <= _HITS for place in places):
            # What nobody found may have been split: its first part says what it is.
            unseen = (record, f"{record}#c1") if rolled_up else (record,)
            records = (found[record],) if record in found else unseen
            missed.append(MissedRecord(record, records, grade, places))
    return tuple(sorted(missed, key=lambda one: (-one.grade, min(p or 10**9 for p in one.ranks))))
