"""``osmm models fit-rotation`` and ``rotations``: learnt rotations for binary codes."""

from __future__ import annotations

import json

import click
import numpy as np
from rich.table import Table

from .. import models as store
from ..binarize import Rotation, fit_itq, rotated_codes, rotated_query_codes, sign_codes
from ..client import Cluster
from ..errors import InvalidInput
from ..mappings import describe
from ..sizing import expected_recall
from ..types import FloatArray
from .console import stderr, stdout
from .options import cluster_options, model_options

__all__ = ["fit_rotation", "rotations"]

_SENTENCES = 200
_FEWEST_SENTENCES = 40
_FEWEST = 1000


@click.command("fit-rotation")
@click.argument("name")
@click.option("--index", "index_name", required=True, help="The index to learn from.")
@click.option("--field", default="dense", show_default=True, help="Its single-vector field.")
@click.option(
    "--sample", type=click.IntRange(2, 10_000), default=10_000, show_default=True, help="Vectors to draw."
)
@click.option("--bits", type=click.IntRange(1, 4096), help="Length of a code. [default: the dimension]")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of sample and start.")
@click.option("--force", is_flag=True, help="Replace a rotation of the same name; its indices then refuse.")
@model_options
@cluster_options
def fit_rotation(
    cluster: Cluster,
    name: str,
    index_name: str,
    field: str,
    sample: int,
    bits: int | None,
    seed: int,
    force: bool,
    provider: str,
    threads: int | None,
) -> None:
    """Learn the rotation NAME for binary codes (ITQ) from the vectors of an index.

    The signs of vectors are poor codes where components are unequal or not centred. ITQ learns, from a
    sample of the index's own vectors, the rotation whose signs lose least. The rotation is kept in
    $OSMM_HOME, beside the models; a new index uses it by name, and keeps its fingerprint. It is bound to
    the model.

    \b
    Example:
      osmm models fit-rotation manuals-384 --index manuals
      osmm index create manuals-2 --rotation binary=manuals-384

    What queries have in common is learnt from sentences of the records, encoded as queries. Other sentences
    then measure: the share of the exact 10 best among the first 100 by code, for signs alone and for the
    rotation.
    """
    from ..blas import single_threaded
    from ..encoder import EncoderPool, IndexEncoders
    from ..search.sample import draw, sentences

    described = describe(index_name, cluster.get_index(index_name))
    source = described.source_field(field)
    spec = store.load_spec(source.model)
    described.check_model(field, spec)
    if source.encoding is not None:
        raise InvalidInput(f"field '{field}' of index '{index_name}' holds multi-vectors")
    drawn = draw(cluster, described, field, sample, seed=seed)
    vectors = np.array(drawn.vectors)
    wanted = bits or spec.kept_dimension(source.dimension)
    fewest = max(_FEWEST, wanted + 1)
    if len(vectors) < fewest:
        raise InvalidInput(
            f"index '{index_name}': {len(vectors)} vectors are too few to learn {wanted} bits from, "
            f"at least {fewest} are needed"
        )
    encoders = IndexEncoders(described, EncoderPool(provider=provider, threads=threads))
    texts = [text for _, text in sentences(drawn.texts, _SENTENCES, seed=seed)]
    asked = vectors[:0]
    if "text" in encoders.query_inputs(field) and len(texts) >= _FEWEST_SENTENCES:
        asked = np.asarray(encoders.get(field).encode_queries(texts))
    with stderr.status(f"learning {wanted} bits from {len(vectors)} vectors …"), single_threaded():
        learnt_from = asked[::2]
        rotation = fit_itq(vectors, learnt_from if len(learnt_from) else None, bits=wanted, seed=seed)
        measured = _recalls(asked[1::2], vectors, rotation) if len(asked) else None
    saved = store.save_rotation(
        name,
        rotation,
        model=spec.name,
        source=spec.fingerprint,
        vectors=len(vectors),
        queries=len(learnt_from),
        force=force,
    )
    stdout.print(f"learnt [bold]{name}[/]: {saved.bits} bits, {saved.vectors} vectors", highlight=False)
    if measured is None:
        stderr.print(
            "[yellow]warning:[/] the records have too few sentences to learn what queries have in common",
            soft_wrap=True,
        )
    else:
        by_sign, by_rotation = measured
        stdout.print(f"  recall       {by_rotation:.3f}, by signs alone {by_sign:.3f}", highlight=False)
    stdout.print(f"  fingerprint  {saved.fingerprint}", highlight=False, soft_wrap=True)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def rotations(as_json: bool) -> None:
    """List the learnt rotations."""
    known = store.list_rotations()
    if as_json:
        shown = [one.model_dump(mode="json") | {"fingerprint": one.fingerprint} for one in known]
        click.echo(json.dumps(shown, indent=2))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("rotation", "kind", "model", "dimension", "bits", "learnt from"):
        table.add_column(column)
    for one in known:
        numbers = str(one.dimension), str(one.bits), f"{one.vectors} vectors"
        table.add_row(f"[bold]{one.name}[/]", one.kind, one.model, *numbers)
    stdout.print(table)


def _recalls(queries: FloatArray, vectors: FloatArray, rotation: Rotation) -> tuple[float, float]:
    """Return the share of the exact 10 best among the first 100, by signs alone and by the rotation."""
    exact = queries @ vectors.T
    pairs = (
        (sign_codes(queries), sign_codes(vectors)),
        (rotated_query_codes(queries, rotation), rotated_codes(vectors, rotation)),
    )
    by_sign, by_rotation = (
        float(expected_recall(exact, _closeness(*pair), len(vectors), top=10, depth=100).mean())
        for pair in pairs
    )
    return by_sign, by_rotation


def _closeness(queries: np.ndarray, codes: np.ndarray) -> FloatArray:
    """Return minus the Hamming distances, up to a constant: the inner products of the codes as ±1."""
    one, other = (
        np.where(np.unpackbits(side.view(np.uint8), axis=1), np.float32(1), np.float32(-1))
        for side in (queries, codes)
    )
    products: FloatArray = one @ other.T
    return products
