"""``osmm ingest``: documents into an index."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from .. import resources
from ..client import Cluster
from ..errors import InvalidInput
from ..mappings import IndexDescription, describe
from .console import stderr
from .options import cluster_options, model_options

__all__ = ["IngestDisplay", "ingest"]

_MEBIBYTE = 1024 * 1024
_MOST_WARNINGS = 20


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--index", "index_name", required=True, help="The index to write to.")
@click.option(
    "--dpi", default=150, show_default=True, type=click.IntRange(18, 1200), help="Resolution of page images."
)
@click.option(
    "--ocr",
    type=click.Choice(["auto", "off", "force"]),
    default="auto",
    show_default=True,
    help="Read pages without a text layer (auto), none (off), or every page (force).",
)
@click.option(
    "--passage-chars",
    default=1200,
    show_default=True,
    type=click.IntRange(50),
    help="Longest passage of a text file.",
)
@click.option(
    "--passage-overlap",
    default=200,
    show_default=True,
    type=click.IntRange(0),
    help="What consecutive passages share.",
)
@click.option(
    "--acl",
    multiple=True,
    metavar="GROUP",
    help="Who may see the records, for document-level security; repeatable.",
)
@click.option(
    "--acl-map",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='JSON file {"hr/*": ["hr"], ...}: who may see files whose path matches, in place of --acl.',
)
@click.option("--keep-images", is_flag=True, help="Store page images in the index.")
@click.option(
    "--replace",
    "replace_others",
    is_flag=True,
    help="Replace documents that the index holds under the same id from other files.",
)
@click.option(
    "--prune", is_flag=True, help="Delete documents that came from PATHS once and are no longer there."
)
@click.option(
    "--max-file-mb",
    default=512,
    show_default=True,
    type=click.IntRange(0),
    help="Refuse larger files; 0 for no limit.",
)
@click.option(
    "--max-pages",
    default=5000,
    show_default=True,
    type=click.IntRange(0),
    help="Refuse longer documents; 0 for no limit.",
)
@click.option(
    "--max-megapixels",
    default=100,
    show_default=True,
    type=click.IntRange(0),
    help="Refuse larger page images; 0 for no limit.",
)
@click.option(
    "--patience",
    default=300.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Seconds to wait for a cluster that is busy or away.",
)
@click.option(
    "--dead-letters",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for records that are refused for good.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@model_options
@cluster_options
def ingest(
    cluster: Cluster,
    paths: tuple[Path, ...],
    index_name: str,
    dpi: int,
    ocr: str,
    passage_chars: int,
    passage_overlap: int,
    acl: tuple[str, ...],
    acl_map: Path | None,
    keep_images: bool,
    replace_others: bool,
    prune: bool,
    max_file_mb: int,
    max_pages: int,
    max_megapixels: int,
    patience: float,
    dead_letters: Path | None,
    as_json: bool,
    provider: str,
    threads: int | None,
) -> None:
    """Read PATHS, encode them and write them to an index.

    Reads PDF, images (JPEG, PNG, WebP, TIFF), text, Markdown and JSON lines ({"_id", "title", "text"}).
    What is in the index already is skipped, what has changed is replaced. Interrupt it at any time: the same
    command goes on where it stopped.

    Exit code 1: something could not be read or was refused; everything else is in the index.

    \b
    Examples:
      osmm ingest ~/manuals --index manuals
      osmm ingest ~/manuals --index manuals --prune --acl engineering
    """
    from ..encoder import EncoderPool, IndexEncoders
    from ..ingest import ingest as run
    from ..sources import Limits, SourceOptions

    description = _describe(cluster, index_name)
    options = SourceOptions(
        dpi=dpi,
        ocr=ocr,  # type: ignore[arg-type]  # click has checked the choice
        passage_chars=passage_chars,
        passage_overlap=passage_overlap,
        limits=Limits(
            max_file_bytes=max_file_mb * _MEBIBYTE,
            max_pages=max_pages,
            max_pixels=max_megapixels * 1_000_000,
        ),
        acl=acl,
        acl_map=_read_acl_map(acl_map) if acl_map else (),
    )
    letters = dead_letters or resources.home_folder() / "dead_letters" / f"{description.indices[0]}.jsonl"
    with IngestDisplay(quiet=as_json) as display:
        try:
            report = run(
                cluster,
                description,
                list(paths),
                IndexEncoders(description, EncoderPool(provider=provider, threads=threads)),
                options=options,
                dead_letters=letters,
                listener=display,
                keep_images=keep_images,
                prune=prune,
                replace_others=replace_others,
                patience=patience,
            )
        except KeyboardInterrupt:
            stderr.print("\nInterrupted. The same command goes on where it stopped.")
            sys.exit(130)
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        stderr.print(report.summary(), highlight=False)
        if report.refused:
            stderr.print(f"Refused records and the reasons: {letters}", highlight=False, soft_wrap=True)
    if not report.complete:
        sys.exit(1)


def _describe(cluster: Cluster, name: str) -> IndexDescription:
    description = describe(name, cluster.get_index(name))
    if len(description.indices) != 1:
        raise InvalidInput(
            f"index: '{name}' stands for {len(description.indices)} indices; name one to write to"
        )
    return description


def _read_acl_map(path: Path) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Read pattern → groups, in the order of the file."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise InvalidInput(f"--acl-map: {path.name}: not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise InvalidInput(f"--acl-map: {path.name}: expected an object, got {type(content).__name__}")
    for pattern, groups in content.items():
        if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
            raise InvalidInput(f"--acl-map: {path.name}: '{pattern}' must have a list of names")
    return tuple((pattern, tuple(groups)) for pattern, groups in content.items())


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Show the mean rate: records arrive in batches, so that rates of the moment jump."""
        seconds = task.finished_time or task.elapsed
        return Text(f"{task.completed / seconds:.1f}/s" if seconds and task.completed else "")


class IngestDisplay:
    """A progress bar, with what the user should know above it."""

    def __init__(self, *, quiet: bool) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("ingest"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=stderr,
            disable=quiet,
        )
        self._task = self._progress.add_task("ingest", total=None)
        self._warnings = 0

    def __enter__(self) -> IngestDisplay:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        if self._warnings > _MOST_WARNINGS:
            stderr.print(f"[yellow]warning:[/] and {self._warnings - _MOST_WARNINGS} more")

    def expect(self, records: int) -> None:
        """Set the length of the bar."""
        self._progress.update(self._task, total=records)

    def advance(self, records: int) -> None:
        """Move the bar."""
        self._progress.advance(self._task, records)

    def fail(self, message: str) -> None:
        """Print what could not be read, however many there are."""
        stderr.print(f"[red]not ingested:[/] {escape(message)}", highlight=False, soft_wrap=True)

    def warn(self, message: str) -> None:
        """Print a warning above the bar, up to a number of them."""
        self._warnings += 1
        if self._warnings <= _MOST_WARNINGS:
            stderr.print(f"[yellow]warning:[/] {escape(message)}", highlight=False, soft_wrap=True)
