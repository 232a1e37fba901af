"""Choosing by cross-validation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.evaluation.intervals import mean_intervals
from opensearch_multimodal.evaluation.selection import choose, fold_of_each, widening


def test_folds_are_of_equal_size_and_follow_the_seed():
    folds = fold_of_each(23, 5)
    assert sorted(np.bincount(folds)) == [4, 4, 5, 5, 5]
    np.testing.assert_array_equal(folds, fold_of_each(23, 5))
    assert (folds != fold_of_each(23, 5, seed=1)).any()


def test_fewer_than_four_questions_per_fold_are_refused():
    with pytest.raises(InvalidInput, match="queries: 19 with judgements, 5 folds need at least 20"):
        fold_of_each(19, 5)


def test_each_fold_is_judged_by_what_the_others_choose():
    fold = np.array([0, 0, 1, 1])
    values = np.array([[1.0, 1.0, 0.2, 0.2], [0.3, 0.3, 0.9, 0.9]])
    before = values.copy()
    choice = choose(values, fold)
    # Without fold 0 the second row is best (0.9 > 0.2), without fold 1 the first (1 > 0.3).
    assert choice.of_folds == (1, 0)
    np.testing.assert_array_equal(choice.held_out, [0.3, 0.3, 0.2, 0.2])
    assert choice.final == 0  # 2.4 / 4 against 2.4 / 4: the earlier one
    np.testing.assert_array_equal(values, before)


def test_the_best_of_many_useless_settings_is_no_better_than_any():
    generator = np.random.default_rng(0)
    values = generator.random((500, 200))
    choice = choose(values, fold_of_each(200, 5))
    in_sample = values[choice.final].mean()
    assert in_sample > 0.5 + 2 * np.sqrt(1 / 12 / 200)  # too good
    assert abs(choice.held_out.mean() - 0.5) < 2 * np.sqrt(1 / 12 / 200)


def test_a_fold_chooses_only_among_what_it_is_allowed():
    fold = np.array([0, 0, 1, 1])
    values = np.array([[0.9] * 4, [0.5] * 4, [0.7] * 4])
    choice = choose(values, fold, [[1], [2, 1], [1, 2]])
    assert (choice.of_folds, choice.final) == ((1, 2), 2)
    np.testing.assert_array_equal(choice.held_out, [0.5, 0.5, 0.7, 0.7])


def test_what_differs_in_the_last_bit_is_equal():
    values = np.array([[0.1 + 0.2, 0.3], [0.3, 0.1 + 0.2 + 1e-16]])
    assert choose(values, np.array([0, 1])).final == 0


@pytest.mark.parametrize("count", [20, 100])
def test_settings_that_are_no_better_seldom_look_so(count):
    """No setting differs from the present profile but by noise; one in 40 may look better all the same."""
    trials, folds = 400, 5
    won = plain = 0
    for seed in range(trials):
        generator = np.random.default_rng(seed)
        common = generator.standard_normal((4, count))
        differences = generator.standard_normal((60, 4)) @ common + generator.standard_normal((60, count))
        held_out = choose(differences, fold_of_each(count, folds, seed=seed)).held_out
        (found,) = mean_intervals(held_out[:, None], samples=400, seed=seed)
        plain += found.low > 0
        won += found.widened(widening(folds)).low > 0
    nominal = 1 / 40
    assert won / trials < nominal + 2 * math.sqrt(nominal * (1 - nominal) / trials)
    assert plain > 2 * won  # what the widening is for
