"""Tune a profile on judged questions: ask once, rank by hundreds of settings, judge by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..blas import single_threaded
from ..mappings import IndexDescription, SourceField
from ..search import Refinements, ScoredQuestion, Searcher, rank
from .intervals import Interval, mean_intervals, paired_intervals
from .judgements import Topics
from .metrics import Metric, per_query
from .report import judges_wholes, roll_up
from .selection import Choice, choose, fold_of_each
from .settings import Setting, as_setting, fusion_settings, refine_settings, untuned

__all__ = ["FOLDS", "TUNED_FUSION", "TUNED_REFINEMENT", "Row", "Tuning", "tune"]

FOLDS = 5
"""Folds of the cross-validation."""

TUNED_FUSION = "tuned fusion"
"""The name of the row of tuned fusion."""

TUNED_REFINEMENT = "tuned gqr"
"""The name of the row of tuned refinement."""

_Floats = npt.NDArray[np.float64]
_Progress: TypeAlias = Callable[[str, int], None]
"""Called with what is being done and how many questions there are, once per question."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one way to rank reached.

    Attributes:
        name: for people.
        values: shape (q,), float64: the metric of each question. Of a tuned row, by what was chosen without
            the question's fold.
        mean: with its 95% interval.
        difference: to the present profile, paired by question; None for that profile itself.
        setting: what a tuned row would be written as: the choice on all questions; None for other rows.
        agreed: tuned rows: in how many folds that same setting was chosen.
    """

    name: str
    values: _Floats
    mean: Interval
    difference: Interval | None
    setting: Setting | None = None
    agreed: int = 0


@dataclass(frozen=True, slots=True)
class Tuning:
    """The outcome.

    Attributes:
        metric: such as ``ndcg@10``.
        present: the profile that was to be beaten.
        rows: the present profile, the best single retriever, untuned fusions, tuned fusion, and tuned
            refinement where the profile can have one.
        winner: the name of the tuned row to be written: refinement where it is better than tuned fusion
            beyond chance, else fusion.
        refinement_gain: tuned refinement minus tuned fusion, None without refinement.
        tried: how many settings were tried.
        folds: of the cross-validation.
    """

    metric: str
    present: str
    rows: tuple[Row, ...]
    winner: str
    refinement_gain: Interval | None
    tried: int
    folds: int

    def row(self, name: str) -> Row:
        """Return the row of this name."""
        return next(row for row in self.rows if row.name == name)

    @property
    def won(self) -> bool:
        """Whether the winner is better than the present profile by more than chance."""
        difference = self.row(self.winner).difference
        return difference is not None and difference.low > 0

    @property
    def smallest_visible(self) -> float:
        """About the smallest difference that this many questions can tell from chance."""
        difference = self.row(self.winner).difference
        return (difference.high - difference.low) / 2 if difference else 0.0


def tune(
    searcher: Searcher,
    topics: Topics,
    metric: Metric,
    *,
    profile: str = "default",
    folds: int = FOLDS,
    seed: int = 0,
    progress: _Progress = lambda what, count: None,
) -> Tuning:
    """Find the setting of a profile that ranks best, and say what it is worth on questions it has not seen.

    Each question's first stage is asked for once, and its candidates' exact scores are kept; every setting
    then ranks those. Refinement is tried on top of the fusions that the folds choose and of the present one,
    with vectors that are fetched once per question and not kept.

    Args:
        searcher: of the index.
        topics: questions with judgements.
        metric: what to maximize.
        profile: the profile to beat, whose retrievers and depths are used.
        folds: of the cross-validation.
        seed: of the folds.
        progress: called once per question and stage.

    Raises:
        InvalidInput: too few questions, no such profile, or a field's vectors are not stored.
        ModelMismatch: a model at hand did not make the index's vectors.
        ClusterError: the cluster failed.
    """
    index = searcher.index
    name = index.resolve_name(profile)
    present = as_setting(index, name, index.profile(profile))
    fold = fold_of_each(len(topics.texts), folds, seed=seed)
    asked = _Asked(searcher, topics, metric, profile, progress)

    fusions = fusion_settings(index, present.profile)
    values = asked.values("fusions", fusions)
    choice = choose(values, fold)
    shortlist = list(dict.fromkeys([*choice.of_folds, choice.final]))
    stems = [fusions[row] for row in shortlist] + [_without_refinement(index, present)]
    refined = [refine_settings(index, stem) for stem in stems]
    flat = [setting for group in refined for setting in group]
    more = asked.values("refinements", [present, *flat], vectors=_fields_to_fetch(index, [present, *flat]))

    table = _Table(more[0], name)
    table.add_plain(
        "best single retriever", fusions, values, [i for i, s in enumerate(fusions) if len(s.fields) == 1]
    )
    for label, setting in untuned(fusions, index).items():
        table.add_plain(f"{label}, equal weights", fusions, values, [fusions.index(setting)])
    table.add_tuned(TUNED_FUSION, fusions, values, choice)
    gain = None
    if flat:
        rows = _rows_of_folds(choice, shortlist, refined)
        chosen = choose(more[1:], fold, rows)
        table.add_tuned(TUNED_REFINEMENT, flat, more[1:], chosen)
        (gain,) = paired_intervals(chosen.held_out[:, None], choice.held_out[:, None])
    winner = TUNED_REFINEMENT if gain is not None and gain.low > 0 else TUNED_FUSION
    return Tuning(metric.name, name, tuple(table.rows), winner, gain, len(fusions) + len(flat), folds)


def _rows_of_folds(
    choice: Choice, shortlist: Sequence[int], refined: Sequence[Sequence[Setting]]
) -> list[list[int]]:
    """Return the refinements that each fold may choose: those of its own fusion, and of the present one."""
    starts = np.cumsum([0, *map(len, refined)])
    ranges = [list(range(starts[i], starts[i + 1])) for i in range(len(refined))]
    own = [ranges[shortlist.index(row)] for row in (*choice.of_folds, choice.final)]
    return [rows + ranges[-1] for rows in own]


def _without_refinement(index: IndexDescription, present: Setting) -> Setting:
    stem = present.profile.model_copy(update={"refine": None})
    return as_setting(index, f"{present.name} without refinement", stem)


def _fields_to_fetch(index: IndexDescription, settings: Sequence[Setting]) -> list[str]:
    found = {one.profile.refine.primary for one in settings if one.profile.refine}
    return sorted(name for name in found if isinstance(index.meta.fields.get(name), SourceField))


class _Asked:
    """The questions with all that was found for them."""

    def __init__(
        self, searcher: Searcher, topics: Topics, metric: Metric, profile: str, progress: _Progress
    ) -> None:
        self._searcher = searcher
        self._topics = topics
        self._metric = metric
        self._progress = progress
        self._wholes = judges_wholes(topics.qrels)
        self._questions: dict[str, ScoredQuestion] = {}
        for query, text in topics.texts.items():
            self._questions[query] = searcher.score(text, profile=profile, k=metric.depth)
            progress("first stage", len(topics.texts))

    def values(self, what: str, settings: Sequence[Setting], vectors: Sequence[str] = ()) -> _Floats:
        """Return the metric of every question by every setting, shape (settings, questions)."""
        columns = []
        for query, question in self._questions.items():
            fetched = self._searcher.fetch_vectors(question, vectors) if vectors else question
            refinements: Refinements = {}
            with single_threaded():
                runs = {
                    str(number): self._run(fetched, setting, refinements)
                    for number, setting in enumerate(settings)
                }
            # One call for all settings: each of them stands as a query with the same judgements.
            judged = dict.fromkeys(runs, self._topics.qrels[query])
            columns.append(per_query(runs, judged, [self._metric])[:, 0])
            self._progress(what, len(self._questions))
        return np.stack(columns, axis=1)

    def _run(
        self, question: ScoredQuestion, setting: Setting, refinements: Refinements
    ) -> Mapping[str, float]:
        ranked = rank(self._searcher.index, question, setting.profile, refinements)[: self._metric.depth]
        scores = {candidate.id: candidate.score for candidate in ranked}
        return roll_up({"": scores})[""] if self._wholes else scores


class _Table:
    """The rows, compared with the present profile."""

    def __init__(self, present: _Floats, name: str) -> None:
        self._present = present
        self.rows = [Row(name, present, _interval(present), None)]

    def add_plain(
        self, label: str, settings: Sequence[Setting], values: _Floats, among: Sequence[int]
    ) -> None:
        """Add the best of a few settings that nothing was tuned for."""
        best = max(among, key=lambda row: values[row].mean(), default=None)
        if best is not None:
            name = settings[best].name if len(among) > 1 else ""
            self._add(f"{label}: {name}" if name else label, values[best])

    def add_tuned(self, label: str, settings: Sequence[Setting], values: _Floats, choice: Choice) -> None:
        """Add what was chosen by cross-validation."""
        agreed = sum(row == choice.final for row in choice.of_folds)
        self._add(label, choice.held_out, settings[choice.final], agreed)

    def _add(self, name: str, values: _Floats, setting: Setting | None = None, agreed: int = 0) -> None:
        (difference,) = paired_intervals(values[:, None], self._present[:, None])
        self.rows.append(Row(name, values, _interval(values), difference, setting, agreed))


def _interval(values: _Floats) -> Interval:
    return mean_intervals(values[:, None])[0]
