"""Choosing by cross-validation."""

from __future__ import annotations

import numpy as np
import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.evaluation.selection import choose, fold_of_each


def test_folds_are_of_equal_size_and_follow_the_seed():
    folds = fold_of_each(23, 5)
    assert sorted(np.bincount(folds)) == [4, 4, 5, 5, 5]
    np.testing.assert_array_equal(folds, fold_of_each(23, 5))
    assert (folds != fold_of_each(23, 5, seed=1)).any()


def test_fewer_than_two_questions_per_fold_are_refused():
    with pytest.raises(InvalidInput, match="queries: 9 with judgements, 5 folds need at least 10"):
        fold_of_each(9, 5)


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
