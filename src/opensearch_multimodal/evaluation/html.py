"""The report to look at: one HTML file that asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import jinja2

from .charts import Box, IntervalAxis, Spot, bar_chart, interval_axis, scatter
from .comparison import Duel, QueryView
from .intervals import CONFIDENCE
from .measure import Measured
from .report import Report

__all__ = ["HtmlReport", "ShownRecord", "Thumbnail", "render_html", "safe_link"]

_BAR_WIDTH = 200
_CHART = (680, 330)
_CHART_AREA = Box(56, 16, 660, 286)
_DUEL = (680, 210)
_DUEL_AREA = Box(56, 10, 672, 200)
_TITLE = 200
_LEAD = 180
_RELATIVE = re.compile(r"[\w.%~-][^:\\]*")


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small page image.

    Attributes:
        jpeg: the file's bytes.
        width: in pixels.
        height: in pixels.
    """

    jpeg: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The image itself, as a ``data:`` URI."""
        return f"data:image/jpeg;base64,{base64.b64encode(self.jpeg).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class ShownRecord:
    """What is shown of a record beside its id.

    Attributes:
        title: its title, may be empty.
        snippet: the part of its text that answers best, plain text.
        link: where it can be looked at, as the index says; only what is safe to follow becomes a link.
    """

    title: str
    snippet: str
    link: str | None


@dataclass(frozen=True, slots=True)
class HtmlReport:
    """All that the report shows.

    Attributes:
        index: the index.
        k: hits per search.
        made: when, in UTC.
        versions: what ran, such as ``OpenSearch 3.6.0``.
        notes: pairs of ``note`` or ``warning`` and a sentence.
        report: the numbers.
        measured: profile → its times.
        metric: the metric whose wins and losses are shown.
        texts: query id → text.
        duels: of every profile but the baseline; of a profile alone, its own.
        views: (profile, query id) → the query side by side, for every query that the duels show.
        records: query id → record id → what is shown of it; a record that is gone is absent.
        thumbnails: record id → its page image.
    """

    index: str
    k: int
    made: datetime
    versions: Sequence[str]
    notes: Sequence[tuple[str, str]]
    report: Report
    measured: Mapping[str, Measured]
    metric: str
    texts: Mapping[str, str]
    duels: Sequence[Duel]
    views: Mapping[tuple[str, str], QueryView]
    records: Mapping[str, Mapping[str, ShownRecord]]
    thumbnails: Mapping[str, Thumbnail]


def render_html(page: HtmlReport) -> str:
    """Return the report as one HTML file; every text of the index and of the queries is escaped.

    The file's own policy forbids scripts and the network; styles are allowed by their hash.
    """
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    text = _template().render(
        page=page,
        report=page.report,
        policy=policy,
        style=style,
        alone=len(page.report.profiles) == 1,
        confidence=round(100 * CONFIDENCE),
        metrics=_metrics(page.report),
        latency=_latency(page),
        stages=_stages(page.measured),
        times={name: one.to_json() for name, one in page.measured.items()},
        duel_charts=[bar_chart(duel.values, _DUEL_AREA) for duel in page.duels],
        image_numbers={record: number for number, record in enumerate(page.thumbnails)},
        sizes={
            "bar": _BAR_WIDTH,
            "chart": _CHART,
            "area": _CHART_AREA,
            "duel": _DUEL,
            "duel_area": _DUEL_AREA,
        },
    )
    return text.lstrip()  # the blank lines of the macros


def safe_link(link: object) -> str | None:
    """Return an address that a reader can follow: http, https, or a file beside the report; else None."""
    if not isinstance(link, str) or not link.isprintable() or any(c.isspace() for c in link):
        return None
    try:
        parts = urlsplit(link)
    except ValueError:
        return None
    if parts.scheme in {"http", "https"} and parts.netloc and "\\" not in link:
        return link
    return link if _RELATIVE.fullmatch(link) else None


def _metrics(report: Report) -> list[dict[str, Any]]:
    """Return per metric its rows and the axes that they share."""
    base = report.profiles[report.baseline]
    tables = []
    for name in base.metrics:
        means = {profile: one.metrics[name] for profile, one in report.profiles.items()}
        differences = {
            profile: one.differences[name] for profile, one in report.profiles.items() if one.differences
        }
        reference = means[report.baseline].mean
        tables.append(
            {
                "name": name,
                "means": means,
                "differences": differences,
                "best": max(value.mean for value in means.values()),
                "axis": interval_axis(means.values(), reference, _BAR_WIDTH, limits=(0, 1)),
                "difference_axis": interval_axis(differences.values(), 0, _BAR_WIDTH),
            }
        )
    return tables


def _latency(page: HtmlReport) -> Any:
    spots = []
    for name, one in page.measured.items():
        latency = one.to_json()["latency_ms"]
        quality = page.report.profiles[name].metrics[page.metric]
        spots.append(Spot(name, latency["p50"], latency["p95"], quality))
    return scatter(spots, _CHART_AREA)


def _stages(measured: Mapping[str, Measured]) -> list[str]:
    """Return the stages that any profile has, in the order in which they come."""
    stages = dict.fromkeys(chain.from_iterable(one.stages_ms for one in measured.values()))
    return [stage for stage in stages if stage != "total"]


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "signed": _signed,
        "lead": lambda text: _cut(text, _LEAD),
        "title": lambda text: _cut(text, _TITLE),
        "safe_link": safe_link,
        "grade": _grade,
        "moved": _moved,
        "ends": _ends,
    }
    return environment.from_string(_read("report.html.jinja"))


@cache
def _style() -> str:
    return _read("report.css")


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _cut(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _grade(grade: int | None) -> str:
    """Return the word that marks a record: what the judgements say of it."""
    if grade is None:
        return "unjudged"
    return "relevant" if grade > 0 else "irrelevant"


def _moved(before: int | None, after: int | None) -> str:
    """Return how the profile's rank differs from the baseline's."""
    if before is None:
        return "new"
    if after is None:
        return "gone"
    if before == after:
        return "="
    return f"▲{before - after}" if after < before else f"▼{after - before}"


def _ends(axis: IntervalAxis) -> tuple[str, str]:
    """Return what stands at the two ends of an axis."""
    ticks = axis.scale.ticks
    return ticks[0].label, ticks[-1].label
