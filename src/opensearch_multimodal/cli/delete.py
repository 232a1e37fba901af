"""``osmm delete``: documents out of an index."""

from __future__ import annotations

from typing import Any

import click

from ..client import Cluster
from ..errors import ClusterRejected, InvalidInput
from ..mappings import describe
from ..search import metadata_filter
from .console import stderr
from .options import cluster_options, parse_assignments, parse_object

__all__ = ["delete"]


@click.command()
@click.argument("index")
@click.option(
    "--document", "documents", multiple=True, metavar="ID", help="A document, with all its pages; repeatable."
)
@click.option(
    "--where",
    multiple=True,
    metavar="NAME=VALUE",
    help="Everything with this metadata; repeatable, all must hold.",
)
@click.option("--query", metavar="JSON", help="Everything that matches this query (OpenSearch query DSL).")
@click.option("--dry-run", is_flag=True, help="Say how many records would go, delete nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@cluster_options
def delete(
    cluster: Cluster,
    index: str,
    documents: tuple[str, ...],
    where: tuple[str, ...],
    query: str | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Delete documents from INDEX.

    \b
    Examples:
      osmm delete manuals --document pumps/p100 --document pumps/p200
      osmm delete manuals --where type=pdf --where language=de --dry-run
    """
    describe(index, cluster.get_index(index))
    clauses = _clauses(documents, where, query)
    if not clauses:
        raise InvalidInput("delete: say what, by --document, --where or --query")
    condition = {"bool": {"filter": clauses}}
    cluster.refresh(index)
    try:
        found = cluster.search(index, {"size": 0, "track_total_hits": True, "query": condition})
    except ClusterRejected as error:
        raise InvalidInput(f"--where, --query: {error}") from error
    count = found["hits"]["total"]["value"]
    if dry_run or count == 0:
        stderr.print(f"{count} records of '{index}' match.")
        return
    if not yes:
        click.confirm(f"Delete {count} records of '{index}' on {cluster.url}?", abort=True, err=True)
    stderr.print(f"Deleted {cluster.delete_by_query(index, condition)} records of '{index}'.")


def _clauses(documents: tuple[str, ...], where: tuple[str, ...], query: str | None) -> list[dict[str, Any]]:
    clauses: list[dict[str, Any]] = []
    if documents:
        clauses.append({"terms": {"document_id": list(documents)}})
    by_metadata = metadata_filter(parse_assignments("where", where))
    if by_metadata:
        clauses.append(by_metadata)
    by_query = parse_object("query", query)
    if by_query:
        clauses.append(by_query)
    return clauses
