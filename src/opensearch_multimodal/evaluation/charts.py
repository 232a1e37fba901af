"""Where the marks of the report's charts stand, in units of an SVG's view box."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .intervals import Interval

__all__ = [
    "Bar",
    "BarChart",
    "Box",
    "IntervalAxis",
    "Point",
    "Scale",
    "Scatter",
    "Spot",
    "Tick",
    "bar_chart",
    "interval_axis",
    "linear_scale",
    "log_scale",
    "place_labels",
    "scatter",
    "text_width",
]

_FONT = 13
_LABEL_HEIGHT = 17
_GRID = 6
_NEAR = 16
_WIDE_RANGE = 8


class Box(NamedTuple):
    """A rectangle; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two share an area."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def holds(self, other: Box) -> bool:
        """Whether the other lies inside."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and other.right <= self.right
            and other.bottom <= self.bottom
        )


@dataclass(frozen=True, slots=True)
class Tick:
    """A value at its place on an axis."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from ``low`` to ``high`` at places from ``start`` to ``end``.

    Attributes:
        low: the value at ``start``.
        high: the value at ``end``.
        start: a place.
        end: a place; smaller than ``start`` where values grow upwards.
        log: whether equal ratios are equally far apart.
        values: the values that have a tick.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool
    values: tuple[float, ...]

    def place(self, value: float) -> float:
        """Return the place of a value, to a hundredth."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 2)

    @property
    def ticks(self) -> list[Tick]:
        """The ticks, each with as many digits as its neighbours need to differ."""
        steps = (
            self.values if self.log else [b - a for a, b in zip(self.values, self.values[1:], strict=False)]
        )
        digits = max(0, -math.floor(math.log10(min(steps)) + 1e-9))
        return [Tick(self.place(value), f"{value:.{digits}f}".replace("-", "−")) for value in self.values]


@dataclass(frozen=True, slots=True)
class IntervalAxis:
    """The axis that the interval bars of a table share.

    Attributes:
        scale: places of values along the bar.
        reference: the place of the value that all are read against.
    """

    scale: Scale
    reference: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a query; ``top`` is above ``bottom``."""

    query: str
    value: float
    x: float
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class BarChart:
    """One bar per query.

    Attributes:
        bars: from left to right.
        thickness: of a bar.
        scale: places of values.
        zero: the place of 0.
    """

    bars: tuple[Bar, ...]
    thickness: float
    scale: Scale
    zero: float


@dataclass(frozen=True, slots=True)
class Spot:
    """A profile in latency and quality: milliseconds, and a mean with its interval."""

    name: str
    p50: float
    p95: float
    quality: Interval


@dataclass(frozen=True, slots=True)
class Point:
    """A spot in the chart.

    Attributes:
        name: the profile, cut where it is long.
        x: the median.
        x95: the 95th percentile.
        y: the mean.
        low: the interval's lower bound, the larger y.
        high: its upper bound.
        label: where the name stands.
        leader: the end of the line from the point to the name, None where they are close.
    """

    name: str
    x: float
    x95: float
    y: float
    low: float
    high: float
    label: Box
    leader: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Scatter:
    """Latency to the right, quality upwards."""

    points: tuple[Point, ...]
    x: Scale
    y: Scale


