"""``osmm index calibrate``: learn what an index's scores look like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from ..client import Cluster
from ..errors import InvalidInput
from ..mappings import IndexDescription, Relevance, Statistics, describe, parse_meta
from .console import stderr, stdout
from .display import progress_bar
from .options import cluster_options, model_options

__all__ = ["calibrate"]

_FILE = click.Path(path_type=Path)


@click.command(short_help="Learn what the scores of an index look like.")
@click.argument("name")
@click.option("--queries", type=_FILE, help='Real questions, JSON lines: {"_id": "q1", "text": "..."}.')
@click.option("--qrels", type=_FILE, help="Which records answer them: also learn to tell relevance.")
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    metavar="NAME",
    help="Learn relevance for this profile; repeatable. [default: the default one]",
)
@click.option(
    "--sample",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="Questions asked at most.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random choices.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print what was learnt as JSON.")
@model_options
@cluster_options
def calibrate(
    cluster: Cluster,
    name: str,
    queries: Path | None,
    qrels: Path | None,
    profiles: tuple[str, ...],
    sample: int,
    seed: int,
    dry_run: bool,
    as_json: bool,
    provider: str,
    threads: int | None,
) -> None:
    """Learn what the scores of the index NAME look like, and write it into the index.

    Asks questions (yours, or sentences of the index's own records) of each field, and keeps mean and
    deviation of the best scores per field and modality. Profiles with the normalization 'collection' need
    them. With judgements it also learns how a profile's scores tell relevance, which the cut 'relevance'
    needs. Run it again when the collection or the questions have changed much; it replaces what was
    learnt before.

    \b
    Examples:
      osmm index calibrate manuals
      osmm index calibrate manuals --queries q.jsonl --qrels q.tsv --profile hybrid
      osmm index calibrate manuals --dry-run --json
    """
    from ..encoder import EncoderPool
    from ..evaluation import pair, read_qrels, read_queries
    from ..search import (
        Question,
        learn_relevance,
        learn_scores,
        questions_from,
        sample_records,
        with_statistics,
    )

    index = describe(name, cluster.get_index(name))
    wanted = _profiles(index, profiles, qrels, queries)
    texts = read_queries(queries) if queries else {}
    topics = pair(texts, read_qrels(qrels)) if qrels else None
    if texts:
        questions = [Question(text) for text in list(texts.values())[:sample]]
    else:
        drawn = sample_records(cluster, index, 2 * sample, seed=seed)
        questions = questions_from(drawn, sample, seed=seed)
    pool = EncoderPool(provider=provider, threads=threads)
    with progress_bar() as bar:
        task = bar.add_task("scoring", total=len(questions))
        scores = learn_scores(cluster, index, questions, encoders=pool, progress=lambda: bar.advance(task))
        learnt: dict[str, Relevance] = {}
        described = with_statistics(index, Statistics(scores=scores))
        for profile in wanted if topics else ():
            task = bar.add_task(f"relevance of {profile}", total=len(topics.texts) if topics else 0)
            learnt[profile] = learn_relevance(
                cluster,
                described,
                profile,
                topics.texts if topics else {},
                topics.qrels if topics else {},
                encoders=pool,
                progress=lambda task=task: bar.advance(task),  # type: ignore[misc]
            )
    statistics = Statistics(scores=scores, relevance=learnt)
    if not texts and len({modality for modalities in scores.values() for modality in modalities}) > 1:
        stderr.print(
            "[yellow]note:[/] sentences are no questions: where modalities meet in one list, "
            "give real questions with --queries",
            highlight=False,
            soft_wrap=True,
        )
    _print(statistics, as_json=as_json)
    for profile in sorted(index.meta.statistics.relevance.keys() - learnt.keys()):
        stderr.print(
            f"[yellow]note:[/] the old statistics go, and with them the relevance learnt for '{profile}'",
            highlight=False,
            soft_wrap=True,
        )
    if dry_run:
        stderr.print(f"Nothing was written to index [bold]{name}[/].")
        return
    _write(cluster, name, statistics)
    stderr.print(f"Calibrated index [bold]{name}[/] by {len(questions)} questions.")


def _profiles(
    index: IndexDescription, profiles: tuple[str, ...], qrels: Path | None, queries: Path | None
) -> list[str]:
    """Return the profiles to learn relevance for, and refuse options that do not go together."""
    if qrels is not None and queries is None:
        raise InvalidInput("--qrels: needs --queries, the questions that were judged")
    if profiles and qrels is None:
        raise InvalidInput("--profile: relevance is learnt from judgements, give --qrels")
    names = profiles or (("default",) if qrels else ())
    for name in names:
        index.profile(name)
    return list(dict.fromkeys(index.resolve_name(name) for name in names))


def _write(cluster: Cluster, name: str, statistics: Statistics) -> None:
    """Write the statistics; what was learnt of relevance for other profiles rests on old ones, and goes."""

    def change(meta: dict[str, Any]) -> dict[str, Any]:
        parsed = parse_meta(f"index '{name}'", meta.get("multimodal"))
        kept = statistics.model_copy(update={"tuned": parsed.statistics.tuned})
        changed = parsed.model_copy(update={"statistics": kept})
        return {**meta, "multimodal": changed.model_dump(mode="json", exclude_none=True)}

    cluster.update_meta(name, change)


def _print(statistics: Statistics, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(statistics.model_dump(mode="json"), indent=2))
        return
    table = Table("field", "modality", "mean", "deviation", "scores", box=None, pad_edge=False)
    for field, modalities in statistics.scores.items():
        for modality, moments in modalities.items():
            table.add_row(
                field, modality, f"{moments.mean:.4g}", f"{moments.deviation:.4g}", str(moments.count)
            )
    stdout.print(table)
    for profile, learnt in statistics.relevance.items():
        parts = ", ".join(f"{field} {weight:+.3g}" for field, weight in learnt.fields.items())
        stdout.print(
            f"relevance of {profile}: {learnt.intercept:+.3g}, {parts}, ln(rank) {learnt.rank:+.3g} "
            f"({learnt.results} results of {learnt.queries} questions)",
            highlight=False,
            soft_wrap=True,
        )
