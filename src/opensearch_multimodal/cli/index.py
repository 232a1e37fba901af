"""``osmm index``: create, show, calibrate, stamp and delete the indices that hold pages and passages."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.table import Table

from ..client import Cluster
from ..errors import ClusterConflict, ClusterNotFound, ClusterRefused, InvalidInput
from ..mappings import (
    PLUGIN,
    BinaryField,
    FdeField,
    SourceField,
    build_body,
    describe,
    load_template,
    parse_meta,
    stamp,
)
from .calibrate import calibrate
from .console import stderr, stdout
from .index_size import size
from .options import cluster_options, parse_choices, parse_numbers, parse_object

__all__ = ["index"]


@click.group()
def index() -> None:
    """Create, show and delete indices.

    An index describes itself: its mapping's _meta says which model made each vector field, with the model's
    fingerprint, and which search profiles there are. Ingest and search read nothing else.
    """


index.add_command(size)


@index.command()
@click.argument("name")
@click.option(
    "--mapping",
    default="pages",
    show_default=True,
    help="The body to start from: pages, passages, mixed (also page images), or a JSON file.",
)
@click.option(
    "--model", "models", multiple=True, metavar="FIELD=MODEL", help="Fill a vector field by another model."
)
@click.option("--input", "inputs", multiple=True, metavar="FIELD=text|image", help="What that model reads.")
@click.option(
    "--dimension",
    "dimensions",
    multiple=True,
    metavar="FIELD=N",
    help="Keep the first N components of a Matryoshka model's vectors.",
)
@click.option(
    "--pooling",
    multiple=True,
    metavar="FIELD=FACTOR",
    help="Pool the token vectors of records: FACTOR times fewer, 2 to 4; 1 for none.",
)
@click.option(
    "--rotation",
    "rotations",
    multiple=True,
    metavar="FIELD=ROTATION",
    help="Take a binary field's signs after a learnt rotation (osmm models fit-rotation).",
)
@click.option("--fde", metavar="JSON", help="Parameters of the FDE field; 'osmm index size' compares some.")
@click.option("--shards", type=click.IntRange(1, 1024), help="Number of primary shards. [default: 1]")
@click.option(
    "--replicas",
    type=click.IntRange(0, 32),
    help="Number of replicas. [default: 1 if there is a second node]",
)
@click.option(
    "--engine",
    type=click.Choice(["lucene", "faiss"]),
    help="k-NN engine; faiss needs its native libraries on every node. [default: lucene]",
)
@click.option("--analyzer", help="Analyzer of the text fields. [default: english]")
@click.option(
    "--plugin/--stock",
    default=None,
    help="Use the field type of the server plugin, or do not. [default: use it where every node has it]",
)
@click.option(
    "--allow-batch-dependence",
    is_flag=True,
    help="Take models whose vectors change with what else is encoded at once.",
)
@click.option("--dry-run", is_flag=True, help="Print the body instead of creating the index.")
@cluster_options
def create(
    cluster: Cluster,
    name: str,
    mapping: str,
    models: tuple[str, ...],
    inputs: tuple[str, ...],
    dimensions: tuple[str, ...],
    pooling: tuple[str, ...],
    rotations: tuple[str, ...],
    fde: str | None,
    shards: int | None,
    replicas: int | None,
    engine: str | None,
    analyzer: str | None,
    plugin: bool | None,
    allow_batch_dependence: bool,
    dry_run: bool,
) -> None:
    """Create the index NAME.

    \b
    Examples:
      osmm index create manuals
      osmm index create manuals --model dense=my-clip --input dense=image --shards 3
      osmm index create manuals --mapping mixed --model image_dense=my-clip
      osmm index create manuals --pooling multi_vector=2 --fde '{"repetitions": 10}'
      osmm index create manuals --mapping my-body.json --dry-run

    Where every node has the server plugin, multi-vectors become fields of type multi_vector: the cluster
    scores them itself and keeps each once on disk. Elsewhere they are binary fields, scored by the client.
    """
    from ..models import load_spec

    body = build_body(
        load_template(mapping),
        load_spec,
        models=parse_choices("model", models),
        inputs=parse_choices("input", inputs),
        dimensions=parse_numbers("dimension", dimensions),
        pooling=parse_numbers("pooling", pooling),
        rotations=parse_choices("rotation", rotations),
        fde=parse_object("fde", fde),
        shards=shards,
        replicas=replicas,
        engine=engine,
        analyzer=analyzer,
        plugin=_has_plugin(cluster) if plugin is None else plugin,
        allow_batch_dependence=allow_batch_dependence,
    )
    if dry_run:
        click.echo(json.dumps(body, indent=2))
        return
    try:
        cluster.create_index(name, body)
    except ClusterConflict as error:
        raise InvalidInput(
            f"index '{name}' exists already: choose another name, or 'osmm index delete {name}'"
        ) from error
    stderr.print(f"Created index [bold]{name}[/] on {cluster.url}.")
    stderr.print(f"Next: osmm ingest PATH --index {name}")


def _has_plugin(cluster: Cluster) -> bool:
    """Ask the cluster; one that does not let us ask is taken for a stock one, and that is said."""
    try:
        return cluster.has_plugin(PLUGIN)
    except ClusterRefused:
        stderr.print(
            "[yellow]warning:[/] the cluster does not tell its plugins (that takes cluster:monitor): "
            "using no field type of the server plugin; --plugin uses it all the same",
            highlight=False,
            soft_wrap=True,
        )
        return False


@index.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@cluster_options
def show(cluster: Cluster, name: str, as_json: bool) -> None:
    """Show what the index NAME holds: records, vector fields, models and profiles."""
    description = describe(name, cluster.get_index(name))
    counted = cluster.search(
        name, {"size": 0, "track_total_hits": True, "aggs": {"m": {"terms": {"field": "modality"}}}}
    )
    records: dict[str, int] = {b["key"]: b["doc_count"] for b in counted["aggregations"]["m"]["buckets"]}
    if as_json:
        shown: dict[str, Any] = {
            "name": name,
            "indices": list(description.indices),
            "records": records,
            **description.meta.model_dump(mode="json", exclude_none=True),
        }
        click.echo(json.dumps(shown, indent=2))
        return
    stdout.print(f"[bold]{name}[/] ({', '.join(description.indices)})", highlight=False)
    stdout.print(
        "records: " + (", ".join(f"{n} {kind}s" for kind, n in records.items()) or "none"), highlight=False
    )
    table = Table("field", "holds", "dimension", "engine", box=None, pad_edge=False)
    for field, described in description.meta.fields.items():
        if isinstance(described, SourceField):
            holds = f"{described.model} of {described.input}, {described.fingerprint or 'no fingerprint'}"
            holds += f", pooled by {described.pooling.factor}" if described.pooling else ""
        else:
            holds = f"derived from {described.derived_from}"
            if isinstance(described, BinaryField) and described.rotation:
                holds += f", rotation {described.rotation}, {described.fingerprint or 'no fingerprint'}"
        properties = description.properties.get(field, {})
        table.add_row(
            field, holds, str(properties.get("dimension", "")), properties.get("method", {}).get("engine", "")
        )
    stdout.print(table)
    stdout.print(f"profiles: {', '.join(description.profile_names())}", highlight=False)


index.add_command(calibrate)


@index.command("stamp")
@click.argument("name")
@cluster_options
def stamp_command(cluster: Cluster, name: str) -> None:
    """Write the fingerprints of the models and rotations at hand into the index NAME.

    For an index that was created by PUT from one of the files in mappings/. Refuses to change a fingerprint
    that is there: vectors of another model may be in the index.
    """
    from ..models import load_spec

    def change(meta: dict[str, Any]) -> dict[str, Any]:
        parsed = parse_meta(f"index '{name}'", meta.get("multimodal"))
        stamped = stamp(parsed, load_spec)
        for field, new in stamped.fields.items():
            old = parsed.fields[field]
            if isinstance(new, FdeField) or isinstance(old, FdeField):
                continue
            if old.fingerprint not in {None, new.fingerprint}:
                named = new.model if isinstance(new, SourceField) else new.rotation
                raise InvalidInput(
                    f"field '{field}' of index '{name}' is stamped with {old.fingerprint}, "
                    f"'{named}' at hand is {new.fingerprint}: ingest into a new index instead"
                )
        return {**meta, "multimodal": stamped.model_dump(mode="json", exclude_none=True)}

    cluster.update_meta(name, change)
    stderr.print(f"Stamped index [bold]{name}[/].")


@index.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@cluster_options
def delete(cluster: Cluster, name: str, yes: bool) -> None:
    """Delete the index NAME and everything in it."""
    found = cluster.get_index(name)
    if list(found) != [name]:
        raise InvalidInput(
            f"index: '{name}' is an alias or a pattern ({', '.join(found)}); name one index itself"
        )
    try:
        describe(name, found)
    except InvalidInput as error:
        raise InvalidInput(f"index '{name}' was not made by osmm, so it is not deleted here") from error
    if not yes:
        count = cluster.search(name, {"size": 0, "track_total_hits": True})["hits"]["total"]["value"]
        click.confirm(f"Delete index '{name}' with {count} records on {cluster.url}?", abort=True, err=True)
    try:
        cluster.delete_index(name)
    except ClusterNotFound as error:
        raise InvalidInput(f"index '{name}' does not exist") from error
    stderr.print(f"Deleted index [bold]{name}[/].")
