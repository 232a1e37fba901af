"""``osmm evaluate``: how well the profiles of an index rank, and how long they take."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from ..client import Cluster
from ..errors import InvalidInput
from .console import say, stderr, stdout
from .display import airy_table, progress_bar, signed, verdict
from .options import cluster_options, model_options

if TYPE_CHECKING:
    from ..evaluation import Measured, Report, SearchResult, Topics
    from ..mappings import IndexDescription

__all__ = ["evaluate"]

_FILE = click.Path(path_type=Path)


@click.command(short_help="Measure how well an index answers judged questions.")
@click.argument("index")
@click.option("--queries", type=_FILE, required=True, help='JSON lines: {"_id": "q1", "text": "..."}.')
@click.option("--qrels", type=_FILE, required=True, help="Which records answer which query (see below).")
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    metavar="NAME",
    help="Repeat to compare; default: all of the index.",
)
@click.option("--baseline", metavar="NAME", help="Compare the others with this one; default: the first.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME@K",
    default=("ndcg@10", "recall@100", "mrr@10"),
    show_default=True,
    help="ndcg, recall, mrr, precision, success or map, with a cut-off; repeat for more.",
)
@click.option(
    "--k", type=click.IntRange(1, 2000), help="Hits per search; default: the deepest metric's cut-off."
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N judged queries.")
@click.option(
    "--save-runs",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write one TREC run file per profile.",
)
@click.option(
    "--html",
    type=_FILE,
    metavar="FILE",
    help="Write a report to look at: one file, with the hits of wins and losses side by side.",
)
@click.option(
    "--html-queries",
    type=click.IntRange(0),
    metavar="N",
    default=10,
    show_default=True,
    help="Wins and losses per profile that the report shows with their hits.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@model_options
@cluster_options
def evaluate(
    cluster: Cluster,
    index: str,
    queries: Path,
    qrels: Path,
    profiles: tuple[str, ...],
    baseline: str | None,
    metrics: tuple[str, ...],
    k: int | None,
    limit: int | None,
    save_runs: Path | None,
    html: Path | None,
    html_queries: int,
    as_json: bool,
    provider: str,
    threads: int | None,
) -> None:
    """Measure how well INDEX answers judged questions.

    Searches every query with every profile, compares the hits with the judgements, and prints each metric's
    mean with its 95% confidence interval, the paired difference to the baseline, and the time to rank them.

    \b
    Judgements, one per line, in one of two layouts:
      query-id<TAB>corpus-id<TAB>score   with this line as header (BEIR)
      q1 0 record-7 1                    query, iteration, record, grade (TREC)
    Record ids are the index's: manual#p3 is page 3 of manual.pdf, manual#c2 its
    second passage. A grade of 0 means not relevant. Hits on the passages of a
    record that was split count for the record when the judgements name records.

    \b
    How to read the result:
      ndcg@10      are the best records at the top of the first ten? (1 is perfect)
      recall@100   which share of the relevant records is among the first hundred?
      mrr@10       1 / rank of the first relevant record among the first ten
      better       the whole interval of the difference to the baseline is above 0:
                   unlikely to be chance. "unclear" is not a win.

    \b
    Example:
      osmm evaluate manuals --queries q.jsonl --qrels q.tsv --profile bm25 --profile gqr
      osmm evaluate manuals --queries q.jsonl --qrels q.tsv --html report.html
    """
    from ..evaluation import check_place, pair, parse_metric, read_qrels, read_queries, write_run
    from ..evaluation import evaluate as compare

    depth = _depth(k, {name: parse_metric(name).depth for name in metrics})
    topics = pair(read_queries(queries), read_qrels(qrels), limit=limit)
    place = check_place(html) if html else None
    from ..encoder import EncoderPool
    from ..search import Searcher

    searcher = Searcher(cluster, index, EncoderPool(provider=provider, threads=threads))
    names = list(dict.fromkeys(profiles)) or searcher.index.profile_names()
    for name in names:
        searcher.index.profile(name)
    if baseline is not None and baseline not in names:
        raise InvalidInput(f"--baseline '{baseline}' is not among the profiles evaluated: {', '.join(names)}")
    measured = _measure(
        lambda text, profile, wanted: searcher.search(text, profile=profile, k=wanted, fetch=False),
        topics,
        names,
        depth,
    )
    runs = {name: one.run for name, one in measured.items()}
    if save_runs is not None:
        for name, run in runs.items():
            write_run(save_runs / f"{quote(name, safe='')}.run", run, name)
    report = compare(runs, topics.qrels, metrics, baseline=baseline)
    notes = _notes(topics, report)
    for kind, sentence in notes:
        _print_note(kind, sentence)
    if as_json:
        click.echo(json.dumps(_as_json(index, depth, topics, report, measured), indent=2))
    else:
        stdout.print(_quality(report))
        stdout.print(_time(measured, depth))
    if place is not None:
        _write_html(place, cluster, searcher.index, topics, measured, report, depth, html_queries, notes)


def _depth(k: int | None, cutoffs: Mapping[str, int]) -> int:
    """Return how many hits to ask for, and refuse too few for the metrics."""
    deepest = max(cutoffs, key=lambda name: cutoffs[name])
    if k is not None and k < cutoffs[deepest]:
        raise InvalidInput(
            f"--k {k} is too small for {deepest}: raise it to {cutoffs[deepest]} or choose other --metric"
        )
    return k or cutoffs[deepest]


def _measure(
    search: Callable[[str, str, int], SearchResult], topics: Topics, profiles: list[str], k: int
) -> dict[str, Measured]:
    from ..evaluation import run_profiles

    with progress_bar() as bar:
        task = bar.add_task("searching", total=len(topics.texts) * len(profiles))
        return run_profiles(search, topics.texts, profiles, k=k, progress=lambda: bar.advance(task))


def _write_html(
    place: Path,
    cluster: Cluster,
    index: IndexDescription,
    topics: Topics,
    measured: Mapping[str, Measured],
    report: Report,
    k: int,
    most: int,
    notes: list[tuple[str, str]],
) -> None:
    from ..evaluation import render_html, write_file
    from ..evaluation.html_sources import build_html_report

    with _reading_images() as progress:
        page = build_html_report(
            cluster,
            index,
            topics=topics,
            measured=measured,
            report=report,
            k=k,
            most=most,
            notes=notes,
            progress=progress,
        )
    size = write_file(place, render_html(page))
    say(f"Report: {place} ({size / 1e6:.1f} MB)")


@contextmanager
def _reading_images() -> Iterator[Callable[[int, int], None]]:
    """Show how many page images of the report were read."""
    columns = (TextColumn("reading page images"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        task = bar.add_task("", total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def _notes(topics: Topics, report: Report) -> list[tuple[str, str]]:
    """Return what the numbers leave out: pairs of ``note`` or ``warning`` and a sentence."""
    notes = []
    if topics.unjudged:
        notes.append(("note", f"{topics.unjudged} queries have no relevant record and were left out"))
    if topics.unasked:
        notes.append(("note", f"{topics.unasked} judged queries have no text and were left out"))
    if report.rolled_up:
        notes.append(("note", "hits on passages count for their record"))
    return notes + [("warning", sentence) for sentence in report.warnings]


def _print_note(kind: str, sentence: str) -> None:
    stderr.print(
        f"{kind}: {sentence}", style="yellow" if kind == "warning" else "dim", markup=False, soft_wrap=True
    )


def _as_json(
    index: str, k: int, topics: Topics, report: Report, measured: Mapping[str, Measured]
) -> dict[str, Any]:
    values = report.to_json()
    for name, one in measured.items():
        values["profiles"][name].update(one.to_json())
    skipped = {"without_judgements": topics.unjudged, "without_text": topics.unasked}
    return {"index": index, "k": k, "skipped": skipped, **values}


def _quality(report: Report) -> Table:
    title = f"{report.queries} queries: means with 95% confidence intervals"
    table = airy_table(title)
    table.add_column("")
    table.add_column("mean", justify="right")
    table.add_column("interval")
    table.add_column(f"difference to {report.baseline}", min_width=24)
    table.add_column("")
    for metric in report.profiles[report.baseline].metrics:
        best = max(profile.metrics[metric].mean for profile in report.profiles.values())
        table.add_row(f"[bold]{metric}[/]")
        for name, profile in report.profiles.items():
            value = profile.metrics[metric]
            mean = f"{value.mean:.3f}"
            difference = profile.differences.get(metric)
            table.add_row(
                f"  {escape(name)}",
                f"[bold]{mean}[/]" if value.mean == best else mean,
                f"{value.low:.3f} – {value.high:.3f}",
                "" if difference is None else signed(difference),
                "[dim]baseline[/]" if difference is None else verdict(difference),
            )
    return table


def _time(measured: Mapping[str, Measured], k: int) -> Table:
    table = airy_table(f"Time to rank {k} hits in ms, without fetching them")
    table.add_column("profile")
    table.add_column("median", justify="right")
    table.add_column("p95", justify="right")
    table.add_column("median of each stage")
    for name, one in measured.items():
        values = one.to_json()
        stages = [f"{stage} {value:.1f}" for stage, value in values["stages_ms"].items() if stage != "total"]
        latency = values["latency_ms"]
        table.add_row(escape(name), f"{latency['p50']:.1f}", f"{latency['p95']:.1f}", " · ".join(stages))
    return table
