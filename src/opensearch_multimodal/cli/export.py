"""``osmm models export``: a model of transformers to ONNX files, shown to be the same."""

from __future__ import annotations

import importlib.util
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ..errors import InvalidInput, MissingExtra
from .console import say, stderr, stdout

if TYPE_CHECKING:
    from .. import export as exporter

__all__ = ["export"]

_NEEDED = ("torch", "transformers", "onnx", "onnxscript")
_ONE = ("precision", "device", "pooling", "max_tokens", "query_prefix", "passage_prefix")
_FACTS = ("description", "licence", "source", "revision")


@click.command()
@click.argument("model", metavar="FOLDER_OR_ID")
@click.option("--name", required=True, help="The model's name, for index bodies and commands.")
@click.option(
    "--kind",
    required=True,
    type=click.Choice(["dense", "multi_vector", "reranker"]),
    help="One vector per input, one per token or patch, or a score per pair of question and text.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Make this folder of it, instead of adding the model to your own.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8-weights", "int8-dynamic"]),
    default="fp32",
    show_default=True,
    help="Of weights and arithmetic. fp16 is for GPUs; int8-weights is a quarter of the size; int8-dynamic "
    "is the fastest on a CPU, but its vectors change with what else is in their batch.",
)
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where PyTorch computes the vectors that the exported ones are compared with.",
)
@click.option(
    "--pooling",
    type=click.Choice(["cls", "mean", "last", "max"]),
    help="How token states become one vector. [default: 1_Pooling/config.json]",
)
@click.option(
    "--max-tokens", type=click.IntRange(8), help="The longest text. [default: from the configuration]"
)
@click.option("--query-prefix", help="Put before every query. [default: from the folder's configuration]")
@click.option("--passage-prefix", help="Put before every passage. [default: from the folder's configuration]")
@click.option(
    "--mrl-dimension",
    "mrl_dimensions",
    multiple=True,
    type=click.IntRange(1, 4096),
    help="A Matryoshka model: its vectors may be cut to so many components; repeat. [default: config.json]",
)
@click.option("--description", default="", help="One line for 'osmm models list'.")
@click.option("--licence", help="SPDX id of the weights' licence. [default: the model card's]")
@click.option("--source", help="Where the weights come from. [default: the hub's or the package's address]")
@click.option("--revision", help="Branch, tag or commit to fetch; of a folder, what to write down.")
@click.option("--force", is_flag=True, help="Replace a model, or a folder, of the same name.")
def export(model: str, name: str, out: Path | None, force: bool, **given: Any) -> None:
    """Export FOLDER_OR_ID to ONNX, compare it with the original, and add it to your models.

    FOLDER_OR_ID is a folder as transformers or sentence-transformers save models, an importable package with
    such a folder in it, or a model's id on the hub, where that can be reached. The architecture is recognised
    by config.json; pooling, Dense layers, prefixes, lengths, licence and revision are read from the folder.
    Code from the folder is never run.

    The ONNX files are run beside the original, on generated inputs of other sizes, alone and in batches: what
    is outside the tolerance of its precision is refused, and nothing is kept. parity.json and parity.md,
    beside the model's files, have the numbers.

    \b
      osmm models export ~/bge-base-en-v1.5 --name bge-base --kind dense
      osmm models export BAAI/bge-small-en-v1.5 --name bge --kind dense --precision int8-weights
      osmm models export ~/colbert --name colbert --kind multi_vector
      osmm models export ~/ms-marco-MiniLM --name minilm-reranker --kind reranker --out exported
      osmm index create manuals --mapping ...   an index body names the model

    It needs PyTorch: pip install 'opensearch-multimodal[export]'. Ingest and search do not.
    """
    _require_extra()
    from .. import export as exporter

    options = exporter.ExportOptions(
        kind=given["kind"],
        mrl_dimensions=given["mrl_dimensions"] or None,
        **{key: given[key] for key in (*_ONE, *_FACTS)},
    )
    _require_device(options.device)
    with _interruptible():
        source = exporter.open_source(
            model, revision=given["revision"]
        )  # the hub's client shows its progress
        with _progress() as progress:
            result = exporter.export_model(source, name, options, out=out, force=force, progress=progress)
    _show(result)


def _require_extra() -> None:
    if any(importlib.util.find_spec(one) is None for one in _NEEDED):
        raise MissingExtra("exporting a model", "export")


def _require_device(device: str) -> None:
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise InvalidInput("device: PyTorch finds no CUDA device here; use --device cpu")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM undo what was begun, and say so."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        say("interrupted: nothing was kept")
        sys.exit(130)
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


@contextmanager
def _progress() -> Iterator[exporter.Progress]:
    """Yield what shows how far an export is: a bar on a terminal, else a line for each step."""
    if not stderr.is_terminal:
        told: set[str] = set()

        def tell(text: str, done: int, total: int) -> None:
            if text not in told:
                told.add(text)
                say(f"{text} …")

        yield tell
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=stderr, transient=True) as bar:
        task = bar.add_task("", total=None)

        def update(text: str, done: int, total: int) -> None:
            bar.update(task, description=text, completed=done, total=total or None)

        yield update


def _show(result: exporter.ExportResult) -> None:
    from ..export.table import summary

    spec = result.spec
    yields = f"{'labels' if spec.kind == 'reranker' else 'dimension'} {spec.dimension}"
    stdout.print(
        f"exported [bold]{spec.name}[/]: {spec.kind}, {yields}, {result.parity.precision}", highlight=False
    )
    size = sum(file.size for file in spec.files) / 1e6
    rows = [
        ("architecture", result.architecture),
        ("licence", spec.licence),
        *summary(result.parity),
        ("size", f"{size:,.1f} MB"),
        ("fingerprint", spec.fingerprint),
        ("spec", str(result.spec_file)),
        ("report", str(result.folder / "parity.md")),
    ]
    for label, value in rows:
        stdout.print(f"  {label:<13}{value}", markup=False, highlight=False, soft_wrap=True)
    for note in result.parity.notes:
        stdout.print(f"  note         {note}", markup=False, highlight=False, soft_wrap=True)
