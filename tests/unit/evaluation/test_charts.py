from __future__ import annotations

import copy
from itertools import combinations

import pytest

from opensearch_multimodal.evaluation import Interval
from opensearch_multimodal.evaluation.charts import (
    Box,
    Spot,
    bar_chart,
    interval_axis,
    linear_scale,
    log_scale,
    place_labels,
    scatter,
    text_width,
)

AREA = Box(50, 10, 650, 310)


def test_a_linear_scale_ends_at_round_values():
    scale = linear_scale(0.12, 0.68, 100, 500)
    assert scale.values == (0.0, 0.2, 0.4, 0.6, 0.8)
    assert scale.place(0.4) == 100 + 0.4 / 0.8 * (500 - 100)
    assert [tick.label for tick in scale.ticks] == ["0.0", "0.2", "0.4", "0.6", "0.8"]


def test_values_may_grow_upwards_and_below_zero():
    scale = linear_scale(-0.5, 1, 300, 0, most=3)
    assert scale.values == (-0.5, 0.0, 0.5, 1.0)
    assert scale.place(0) == 300 - 0.5 / 1.5 * 300
    assert [tick.label for tick in scale.ticks] == ["−0.5", "0.0", "0.5", "1.0"]


@pytest.mark.parametrize(("value", "low", "high"), [(0, 0, 0.05), (1, 0.95, 1), (0.5, 0.45, 0.55)])
def test_one_value_has_room_around_it_but_not_past_the_limits(value, low, high):
    scale = linear_scale(value, value, 0, 100, limits=(0, 1))
    assert scale.low <= low < high <= scale.high
    assert 0 <= scale.low < scale.high <= 1


def test_ticks_have_as_many_digits_as_they_need_to_differ():
    assert [tick.label for tick in linear_scale(0.91, 0.93, 0, 1, most=2).ticks] == ["0.91", "0.92", "0.93"]
    assert [tick.label for tick in linear_scale(0, 100, 0, 1, most=2).ticks] == ["0", "50", "100"]


def test_equal_ratios_are_equally_far_apart_on_a_log_scale():
    scale = log_scale(12, 180, 0, 400)
    assert scale.values == (10, 20, 50, 100, 200)
    assert scale.place(100) - scale.place(50) == pytest.approx(scale.place(20) - scale.place(10), abs=0.02)
    assert (scale.place(10), scale.place(200)) == (0, 400)


def test_a_log_scale_over_many_decades_has_ticks_at_powers_of_ten():
    scale = log_scale(0.5, 40_000, 0, 400)
    assert scale.values == (1, 10, 100, 1000, 10_000)
    assert scale.low == 0.5
    assert scale.high == 50_000


def test_an_axis_holds_every_interval_and_the_reference():
    intervals = [Interval(0.1, 0.05, 0.2), Interval(0.3, 0.25, 0.4)]
    axis = interval_axis(intervals, -0.1, 200)
    assert axis.scale.low <= -0.1
    assert axis.scale.high >= 0.4
    assert axis.reference == axis.scale.place(-0.1)
    assert interval_axis([], 0, 200).scale.low < 0  # a profile alone differs from nothing


def test_bars_stand_on_zero_side_by_side():
    values = [("a", 0.5), ("b", 0.0), ("c", -0.5)]
    before = copy.deepcopy(values)
    chart = bar_chart(values, Box(0, 0, 300, 100))
    assert values == before
    assert [bar.x for bar in chart.bars] == [300 / 3 / 2, 300 / 3 * 1.5, 300 / 3 * 2.5]
    high, zero, low = chart.bars
    assert (high.bottom, low.top) == (chart.zero, chart.zero)
    assert zero.top == zero.bottom == chart.zero
    assert chart.zero - high.top == low.bottom - chart.zero


def test_a_thousand_bars_touch_each_other_and_stay_in_their_area():
    chart = bar_chart([(str(i), 1 - i / 500) for i in range(1000)], Box(50, 0, 650, 100))
    assert chart.thickness == (650 - 50) / 1000
    assert min(bar.x for bar in chart.bars) >= 50
    assert max(bar.x for bar in chart.bars) <= 650


def test_bars_of_ties_alone_are_flat():
    chart = bar_chart([("a", 0.0), ("b", 0.0)], AREA)
    assert all(bar.top == bar.bottom == chart.zero for bar in chart.bars)


def _spots(count, *, step=0.0):
    return [Spot(f"profile-{i}", 20 + step * i, 30 + step * i, Interval(0.5, 0.4, 0.6)) for i in range(count)]


@pytest.mark.parametrize("count", [1, 2, 5, 20, 40])
def test_labels_of_profiles_at_one_place_do_not_overlap_and_stay_inside(count):
    boxes = [point.label for point in scatter(_spots(count), AREA).points]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert all(AREA.holds(box) for box in boxes)


def test_a_label_covers_no_point():
    chart = scatter(_spots(6, step=4), AREA)
    for point in chart.points:
        for other in chart.points:
            assert not point.label.overlaps(Box(other.x - 5, other.y - 5, other.x + 5, other.y + 5))


def test_a_label_that_had_to_move_away_is_led_to_its_point():
    points = scatter(_spots(20), AREA).points
    assert points[0].leader is None
    assert points[-1].leader is not None


def test_a_wide_range_of_times_is_shown_by_ratios():
    fast, slow = Spot("a", 5, 6, Interval(0.5, 0.4, 0.6)), Spot("b", 300, 400, Interval(0.5, 0.4, 0.6))
    assert scatter([fast, slow], AREA).x.log
    assert not scatter([fast], AREA).x.log
    assert scatter([fast], AREA).x.low == 0


def test_places_in_the_chart():
    (point,) = scatter([Spot("a", 10, 20, Interval(0.5, 0.25, 1.0))], AREA).points
    assert point.x == AREA.left + 10 / 20 * (AREA.right - AREA.left)
    assert point.x95 == AREA.right
    assert point.high < point.y < point.low


def test_long_names_are_cut_and_ideographs_are_wider():
    (point,) = scatter([Spot("n" * 100, 10, 20, Interval(0.5, 0.4, 0.6))], AREA).points
    assert point.name == "n" * 27 + "…"
    assert text_width("検索") > text_width("ab")


def test_a_label_without_any_room_stands_at_its_anchor():
    (first, second) = place_labels([(10, 10), (10, 10)], [50, 50], [], Box(0, 0, 55, 18))
    assert first == Box(0, 0, 50, 17)
    assert second == Box(10, 10, 60, 27)
