"""``osmm demo``: the whole way from a folder of documents to ranked pages, in one command."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from .. import resources
from ..client import Cluster
from ..errors import ClusterNotFound, InvalidInput, ModelMismatch
from ..mappings import PLUGIN, IndexDescription, SourceField, build_body, describe, load_template
from .console import stderr, stdout
from .ingest import IngestDisplay
from .look_alikes import show_look_alikes

if TYPE_CHECKING:
    from ..encoder import IndexEncoders
    from ..search import Hit, Searcher

__all__ = ["demo"]

_MULTI_VECTOR = "multi_vector"
_SHOWN = 3
_ENOUGH = 9


@dataclass(frozen=True, slots=True)
class _Question:
    text: str
    kind: str
    answer: str
    page: str


@click.command()
@click.argument("documents", required=False, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--index", "index_name", help="Name of the index. [default: sample, or documents-FOLDER for your own]"
)
@click.option("--heap", default="1g", show_default=True, help="Memory of the server.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder of the server.")
def demo(documents: Path | None, index_name: str | None, heap: str, data: Path | None) -> None:
    """Start a server, ingest a sample and answer twelve questions about it.

    Where the extra 'export' is installed, an image model then finds pages by bad copies of them.

    With DOCUMENTS, a file or a folder, ingest those instead and say how to ask about them. Run it again at
    any time: what is done already is not done twice.
    """
    from ..server import EmbeddedServer, default_data_folder

    name = index_name or (_index_name(documents) if documents else "sample")
    _step("Models")
    _pull_models()
    _step("OpenSearch")
    with EmbeddedServer(data or default_data_folder(), heap=heap) as server:
        stderr.print(f"OpenSearch at {server.url}, data in {server.data}", highlight=False, soft_wrap=True)
        cluster = Cluster(server.url)
        _step(f"Index '{name}'")
        description = _index(cluster, name, is_ours=documents is None)
        _say_where_it_scores(description)
        _step("Documents")
        complete = _ingest(cluster, description, documents or resources.find("ingest/sample/documents"))
        if documents is None:
            _step("Questions")
            _answer(cluster, description)
            _step("Pages that look like one")
            show_look_alikes(cluster, f"{name}-images", resources.find("ingest/sample/documents"))
        _say_how_to_go_on(description, server.url, data)
        server.detach()
    if not complete:
        sys.exit(1)


def _step(title: str) -> None:
    stderr.print(f"\n[bold cyan]— {title}[/]", highlight=False)


def _pull_models() -> None:
    from .models import pull_with_progress

    pull_with_progress(())


def _index_name(documents: Path) -> str:
    """Return a name for the index of a folder: two folders do not share one."""
    return "documents-" + (re.sub(r"[^a-z0-9]+", "-", documents.resolve().name.lower()).strip("-") or "own")


def _index(cluster: Cluster, name: str, *, is_ours: bool) -> IndexDescription:
    """Return the index, made if it is not there; the sample's own is made anew for other models."""
    from ..models import load_spec

    try:
        description = describe(name, cluster.get_index(name))
        for field, described in description.meta.fields.items():
            if isinstance(described, SourceField):
                description.check_model(field, load_spec(described.model))
    except ClusterNotFound:
        stderr.print("Creating it from mappings/pages.json.")
    except ModelMismatch as error:
        if not is_ours:
            raise
        stderr.print(f"[yellow]warning:[/] {escape(str(error))}: making it anew", highlight=False)
        cluster.delete_index(name)
    else:
        stderr.print("It is there already.")
        return description
    body = build_body(load_template("pages"), load_spec, plugin=cluster.has_plugin(PLUGIN))
    cluster.create_index(name, body)
    return describe(name, cluster.get_index(name))


def _say_where_it_scores(description: IndexDescription) -> None:
    if description.scores_in_cluster(_MULTI_VECTOR):
        where = "in the cluster: the server plugin's field type and query do it"
    else:
        where = "here: the cluster lacks the server plugin (make plugin), or the index was made without it"
    stderr.print(f"Multi-vectors are scored {where}.", highlight=False, soft_wrap=True)


def _ingest(cluster: Cluster, description: IndexDescription, path: Path) -> bool:
    """Ingest and say what became of it; return whether everything is in the index."""
    from ..encoder import IndexEncoders
    from ..ingest import ingest
    from ..sources import SourceOptions

    letters = resources.home_folder() / "dead_letters" / f"{description.name}.jsonl"
    with IngestDisplay(quiet=False) as display:
        report = ingest(
            cluster,
            description,
            [path],
            IndexEncoders(description),
            options=SourceOptions(),
            dead_letters=letters,
            listener=display,
        )
    stderr.print(report.summary(), highlight=False)
    if report.refused:
        stderr.print(f"Refused records and the reasons: {letters}", highlight=False, soft_wrap=True)
    return report.complete


def _answer(cluster: Cluster, description: IndexDescription) -> None:
    from ..encoder import EncoderPool, IndexEncoders
    from ..search import Searcher

    pool = EncoderPool()
    searcher = Searcher(cluster, description, pool)
    questions = list(_questions(resources.find("ingest/sample/questions")))
    found = sum(_ask(searcher, number, question) for number, question in enumerate(questions, start=1))
    stdout.print(
        f"\n[bold]{found} of {len(questions)}[/] questions found their page among the first {_SHOWN}.",
        highlight=False,
    )
    if description.scores_in_cluster(_MULTI_VECTOR):
        _search_plainly(cluster, description, IndexEncoders(description, pool), questions[0])
    if found < _ENOUGH:
        raise InvalidInput(f"{found} of the sample's questions found their page, {_ENOUGH} should")


