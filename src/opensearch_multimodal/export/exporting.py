"""One model of transformers to one model of ours: files, spec, report, all or nothing."""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .. import models as store
from ..download import sha256_of, swap_folder, temporary_folder
from ..errors import EnvironmentProblem, InvalidInput
from ..models.spec import ModelFile, ModelSpec, check_name
from .architectures import recognise
from .compare import check_parity
from .convert import convert
from .graphs import ExportOptions, Graph, Plan
from .parity import TOLERANCES, Parity, refuse_outside
from .precision import ATTEMPTS, Attempt, write_precision
from .preprocessing import compare_preprocessing
from .sharing import share_weights
from .source import Source
from .specs import make_spec
from .table import markdown

__all__ = ["SPEC_FILE", "ExportResult", "Progress", "export_model"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is to do (0: unknown)."""

SPEC_FILE = "spec.toml"
"""The name of the spec in an exported folder."""


@dataclass(frozen=True)
class ExportResult:
    """What an export made.

    Attributes:
        spec: of the model.
        parity: the report.
        folder: of its files and the report.
        spec_file: the spec.
        architecture: the name of the model's architecture.
    """

    spec: ModelSpec
    parity: Parity
    folder: Path
    spec_file: Path
    architecture: str


def export_model(
    source: Source,
    name: str,
    options: ExportOptions | None = None,
    *,
    out: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> ExportResult:
    """Export a model, and keep it among the user's own, or in a folder of its own.

    All or nothing: whatever goes wrong, what was there before is there still, and nothing else.

    Args:
        source: what to export.
        name: of the model.
        options: what the folder does not say.
        out: the folder to make; None adds the model to the user's own.
        force: replace a model, or a folder, of the same name.
        progress: called as work goes on.

    Raises:
        InvalidInput: the model is not supported or not whole, the name is taken, or what was made is too far
            from the original.
        EnvironmentProblem: the disk is full.
    """
    options = options or ExportOptions()
    check_name(name)
    _refuse_taken(name, out, source, force=force)
    architecture = recognise(source.config, options)
    _require_room(source, out.absolute() if out else store.user_artifact_folder(name), 2)
    made: list[tuple[ModelSpec, Parity]] = []

    def build(folder: Path) -> ModelSpec:
        with tempfile.TemporaryDirectory(prefix=".work.", dir=folder) as work:
            made.append(_export(source, name, options, architecture, folder, Path(work), progress))
        return made[-1][0]

    with _disk_problems(out or store.user_artifact_folder(name)):
        if out is None:
            spec_file = store.build_model(name, build, force=force)
            folder = store.user_artifact_folder(name)
        else:
            folder = _publish(out, build, force=force)
            spec_file = folder / SPEC_FILE
    spec, parity = made[-1]
    return ExportResult(spec, parity, folder, spec_file, architecture.name)


def _export(
    source: Source,
    name: str,
    options: ExportOptions,
    architecture: Any,
    folder: Path,
    work: Path,
    progress: Progress | None,
) -> tuple[ModelSpec, Parity]:
    say = progress or (lambda text, done, total: None)
    say("reading weights", 0, 0)
    plan = _plan(architecture, source, options)
    written = plan.write_files(folder)
    preprocessing, notes = compare_preprocessing(source, plan, folder, queries=options.query_prefix is None)
    if len(plan.graphs) > 1:
        _require_room(source, folder, 2 * len(plan.graphs) + 1)
    for number, graph in enumerate(plan.graphs):
        say(f"converting {graph.file}", number, len(plan.graphs))
        traced = _traced(work, graph)
        traced.parent.mkdir()
        convert(graph, traced)
    attempts = ATTEMPTS[options.precision]
    for attempt in attempts:
        graphs = _write_graphs(plan, folder, work, options, attempt, say)
        parity = check_parity(
            plan,
            folder,
            options.precision,
            attempt=attempt,
            seed=options.seed,
            progress=progress,
            device=options.device,
        )
        try:
            refuse_outside(parity, name)
        except InvalidInput:
            if attempt == attempts[-1]:
                raise
        else:
            written += graphs
            break
    files = tuple(
        ModelFile(path=path.relative_to(folder).as_posix(), sha256=sha256_of(path), size=path.stat().st_size)
        for path in written
    )
    spec = make_spec(plan, name, files, source, options)
    parity = replace(parity, preprocessing=preprocessing, notes=(*parity.notes, *notes))
    say("running the exported model", 0, 0)
    from .. import encoder

    encoder.check_model(
        spec, folder=folder, allow_batch_dependence=TOLERANCES[options.precision].batch_dependent
    )
    _write_report(folder, spec, parity, source, architecture.name)
    return spec, parity


def _plan(architecture: Any, source: Source, options: ExportOptions) -> Plan:
    """Take the model apart; what is wrong in its files is one sentence, whatever tripped over it."""
    try:
        plan: Plan = architecture.plan(source, options)
    except InvalidInput:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InvalidInput(
            f"folder: {source.folder}: its configuration files do not say what those of a model of the "
            f"{architecture.name} say ({reason})"
        ) from None
    return plan


def _write_graphs(
    plan: Plan, folder: Path, work: Path, options: ExportOptions, attempt: Attempt, say: Progress
) -> list[Path]:
    """Write every graph in the precision that is asked for, and return the files."""
    written: list[Path] = []
    for number, graph in enumerate(plan.graphs):
        say(f"writing {graph.file} as {options.precision}", number, len(plan.graphs))
        written += write_precision(
            _traced(work, graph),
            folder / graph.file,
            options.precision,
            attempt=attempt,
            external_above=options.external_above,
        )
    return [*share_weights(written)]


def _traced(work: Path, graph: Graph) -> Path:
    return work / graph.file.removesuffix(".onnx") / graph.file


def _write_report(folder: Path, spec: ModelSpec, parity: Parity, source: Source, architecture: str) -> None:
    facts = {
        "architecture": f"{architecture} ({source.config.get('model_type')})",
        "kind": f"{spec.kind}, {'labels' if spec.kind == 'reranker' else 'dimension'} {spec.dimension}",
        "source": " ".join(part for part in (spec.source, spec.revision) if part) or "not known",
        "licence": spec.licence,
        "fingerprint": spec.fingerprint,
        "size": f"{sum(file.size for file in spec.files) / 1e6:,.1f} MB",
        "made by": ", ".join(
            f"{one} {version(one)}" for one in ("torch", "transformers", "onnx", "onnxruntime")
        ),
    }
    content = {"model": spec.name, **facts, **parity.as_json()}
    (folder / "parity.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (folder / "parity.md").write_text(markdown(parity, name=spec.name, facts=facts), encoding="utf-8")


def _refuse_taken(name: str, out: Path | None, source: Source, *, force: bool) -> None:
    if out is None:
        if not force:
            store.refuse_clash(name)
        return
    place = out.resolve()
    for kept in (source.root.resolve(), source.folder.resolve(), Path.cwd().resolve(), Path.home().resolve()):
        if place == kept or place in kept.parents:
            raise InvalidInput(f"out: {out} is or holds {kept}, which an export never replaces; name another")
    _refuse_place(out, force=force)


def _refuse_place(out: Path, *, force: bool) -> None:
    """Refuse a place where something lies that an export does not replace."""
    if not out.exists() and not out.is_symlink():
        if any(parent.exists() and not parent.is_dir() for parent in out.absolute().parents):
            raise InvalidInput(f"out: {out} would lie in a file; name another folder")
        return
    if out.is_symlink() or not out.is_dir():
        raise InvalidInput(f"out: {out} is no folder; name another")
    if not force:
        raise InvalidInput(f"out: {out} is there already; name another folder, or use --force to replace it")
    if any(out.iterdir()) and not (out / SPEC_FILE).is_file():
        raise InvalidInput(
            f"out: {out} holds no exported model (no {SPEC_FILE}), so --force does not replace it; name "
            "another folder"
        )


def _require_room(source: Source, place: Path, copies: int) -> None:
    """Refuse where there is clearly no room for what lies there at the same time.

    Args:
        source: the model.
        place: where it is exported to.
        copies: of the float32 weights: two for a graph, as it was traced and as it is kept, and one of what
            two graphs hold both.
    """
    weights = source.weights()
    needed = copies * weights
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        raise EnvironmentProblem(
            f"disk: an export of {weights / 1e6:,.0f} MB of weights needs about {needed / 1e6:,.0f} MB, "
            f"{place} has {free / 1e6:,.0f} MB free: make room, or name another place by --out or $OSMM_HOME"
        )


@contextmanager
def _disk_problems(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise EnvironmentProblem(
                f"disk: there is no room for the export at {place} ({error.strerror}); nothing was kept"
            ) from None
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise EnvironmentProblem(f"disk: {place} cannot be written ({error.strerror})") from None
        raise


def _publish(out: Path, build: Callable[[Path], ModelSpec], *, force: bool) -> Path:
    """Make ``out`` of what ``build`` puts into a folder beside it; what was there goes when that is whole."""
    out = out.absolute()
    absent = [parent for parent in out.parents if not parent.exists()]
    try:
        with temporary_folder(out) as temporary:
            fresh = temporary / "model"
            fresh.mkdir()
            spec = build(fresh)
            (fresh / SPEC_FILE).write_text(store.spec_text(spec), encoding="utf-8")
            _refuse_place(out, force=force)
            swap_folder(fresh, out, temporary)
    except BaseException:
        for parent in absent:
            with suppress(OSError):  # somebody else has put something there meanwhile
                parent.rmdir()
        raise
    return out
