from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.evaluation import Interval, mean_intervals, paired_intervals


def _column(*values):
    return np.array(values, dtype=np.float64)[:, None]


def test_no_spread_gives_no_width():
    assert mean_intervals(_column(0.3, 0.3, 0.3)) == [Interval(0.3, 0.3, 0.3)]
    assert mean_intervals(_column(0.7)) == [Interval(0.7, 0.7, 0.7)]


def test_two_queries_have_three_possible_means():
    # {0,0}, {0,1}, {1,1} with probability 1/4, 1/2, 1/4: both 2.5% tails lie in the outer values.
    assert mean_intervals(_column(0, 1)) == [Interval(1 / 2, 0, 1)]


def test_many_queries_approach_the_normal_interval():
    values = np.random.default_rng(3).normal(0.5, 0.1, size=(2_000, 1))
    (interval,) = mean_intervals(values)
    half = 1.96 * values.std() / sqrt(len(values))
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=half / 10)
    assert interval.high == pytest.approx(values.mean() + half, abs=half / 10)


def test_an_interval_holds_the_true_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(5)
    intervals = mean_intervals(generator.random((80, 400)), samples=1_000)
    covered = sum(interval.low <= 1 / 2 <= interval.high for interval in intervals) / 400
    assert covered == pytest.approx(0.95, abs=4 * sqrt(0.95 * 0.05 / 400))


def test_the_pair_is_narrower_than_two_independent_runs():
    generator = np.random.default_rng(7)
    hardness = generator.random((300, 1))
    first = hardness + generator.normal(0, 0.05, hardness.shape)
    second = hardness + 0.02 + generator.normal(0, 0.05, hardness.shape)
    before = first.copy(), second.copy()
    (paired,) = paired_intervals(second, first)
    widths = [one.high - one.low for one in (*mean_intervals(first), *mean_intervals(second))]
    assert paired.high - paired.low < sqrt(widths[0] ** 2 + widths[1] ** 2) / 2
    assert paired.mean == pytest.approx(second.mean() - first.mean())
    assert paired.excludes_zero
    assert np.array_equal(first, before[0])
    assert np.array_equal(second, before[1])


def test_a_difference_the_other_way_round_changes_sign():
    first, second = np.random.default_rng(1).random((2, 50, 1))
    (there,), (back,) = paired_intervals(second, first), paired_intervals(first, second)
    assert (back.mean, back.low, back.high) == pytest.approx((-there.mean, -there.high, -there.low))


def test_a_run_against_itself_does_not_differ():
    values = np.random.default_rng(1).random((50, 2))
    assert paired_intervals(values, values) == [Interval(0, 0, 0)] * 2


def test_the_seed_decides():
    values = np.random.default_rng(1).random((50, 1))
    assert mean_intervals(values) == mean_intervals(values, seed=0)
    assert mean_intervals(values) != mean_intervals(values, seed=1)


def test_columns_do_not_depend_on_each_other():
    values = np.random.default_rng(1).random((40, 3))
    together = mean_intervals(values)
    for column, interval in enumerate(together):
        (alone,) = mean_intervals(values[:, [column]])
        assert (alone.low, alone.high) == pytest.approx((interval.low, interval.high))


def test_more_queries_than_a_block_holds():
    values = np.arange(300_000, dtype=np.float64)[:, None] / 300_000
    (interval,) = mean_intervals(values, samples=20)
    half = 4 * values.std() / sqrt(len(values))
    assert interval.mean - half < interval.low < interval.high < interval.mean + half


@pytest.mark.parametrize(
    ("low", "high", "excluded"), [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False), (0, 0.1, False)]
)
def test_zero_on_the_bound_is_not_excluded(low, high, excluded):
    assert Interval((low + high) / 2, low, high).excludes_zero is excluded


def test_wrong_shapes_are_refused():
    with pytest.raises(InvalidInput, match=r"at least 1 query, got shape \(0, 2\)"):
        mean_intervals(np.zeros((0, 2)))
    with pytest.raises(InvalidInput, match=r"expected shape \(3, 1\) like values, got \(2, 1\)"):
        paired_intervals(np.zeros((3, 1)), np.zeros((2, 1)))
