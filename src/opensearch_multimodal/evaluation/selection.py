"""Choose among settings by cross-validation. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InvalidInput

__all__ = ["Choice", "choose", "fold_of_each", "widening"]

_Floats = npt.NDArray[np.float64]
_Numbers = npt.NDArray[np.intp]
_FEWEST_PER_FOLD = 4


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, and how well choosing works.

    Attributes:
        final: the row that is best on all questions.
        of_folds: the row chosen without each fold.
        held_out: shape (q,), float64: each question's value by the row that was chosen without it. Its mean
            estimates what the choice is worth on new questions; the final row's own mean is too high.
    """

    final: int
    of_folds: tuple[int, ...]
    held_out: _Floats


def widening(folds: int) -> float:
    """Return by how much intervals of cross-validated values must be wider than those of independent ones.

    The values are not independent: each fold's choice is made on the questions of the others, so a fold that
    favours a setting makes the others choose it. √(1 + k / (k − 1)), the corrected variance of Nadeau and
    Bengio, "Inference for the generalization error", Machine Learning 52, 2003, for k folds.
    """
    return math.sqrt(1 + folds / (folds - 1))


def fold_of_each(count: int, folds: int, *, seed: int = 0) -> _Numbers:
    """Return the fold of each question, shape (count,): folds of equal size, drawn at random.

    Raises:
        InvalidInput: there are fewer questions than four per fold.
    """
    least = _FEWEST_PER_FOLD * folds
    if count < least:
        raise InvalidInput(f"queries: {count} with judgements, {folds} folds need at least {least}")
    generator = np.random.Generator(np.random.PCG64(seed))
    return generator.permutation(np.arange(count) % folds)


def choose(values: _Floats, fold: _Numbers, allowed: Sequence[Sequence[int]] | None = None) -> Choice:
    """Choose the row with the highest mean, for each fold on the questions outside it, and on all of them.

    Stone, "Cross-validatory choice and assessment of statistical predictions", 1974. Of equal means the
    earlier row is taken.

    Args:
        values: shape (s, q), float64: one row per setting, one column per question; left unchanged.
        fold: shape (q,): the fold of each question.
        allowed: the rows to choose from for each fold, and last those for the final choice; all by default.
    """
    folds = int(fold.max()) + 1
    rows = allowed or [range(len(values))] * (folds + 1)
    held_out = np.empty(values.shape[1])
    chosen = []
    for number in range(folds):
        inside = fold == number
        best = _best(values[:, ~inside], rows[number])
        held_out[inside] = values[best, inside]
        chosen.append(best)
    return Choice(_best(values, rows[folds]), tuple(chosen), held_out)


def _best(values: _Floats, rows: Sequence[int]) -> int:
    means = values[list(rows)].mean(axis=1)
    # Equal settings differ in the last bits where their values were added in another order.
    return rows[int(np.argmax(means >= means.max() - 1e-12))]
