"""``osmm search``: a question, and the pages that answer it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..client import Cluster
from ..errors import InvalidInput
from .console import stderr, stdout
from .options import cluster_options, model_options, parse_assignments, parse_object

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..search import DocumentHit, Hit, SearchResult

__all__ = ["print_result", "search"]


@click.command()
@click.argument("index")
@click.argument("question", required=False)
@click.option(
    "--image", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Search by this image."
)
@click.option(
    "--profile", default="default", show_default=True, help="A profile of the index ('osmm index show')."
)
@click.option("-k", default=10, show_default=True, type=click.IntRange(1, 2000), help="How many results.")
@click.option(
    "--where", multiple=True, metavar="NAME=VALUE", help="Only records with this metadata; repeatable."
)
@click.option(
    "--filter", "condition", metavar="JSON", help="Only records that match this query (OpenSearch query DSL)."
)
@click.option(
    "--override",
    "overrides",
    metavar="JSON",
    help="Change parts of the profile, such as '{\"refine\": null}'.",
)
@click.option(
    "--compose",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A JSON file with further parts of the question: texts and images with weights.",
)
@click.option(
    "--documents",
    is_flag=True,
    help="Show documents with their best pages inside; by the best page, unless the profile says otherwise.",
)
@click.option("--explain", is_flag=True, help="Show each stage's ranks, scores and time.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@model_options
@cluster_options
def search(
    cluster: Cluster,
    index: str,
    question: str | None,
    image: Path | None,
    profile: str,
    k: int,
    where: tuple[str, ...],
    condition: str | None,
    overrides: str | None,
    compose: Path | None,
    documents: bool,
    explain: bool,
    as_json: bool,
    provider: str,
    threads: int | None,
) -> None:
    """Search INDEX for the pages that answer QUESTION.

    \b
    Examples:
      osmm search manuals "torque of the flange bolts"
      osmm search manuals "torque of the flange bolts" --profile bm25 --explain
      osmm search manuals --image photo.jpg --where type=pdf -k 3
      osmm search manuals --image sofa.jpg --compose parts.json
    \b
    parts.json, images beside it; what has a negative weight is moved away from:
      [{"text": "in red leather", "weight": 0.5}, {"text": "with armrests", "weight": -0.4},
       {"image": "other.jpg", "weight": 0.3}]
    """
    from ..encoder import EncoderPool
    from ..search import Searcher, metadata_filter

    conditions = (metadata_filter(parse_assignments("where", where)), parse_object("filter", condition))
    clauses = [clause for clause in conditions if clause]
    changes = parse_object("override", overrides) or {}
    if compose:
        changes = {**changes, "compose": _parts(compose)}
    searcher = Searcher(cluster, index, EncoderPool(provider=provider, threads=threads))
    if documents and not searcher.index.profile(profile).documents:
        changes = {"documents": {"method": "max"}, **changes}
    result = searcher.search(
        question,
        query_image=_open(image) if image else None,
        profile=profile,
        k=k,
        filter={"bool": {"filter": clauses}} if clauses else None,
        overrides=changes or None,
    )
    if as_json:
        click.echo(json.dumps(result.to_json(), indent=2))
    else:
        print_result(result, explain=explain)


def print_result(result: SearchResult, *, explain: bool) -> None:
    """Print hits for a person, with an account of the stages if asked."""
    if not result.hits:
        stderr.print("Nothing was found.")
    if result.documents is None:
        for rank, hit in enumerate(result.hits, start=1):
            _print_hit(rank, hit, explain=explain)
    for rank, document in enumerate(result.documents or (), start=1):
        _print_document(rank, document, explain=explain)
    for note in result.notes:
        stderr.print(f"[yellow]note:[/] {escape(note)}", highlight=False)
    if explain:
        times = "  ".join(f"{stage} {ms:.1f}" for stage, ms in result.timings_ms.items())
        told = f"[dim]{result.candidates} candidates; milliseconds: {times}[/]"
        stdout.print(told, highlight=False, soft_wrap=True)
        for part in result.composition or ():
            stdout.print(Text(f"part {_told(part)}", style="dim"), soft_wrap=True, highlight=False)
        if result.cut:
            cut = f"cut by {result.cut.method}: {result.cut.size} of {result.cut.of}, {result.cut.reason}"
            stdout.print(Text(cut, style="dim"), highlight=False, soft_wrap=True)


def _print_document(rank: int, document: DocumentHit, *, explain: bool) -> None:
    title = next((hit.source["title"] for hit in document.pages if hit.source.get("title")), "")
    stdout.print(
        f"[bold]{rank:>2}  {escape(document.id)}[/]  [cyan]{document.score:.4f}[/]  {escape(title)}",
        highlight=False,
    )
    for hit in document.pages:
        where = f"page {hit.source['page']}" if hit.source.get("page") else hit.id
        line = Text(f"{where}  {hit.score:.4f}  {hit.snippet}")
        stdout.print(Padding(line, (0, 0, 0, 4)), highlight=False)
        if hit.link:
            stdout.print(Text(f"      {hit.link}", style="dim"), soft_wrap=True, highlight=False)
        if explain:
            stdout.print(_explanation(hit))


def _print_hit(rank: int, hit: Hit, *, explain: bool) -> None:
    title = hit.source.get("title") or ""
    stdout.print(
        f"[bold]{rank:>2}  {escape(hit.id)}[/]  [cyan]{hit.score:.4f}[/]  {escape(title)}", highlight=False
    )
    stdout.print(Padding(Text(hit.snippet), (0, 0, 0, 4)), highlight=False)
    if hit.link:
        stdout.print(Text(f"    {hit.link}", style="dim"), soft_wrap=True, highlight=False)
    if explain:
        stdout.print(_explanation(hit))


def _explanation(hit: Hit) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2), show_header=False)
    table.add_column(width=2)
    stages = hit.stages
    for name, first in stages["first_stage"].items():
        table.add_row("", f"first stage {name}", f"rank {first['rank']}", f"score {first['score']:.4f}")
    for name, score in stages["scores"].items():
        table.add_row("", f"exact {name}", "", "nothing to score" if score is None else f"score {score:.4f}")
    if "fused" in stages:
        table.add_row("", "fused", "", f"score {stages['fused']:.4f}")
    if "refined" in stages:
        refined = stages["refined"]
        table.add_row(
            "",
            f"refined {refined['field']}",
            f"before {refined['before']:.4f}",
            f"after {refined['after']:.4f}",
        )
    if "reranked" in stages:
        reranked = stages["reranked"]
        table.add_row("", "reranked", f"was {reranked['rank_before']}", f"score {reranked['score']:.4f}")
    return table


def _told(part: Mapping[str, Any]) -> str:
    """Return one line about a part of a composed question."""
    fields = [
        f"{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in what.items())
        for name, what in part["fields"].items()
    ]
    return f"{part['weight']:+g} × {part['part']} ({'; '.join(fields) or 'read by no field'})"


def _parts(path: Path) -> list[Any]:
    """Read a file of parts, with the images that it names."""
    try:
        parts = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise InvalidInput(f"--compose: {path.name} is not JSON: {error}") from None
    if not isinstance(parts, list):
        raise InvalidInput(f"--compose: {path.name} holds no list of parts")
    return [
        {**part, "image": _open(path.parent / part["image"], "compose")}
        if isinstance(part, dict) and isinstance(part.get("image"), str)
        else part
        for part in parts
    ]


def _open(path: Path, option: str = "image") -> Image:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            return opened.convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise InvalidInput(f"--{option}: {path.name} cannot be read as an image: {error}") from error
