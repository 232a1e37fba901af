"""``osmm tune``: find the setting of a profile that ranks best on judged questions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.progress import TaskID

from ..client import Cluster
from ..errors import InvalidInput
from ..mappings import Meta, Profile, Tuned, parse_meta
from .console import say, stdout
from .display import airy_table, progress_bar, signed, verdict
from .options import cluster_options, model_options

if TYPE_CHECKING:
    from ..evaluation import Tuning

__all__ = ["tune"]

_FILE = click.Path(path_type=Path)


@click.command(short_help="Find the setting of a profile that ranks best.")
@click.argument("index")
@click.option("--queries", type=_FILE, required=True, help='JSON lines: {"_id": "q1", "text": "..."}.')
@click.option("--qrels", type=_FILE, required=True, help="Which records answer which query.")
@click.option("--profile", default="default", show_default=True, metavar="NAME", help="The profile to beat.")
@click.option("--metric", default="ndcg@10", show_default=True, metavar="NAME@K", help="What to maximize.")
@click.option("--name", default="tuned", show_default=True, metavar="NAME", help="The profile to write.")
@click.option("--make-default", is_flag=True, help="Also make it the profile of searches that name none.")
@click.option("--dry-run", is_flag=True, help="Show the profile that would be written, and write nothing.")
@click.option("--force", is_flag=True, help="Write it even if it is not better beyond chance.")
@click.option("--folds", type=click.IntRange(2, 20), default=5, show_default=True, help="Of the validation.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the folds.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N judged queries.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@model_options
@cluster_options
def tune(
    cluster: Cluster,
    index: str,
    queries: Path,
    qrels: Path,
    profile: str,
    metric: str,
    name: str,
    make_default: bool,
    dry_run: bool,
    force: bool,
    folds: int,
    seed: int,
    limit: int | None,
    as_json: bool,
    provider: str,
    threads: int | None,
) -> None:
    """Find the setting of a profile of INDEX that ranks best on your judged questions.

    Each question is searched once. Hundreds of settings then rank what was found: which retrievers take part,
    their weights, the normalization and combination of their scores, and the refinement of the question.
    Depths, reranking, cut and documents stay as they are.

    The setting is chosen on four fifths of the questions and measured on the last fifth, five times over, and
    compared with the present profile, with single retrievers and with fusions that nobody tuned. Only if it
    is better than the present profile by more than chance is it written into the index. Refinement (gqr) is
    taken only if it is better than tuned fusion by more than chance. Files are as for 'osmm evaluate'.

    \b
    Examples:
      osmm tune manuals --queries q.jsonl --qrels q.tsv --dry-run
      osmm tune manuals --queries q.jsonl --qrels q.tsv --make-default
      osmm tune manuals --queries q.jsonl --qrels q.tsv --metric mrr@10 --name first-hit
    """
    from ..encoder import EncoderPool
    from ..evaluation import completed, pair, parse_metric, read_qrels, read_queries
    from ..evaluation import tune as find
    from ..search import Searcher

    wanted = parse_metric(metric)
    topics = pair(read_queries(queries), read_qrels(qrels), limit=limit)
    searcher = Searcher(cluster, index, EncoderPool(provider=provider, threads=threads))
    if not dry_run and len(searcher.index.indices) > 1:
        raise InvalidInput(
            f"index '{index}' stands for {len(searcher.index.indices)} indices: name one to write to"
        )
    _check_name(index, searcher.index.meta, name, make_default=make_default)
    base = searcher.index.profile(profile)
    with _progress() as progress:
        found = find(searcher, topics, wanted, profile=profile, folds=folds, seed=seed, progress=progress)
    setting = found.row(found.winner).setting
    assert setting is not None  # noqa: S101 - the winner is a tuned row
    winner = completed(setting.profile, base)
    if as_json:
        click.echo(json.dumps(_as_json(index, len(topics.texts), found, name, winner), indent=2))
    else:
        _print(found, len(topics.texts))
    if found.left_out:
        say(
            f"note: {', '.join(found.left_out)} of '{found.present}' took no part: all rows are rankings "
            "before that. 'osmm evaluate' measures the whole of a profile."
        )
    if base.cut != winner.cut:
        say("note: the cut 'relevance' is left out of the profile; 'osmm index calibrate' learns it anew")
    if not (found.won or force):
        say(_refusal(index, found, len(topics.texts)))
    elif dry_run:
        if not as_json:
            stdout.print_json(json.dumps({name: _plain(winner)}))
        say(f"Nothing was written to index '{index}'.")
    else:
        _write(cluster, index, name, winner, found, make_default=make_default)
        say(f"Wrote profile '{name}' into index '{index}'{' as its default' if make_default else ''}.")


def _check_name(index: str, meta: Meta, name: str, *, make_default: bool) -> None:
    """Refuse to write over what the command did not write."""
    if not name.strip() or name == "default":
        raise InvalidInput(
            f"--name: '{name}' is no name for the profile; for the default one, use --make-default"
        )
    known = meta.profiles.get(name)
    if isinstance(known, str):
        raise InvalidInput(f"--name: '{name}' points to the profile '{known}'; choose another")
    if known is not None:
        tuned = meta.statistics.tuned.get(name)
        if tuned is None:
            raise InvalidInput(
                f"--name: index '{index}' has a profile '{name}' that was not tuned; choose another"
            )
        if tuned.profile_sha256 != _digest(known):
            raise InvalidInput(
                f"--name: profile '{name}' of index '{index}' was changed since; choose another"
            )
    if make_default and isinstance(meta.profiles.get("default"), Profile):
        raise InvalidInput(
            f"--make-default: index '{index}' has a profile 'default' of its own, which would be lost; "
            "give it a name first"
        )


def _refusal(index: str, found: Tuning, questions: int) -> str:
    unchanged = f"so nothing is written to index '{index}'"
    if not found.smallest_visible:
        return f"No setting ranks otherwise than '{found.present}', {unchanged}."
    return (
        f"No setting is better than '{found.present}' by more than chance, {unchanged}. {questions} "
        f"questions show differences of about {found.smallest_visible:.3f} and more; --force writes the "
        f"{found.winner} all the same."
    )


def _write(
    cluster: Cluster, index: str, name: str, winner: Profile, found: Tuning, *, make_default: bool
) -> None:
    row = found.row(found.winner)
    assert row.difference is not None  # noqa: S101 - the winner is not the present profile
    reached = Tuned(
        metric=found.metric,
        queries=len(row.values),
        mean=row.mean.mean,
        low=row.mean.low,
        high=row.mean.high,
        compared_with=found.present,
        difference=row.difference.mean,
        difference_low=row.difference.low,
        difference_high=row.difference.high,
        left_out=found.left_out,
        profile_sha256=_digest(winner),
    )

    def change(meta: dict[str, Any]) -> dict[str, Any]:
        parsed = parse_meta(f"index '{index}'", meta.get("multimodal"))
        _check_name(index, parsed, name, make_default=make_default)
        profiles = {**parsed.profiles, name: winner, **({"default": name} if make_default else {})}
        learnt = parsed.statistics
        relevance = {key: value for key, value in learnt.relevance.items() if key != name}
        statistics = learnt.model_copy(
            update={"tuned": {**learnt.tuned, name: reached}, "relevance": relevance}
        )
        changed = parsed.model_copy(update={"profiles": profiles, "statistics": statistics})
        return {**meta, "multimodal": changed.model_dump(mode="json", exclude_none=True)}

    cluster.update_meta(index, change)


def _digest(profile: Profile) -> str:
    return hashlib.sha256(profile.model_dump_json().encode()).hexdigest()


def _print(found: Tuning, questions: int) -> None:
    table = airy_table(
        f"{found.metric} of {questions} questions; tuned rows by {found.folds}-fold cross-validation"
    )
    table.add_column("")
    table.add_column("mean", justify="right")
    table.add_column("interval")
    table.add_column(f"difference to {found.present}", min_width=24)
    table.add_column("")
    for row in found.rows:
        table.add_row(
            escape(row.name),
            f"{row.mean.mean:.3f}",
            f"{row.mean.low:.3f} – {row.mean.high:.3f}",
            "" if row.difference is None else signed(row.difference),
            "[dim]present profile[/]" if row.difference is None else verdict(row.difference),
        )
    stdout.print(table)
    for row in found.rows:
        if row.setting is not None:
            chosen = f"chosen in {row.agreed} of {found.folds} folds"
            stdout.print(f"{row.name}: {row.setting.name} ({chosen})", markup=False, soft_wrap=True)
    if found.refinement_gain is not None:
        stdout.print(
            f"tuned gqr minus tuned fusion: {signed(found.refinement_gain)} {verdict(found.refinement_gain)}",
            highlight=False,
        )
    stdout.print(f"{found.tried} settings tried.", highlight=False)


def _as_json(index: str, questions: int, found: Tuning, name: str, winner: Profile) -> dict[str, Any]:
    rows = []
    for row in found.rows:
        told: dict[str, Any] = {"name": row.name, "mean": row.mean.to_json()}
        if row.difference is not None:
            told["difference"] = row.difference.to_json()
        if row.setting is not None:
            told |= {
                "setting": row.setting.name,
                "agreed": row.agreed,
                "profile": _plain(row.setting.profile),
            }
        rows.append(told)
    gain = found.refinement_gain
    return {
        "index": index,
        "queries": questions,
        "metric": found.metric,
        "folds": found.folds,
        "tried": found.tried,
        "present": found.present,
        "left_out": list(found.left_out),
        "rows": rows,
        "refinement_gain": None if gain is None else gain.to_json(),
        "winner": found.winner,
        "better": found.won,
        "profile": {name: _plain(winner)},
    }


def _plain(profile: Profile) -> dict[str, Any]:
    return profile.model_dump(mode="json", exclude_none=True)


@contextmanager
def _progress() -> Iterator[Any]:
    """Yield a function that advances the bar of a stage, which it opens when it is first told of it."""
    with progress_bar() as bar:
        tasks: dict[str, TaskID] = {}

        def advance(what: str, count: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=count)
            bar.advance(tasks[what])

        yield advance
