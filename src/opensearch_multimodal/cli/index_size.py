"""``osmm index size``: how large an index's fixed dimensional encodings must be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from ..client import Cluster
from ..errors import InvalidInput
from ..fde import FdeParameters
from ..mappings import FdeField, IndexDescription, describe, fde_parameters
from ..sizing import COMMON_SIZES, FdeEstimate, estimate_fde
from .console import stderr, stdout
from .options import cluster_options, model_options, parse_object

__all__ = ["size"]


@click.command()
@click.argument("name")
@click.option("--field", help="The FDE field. [default: the only one]")
@click.option(
    "--queries",
    type=click.Path(path_type=Path),
    help='JSON lines: {"_id": "q1", "text": "..."}. [default: sentences of the records]',
)
@click.option("--set", "sets", multiple=True, metavar="JSON", help="Compare this parameter set; repeat.")
@click.option("--sample", type=click.IntRange(2, 10_000), default=2000, show_default=True, help="Records.")
@click.option(
    "--most-queries", type=click.IntRange(2, 10_000), default=100, show_default=True, help="Of them."
)
@click.option("--depth", type=click.IntRange(1), default=100, show_default=True, help="The first stage's k.")
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Exact best to be found.")
@click.option(
    "--target", type=click.FloatRange(0, 1), default=0.95, show_default=True, help="Recall to recommend for."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@model_options
@cluster_options
def size(
    cluster: Cluster,
    name: str,
    field: str | None,
    queries: Path | None,
    sets: tuple[str, ...],
    sample: int,
    most_queries: int,
    depth: int,
    top: int,
    target: float,
    as_json: bool,
    provider: str,
    threads: int | None,
) -> None:
    """State the expected recall and the bytes per record of FDE parameter sets for the index NAME.

    Multi-vectors of a sample of the index are encoded anew with each set; what exact MaxSim ranks first is
    compared with what the encodings find. The index is only read. The search in the cluster is approximate
    as well (HNSW), which costs a little more. Own queries tell more than sentences of the records do.

    \b
    Examples:
      osmm index size manuals --queries queries.jsonl
      osmm index size manuals --set '{"repetitions": 20, "simhash_bits": 5, "final_dimension": 4096}'
    """
    from ..blas import single_threaded
    from ..encoder import EncoderPool, IndexEncoders
    from ..evaluation import read_queries
    from ..search.sample import count_records, draw, sentences

    described = describe(name, cluster.get_index(name))
    field, present = _fde_field(described, field)
    source = present.derived_from
    drawn = draw(cluster, described, source, sample)
    if len(drawn.vectors) < 2:
        raise InvalidInput(f"index '{name}': {len(drawn.vectors)} records have vectors in '{source}', need 2")
    if queries is not None:
        texts = list(read_queries(queries).values())[:most_queries]
        own: list[int | None] = [None] * len(texts)
    else:
        chosen = sentences(drawn.texts, most_queries)
        texts, own = [text for _, text in chosen], [position for position, _ in chosen]
    if not texts:
        raise InvalidInput(f"index '{name}': no record has a sentence to ask with; give --queries")
    encoders = IndexEncoders(described, EncoderPool(provider=provider, threads=threads))
    asked = encoders.get(source).encode_queries(texts)
    compared = _compared(fde_parameters(present), sets)
    records = max(count_records(cluster, described), len(drawn.vectors))
    with single_threaded():
        estimates = estimate_fde(
            drawn.vectors, asked, compared, population=records, top=top, depth=depth, own=own
        )
    advice = _advice(estimates, target)
    if as_json:
        shown = {
            "records": records,
            "sample": len(drawn.vectors),
            "queries": len(texts),
            "sets": [asdict(one) for one in estimates],
            "recommended": asdict(advice.parameters) if advice else None,
        }
        click.echo(json.dumps(shown, indent=2))
        return
    stdout.print(
        f"{len(drawn.vectors)} of {records} records, {len(texts)} {'queries' if queries else 'sentences'}; "
        f"recall: share of the exact {top} best among the first {depth}",
        highlight=False,
    )
    stdout.print(_table(estimates, fde_parameters(present), field))
    if advice:
        options = json.dumps(_settings(advice.parameters))
        stdout.print(
            f"smallest with an expected recall of {target:.2f}: osmm index create … --fde '{options}'",
            highlight=False,
            soft_wrap=True,
        )
    else:
        stderr.print(f"none reaches an expected recall of {target:.2f}: search deeper (--depth)")


def _fde_field(described: IndexDescription, name: str | None) -> tuple[str, FdeField]:
    fields = {key: value for key, value in described.meta.fields.items() if isinstance(value, FdeField)}
    if name is None and len(fields) == 1:
        return next(iter(fields.items()))
    if name not in fields:
        raise InvalidInput(
            f"field: index '{described.name}' has these FDE fields: {', '.join(fields) or 'none'}"
        )
    return name, fields[name]


def _compared(present: FdeParameters, sets: tuple[str, ...]) -> list[FdeParameters]:
    if not sets:
        return list(dict.fromkeys([*COMMON_SIZES, present]))
    given = []
    for text in sets:
        try:
            given.append(FdeParameters(**{**asdict(present), **(parse_object("set", text) or {})}))
        except TypeError:
            raise InvalidInput(
                f"--set: {text} is not a set of {', '.join(FdeParameters.__dataclass_fields__)}"
            ) from None
    return list(dict.fromkeys([*given, present]))


def _advice(estimates: Sequence[FdeEstimate], target: float) -> FdeEstimate | None:
    good = [one for one in estimates if one.recall >= target]
    return min(good, key=lambda one: (one.bytes, -one.recall)) if good else None


def _settings(parameters: FdeParameters) -> dict[str, Any]:
    default = FdeParameters()
    always = ("repetitions", "simhash_bits", "projection")
    return {
        key: value
        for key, value in asdict(parameters).items()
        if key in always or value != getattr(default, key)
    }


def _table(estimates: Sequence[FdeEstimate], present: FdeParameters, field: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("repetitions", "simhash bits", "projection", "final", "bytes", "recall", "95%", "ms"):
        table.add_column(column, justify="right")
    table.add_column("")
    for one in sorted(estimates, key=lambda estimate: estimate.bytes):
        its = one.parameters
        table.add_row(
            str(its.repetitions),
            str(its.simhash_bits),
            str(its.projection or "–"),
            str(its.final_dimension or "–"),
            str(one.bytes),
            f"{one.recall:.3f}",
            f"{one.low:.2f}–{one.high:.2f}",
            f"{one.encode_ms:.2f}",
            f"'{field}' now" if its == present else "",
        )
    return table
