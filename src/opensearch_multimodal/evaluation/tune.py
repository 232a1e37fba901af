"""Tune a profile on judged questions: ask once, rank by hundreds of settings, judge by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..blas import single_threaded
from ..errors import InvalidInput
from ..mappings import IndexDescription, SourceField
from ..search import MAX_RESULTS, Refinements, Request, ScoredQuestion, Searcher, rank
from ..types import judges_wholes
from .intervals import Interval, mean_intervals, paired_intervals
from .judgements import Topics
from .metrics import Metric, per_query
from .report import roll_up
from .selection import Choice, choose, fold_of_each, widening
from .settings import Setting, as_setting, fusion_settings, late_stages, refine_settings, untuned

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
        mean: with its 95% interval; those of tuned rows are wider, see `selection.widening`.
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
        left_out: its stages that took no part on either side: reranking, documents, cut.
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
    left_out: tuple[str, ...]
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
        InvalidInput: too few questions or one that cannot be searched, a metric that looks too deep, no such
            profile, no setting to try, or a field's vectors are not stored.
        ModelMismatch: a model at hand did not make the index's vectors.
        ClusterError: the cluster failed.
    """
    index, base = searcher.index, searcher.index.profile(profile)
    name = index.resolve_name(profile)
    fold = fold_of_each(len(topics.texts), folds, seed=seed)
    _check(topics, metric)
    asked = _Asked(searcher, topics, metric, profile, progress)
    present = as_setting(index, name, base, asked.fields)

    fusions = fusion_settings(index, base, asked.fields)
    if not fusions:
        raise InvalidInput(f"profile '{name}': none of its retrievers found anything for these questions")
    values = asked.values("fusions", fusions)
    choice = choose(values, fold)
    shortlist = list(dict.fromkeys([*choice.of_folds, choice.final]))
    stems = [fusions[row] for row in shortlist] + [_without_refinement(index, present)]
    refined = [refine_settings(index, stem, base) for stem in stems]
    flat = [setting for group in refined for setting in group]
    more = asked.values("refinements", [present, *flat], vectors=_fields_to_fetch(index, [present, *flat]))

    table = _Table(more[0], name, widening(folds))
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
        gain = table.difference(chosen.held_out, choice.held_out, tuned=True)
    winner = TUNED_REFINEMENT if gain is not None and gain.low > 0 else TUNED_FUSION
    tried = len(fusions) + len(flat)
    left_out = tuple(late_stages(base))
    return Tuning(metric.name, name, left_out, tuple(table.rows), winner, gain, tried, folds)


def _check(topics: Topics, metric: Metric) -> None:
    """Refuse, before anything is searched, what a search would refuse."""
    if metric.depth > MAX_RESULTS:
        raise InvalidInput(f"metric '{metric.name}' looks at more than {MAX_RESULTS} results")
    for query, text in topics.texts.items():
        try:
            Request(text).check()
        except InvalidInput as error:
            raise InvalidInput(f"query '{query}': {error}") from None


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
    return as_setting(index, f"{present.name} without refinement", stem, present.fields)


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
        self.fields = {name for question in self._questions.values() for name in question.fields}
        """Those that can score the questions."""

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

    def __init__(self, present: _Floats, name: str, widening: float) -> None:
        self._present = present
        self._widening = widening
        self.rows = [Row(name, present, mean_intervals(present[:, None])[0], None)]

    def add_plain(
        self, label: str, settings: Sequence[Setting], values: _Floats, among: Sequence[int]
    ) -> None:
        """Add the best of a few settings that nothing was tuned for."""
        best = max(among, key=lambda row: values[row].mean(), default=None)
        if best is not None:
            name = settings[best].name if len(among) > 1 else ""
            mean, difference = self._measure(values[best], tuned=False)
            self.rows.append(Row(f"{label}: {name}" if name else label, values[best], mean, difference))

    def add_tuned(self, label: str, settings: Sequence[Setting], values: _Floats, choice: Choice) -> None:
        """Add what was chosen by cross-validation."""
        agreed = sum(row == choice.final for row in choice.of_folds)
        mean, difference = self._measure(choice.held_out, tuned=True)
        self.rows.append(Row(label, choice.held_out, mean, difference, settings[choice.final], agreed))

    def difference(self, values: _Floats, others: _Floats, *, tuned: bool) -> Interval:
        """Return the paired difference; wider where one side was tuned."""
        (found,) = paired_intervals(values[:, None], others[:, None])
        return found.widened(self._widening) if tuned else found

    def _measure(self, values: _Floats, *, tuned: bool) -> tuple[Interval, Interval]:
        (mean,) = mean_intervals(values[:, None])
        difference = self.difference(values, self._present, tuned=tuned)
        return (mean.widened(self._widening) if tuned else mean), difference
