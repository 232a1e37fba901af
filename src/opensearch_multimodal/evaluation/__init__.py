"""Evaluation: queries, judgements, runs, metrics with confidence intervals, latency."""

from __future__ import annotations

from .html import HtmlReport, render_html
from .intervals import Interval, mean_intervals, paired_intervals
from .judgements import Qrels, Topics, pair, read_qrels, read_queries
from .measure import Hit, Measured, SearchResult, run_profiles
from .metrics import DEFAULT_METRICS, Metric, parse_metric, per_query
from .place import check_place, write_file
from .report import ProfileReport, Report, evaluate
from .settings import completed
from .trec import write_run
from .tune import FOLDS, Row, Tuning, tune

__all__ = [
    "DEFAULT_METRICS",
    "FOLDS",
    "Hit",
    "HtmlReport",
    "Interval",
    "Measured",
    "Metric",
    "ProfileReport",
    "Qrels",
    "Report",
    "Row",
    "SearchResult",
    "Topics",
    "Tuning",
    "check_place",
    "completed",
    "evaluate",
    "mean_intervals",
    "pair",
    "paired_intervals",
    "parse_metric",
    "per_query",
    "read_qrels",
    "read_queries",
    "render_html",
    "run_profiles",
    "tune",
    "write_file",
    "write_run",
]