def linear_scale(
    low: float,
    high: float,
    start: float,
    end: float,
    *,
    most: int = 5,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Scale:
    """Return a scale that holds ``low`` to ``high`` between two round values.

    Args:
        low: the smallest value to show.
        high: the largest one.
        start: the place of the scale's low end.
        end: the place of its high end.
        most: how many steps there are at most between two ticks, before rounding outwards.
        limits: values that the scale does not pass, because there are none beyond.
    """
    if high - low < 1e-9:
        low, high = low - 0.05 * max(1, abs(low)), high + 0.05 * max(1, abs(high))
    low, high = max(low, limits[0]), min(high, limits[1])
    step = _round_step((high - low) / most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    values = tuple(round(number * step, 9) for number in range(first, last + 1))
    return Scale(values[0], values[-1], start, end, log=False, values=values)


def log_scale(low: float, high: float, start: float, end: float) -> Scale:
    """Return a scale of equal ratios with ticks at 1, 2 and 5 times powers of ten; all values above 0."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    rounds = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    first = max((value for value in rounds if value <= low * (1 + 1e-9)), default=low)
    last = min((value for value in rounds if value >= high * (1 - 1e-9)), default=high)
    values = [value for value in rounds if first <= value <= last]
    if len(values) > 8:
        values = [value for value in values if math.isclose(math.log10(value) % 1, 0, abs_tol=1e-9)]
    return Scale(first, last, start, end, log=True, values=tuple(values))


def interval_axis(
    intervals: Iterable[Interval],
    reference: float,
    width: float,
    *,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> IntervalAxis:
    """Return an axis that holds all intervals and the value that they are read against.

    Args:
        intervals: the intervals.
        reference: such as 0, or the baseline's mean.
        width: of the bar.
        limits: what no value passes.
    """
    bounds = [reference, *(bound for one in intervals for bound in (one.low, one.high))]
    scale = linear_scale(min(bounds), max(bounds), 6, width - 6, most=4, limits=limits)
    return IntervalAxis(scale, scale.place(reference))


def bar_chart(values: Sequence[tuple[str, float]], area: Box) -> BarChart:
    """Return one bar per query, in the order given, from 0 to its value.

    Args:
        values: (query id, value), at least one.
        area: where the bars stand.
    """
    numbers = [value for _, value in values]
    scale = linear_scale(min(0, *numbers), max(0, *numbers), area.bottom, area.top, most=6)
    zero = scale.place(0)
    step = (area.right - area.left) / len(values)
    thickness = min(step * 0.8 if step > 4 else step, 28)
    bars = []
    for number, (query, value) in enumerate(values):
        place = scale.place(value)
        x = round(area.left + (number + 0.5) * step, 2)
        bars.append(Bar(query, value, x, min(place, zero), max(place, zero)))
    return BarChart(tuple(bars), round(thickness, 3), scale, zero)


def scatter(spots: Sequence[Spot], area: Box) -> Scatter:
    """Return the profiles by latency and quality; a wide range of latencies is shown by ratios.

    Args:
        spots: at least one profile.
        area: where the points stand.
    """
    fastest = max(min(spot.p50 for spot in spots), 1e-3)
    slowest = max(max(spot.p95 for spot in spots), fastest)
    if slowest / fastest > _WIDE_RANGE:
        x = log_scale(fastest, slowest, area.left, area.right)
    else:
        x = linear_scale(0, slowest, area.left, area.right)
    bounds = [bound for spot in spots for bound in (spot.quality.low, spot.quality.high)]
    y = linear_scale(min(bounds), max(bounds), area.bottom, area.top, limits=(0, 1))
    places = [(x.place(max(spot.p50, fastest)), y.place(spot.quality.mean)) for spot in spots]
    whiskers = [
        (x.place(max(spot.p95, fastest)), y.place(spot.quality.low), y.place(spot.quality.high))
        for spot in spots
    ]
    obstacles = [Box(px - 7, py - 7, px + 7, py + 7) for px, py in places]
    for (px, py), (x95, low, high) in zip(places, whiskers, strict=True):
        obstacles += [Box(px, py - 2, x95, py + 2), Box(px - 2, high, px + 2, low)]
    names = [_cut(spot.name) for spot in spots]
    boxes = place_labels(places, [text_width(name) for name in names], obstacles, area)
    points = [
        Point(name, px, x95, py, low, high, box, _leader(px, py, box))
        for name, (px, py), (x95, low, high), box in zip(names, places, whiskers, boxes, strict=True)
    ]
    return Scatter(tuple(points), x, y)


def place_labels(
    anchors: Sequence[tuple[float, float]], widths: Sequence[float], obstacles: Sequence[Box], area: Box
) -> list[Box]:
    """Return where labels stand so that none covers another, nor an obstacle where that can be helped.

    Each takes the free place closest to its anchor.

    Args:
        anchors: what is labelled.
        widths: of the labels.
        obstacles: what labels should not cover.
        area: what they stay inside.
    """
    placed: list[Box] = []
    for (x, y), width in zip(anchors, widths, strict=True):
        free = [box for box in _candidates(x, y, width, area) if not any(map(box.overlaps, placed))]
        clear = (box for box in free if not any(map(box.overlaps, obstacles)))
        placed.append(next(clear, free[0] if free else Box(x, y, x + width, y + _LABEL_HEIGHT)))
    return placed


def text_width(text: str) -> float:
    """Return about how wide a text is in the charts' font; ideographs take twice the room of letters."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return (len(text) + 0.5 * wide) * _FONT * 0.68


def _candidates(x: float, y: float, width: float, area: Box) -> list[Box]:
    """Return the places for a label, those beside the anchor first, then all of a grid by distance."""
    near = [
        Box(left, top, left + width, top + _LABEL_HEIGHT)
        for left in (x + 9, x - 9 - width)
        for top in (y - 4 - _LABEL_HEIGHT, y + 4)
    ]
    grid = [
        Box(left, top, left + width, top + _LABEL_HEIGHT)
        for left in _steps(area.left, area.right - width)
        for top in _steps(area.top, area.bottom - _LABEL_HEIGHT)
    ]
    grid.sort(key=lambda box: math.dist((x, y), _closest(x, y, box)))
    return [box for box in near if area.holds(box)] + grid


def _steps(start: float, end: float) -> list[float]:
    return [start + _GRID * number for number in range(max(1, int((end - start) // _GRID) + 1))]


def _closest(x: float, y: float, box: Box) -> tuple[float, float]:
    return min(max(x, box.left), box.right), min(max(y, box.top), box.bottom)


def _leader(x: float, y: float, box: Box) -> tuple[float, float] | None:
    end = _closest(x, y, box)
    return end if math.dist((x, y), end) > _NEAR else None


def _cut(name: str, most: int = 28) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _round_step(step: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below ``step``."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))