def _search_plainly(
    cluster: Cluster, description: IndexDescription, encoders: IndexEncoders, question: _Question
) -> None:
    """Show the plugin at work: one ``_search`` scores every page by MaxSim."""
    from ..search import late_interaction_clause

    (vectors,) = encoders.get(_MULTI_VECTOR).encode_queries([question.text])
    clause = late_interaction_clause(_MULTI_VECTOR, vectors, {"match_all": {}})
    answer = cluster.search(description.name, {"query": clause, "size": _SHOWN, "_source": False})
    found = answer["hits"]["total"]["value"]
    stdout.print(
        f"\n[bold]The first question as one plain _search[/] by the query late_interaction: "
        f"{found} pages scored by MaxSim in {answer['took']} ms, in the cluster.",
        highlight=False,
        soft_wrap=True,
    )
    for hit in answer["hits"]["hits"]:
        arrow = "→" if hit["_id"] == question.page else " "
        stdout.print(f"  {arrow} [cyan]{escape(hit['_id']):<36}[/] {hit['_score']:.3f}", highlight=False)


def _ask(searcher: Searcher, number: int, question: _Question) -> bool:
    """Print the answer to one question; return whether the page that answers it is among the first."""
    result = searcher.search(question.text, k=_SHOWN)
    rank = next((r for r, hit in enumerate(result.hits, start=1) if hit.id == question.page), None)
    mark = f"[green]page found at rank {rank}[/]" if rank else f"[red]not found ({escape(question.page)})[/]"
    stdout.print(f"\n[bold]{number:>2}. {escape(question.text)}[/]", highlight=False, soft_wrap=True)
    about = f"({question.kind}; expected answer: {question.answer})"
    stdout.print(f"    {mark} [dim]{escape(about)}[/]", highlight=False, soft_wrap=True)
    for hit in result.hits:
        arrow = "→" if hit.id == question.page else " "
        stdout.print(f"  {arrow} [cyan]{escape(hit.id):<36}[/] {_why(hit)}", highlight=False, soft_wrap=True)
    if result.hits:
        stdout.print(f"    [italic]{escape(result.hits[0].snippet)}[/]", highlight=False, soft_wrap=True)
    times = "  ".join(f"{stage} {ms:.0f}" for stage, ms in result.timings_ms.items())
    stdout.print(f"    [dim]milliseconds: {times}[/]", highlight=False, soft_wrap=True)
    return rank is not None


def _why(hit: Hit) -> str:
    """Return one line that says which retrievers found the hit and what refinement made of it."""
    ranks = ", ".join(f"{name} #{first['rank']}" for name, first in hit.stages["first_stage"].items())
    parts = [f"found by {ranks}"]
    if "fused" in hit.stages:
        parts.append(f"fused {hit.stages['fused']:.3f}")
    if "refined" in hit.stages:
        refined = hit.stages["refined"]
        parts.append(f"{refined['field']} {refined['before']:.3f} → {refined['after']:.3f} refined")
    return "; ".join(parts)


def _questions(folder: Path) -> Iterator[_Question]:
    judged = dict(_judgements(folder / "qrels.tsv"))
    for line in (folder / "queries.jsonl").read_text("utf-8").splitlines():
        query = json.loads(line)
        about = query["metadata"]
        yield _Question(query["text"], about["kind"], about["answer"], judged[query["_id"]])


def _judgements(path: Path) -> Iterator[tuple[str, str]]:
    rows: Sequence[str] = path.read_text("utf-8").splitlines()
    for row in rows[1:]:
        query_id, record_id, _ = row.split("\t")
        yield query_id, record_id


def _say_how_to_go_on(description: IndexDescription, url: str, data: Path | None) -> None:
    name = description.name
    where = f' --data "{data}"' if data else ""
    command = "osmm" if not Path(".venv/bin/osmm").exists() else ".venv/bin/osmm"
    stderr.print(
        f"""
[bold]The server keeps running. Ask it more:[/]
  {command} search {name} "your question" --explain{where}
  {command} search {name} "your question" --profile bm25{where}
  {command} index show {name}{where}
  curl -s {url}/{name}/_count{_by_plugin(name, url, command, where, description)}
[bold]Your own documents:[/]
  {command} demo /some/folder            (make demo DOCS=/some/folder)
[bold]Stop it:[/]
  {command} server stop{where}""",
        highlight=False,
        soft_wrap=True,
    )


def _by_plugin(name: str, url: str, command: str, where: str, description: IndexDescription) -> str:
    if not description.scores_in_cluster(_MULTI_VECTOR):
        return ""
    body = '{"query": {"multimodal": {"query_text": "your question"}}, "_source": ["title", "page"]}'
    return f"""
[bold]By a plain _search, as any client sends it; the server plugin asks the service:[/]
  {command} serve{where} &
  curl -s {url}/{name}/_search -H 'content-type: application/json' \\
    -d '{escape(body)}'"""
