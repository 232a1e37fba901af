"""Fetch, check and keep the files of models.

Each file's digest is in the spec. A file that was hashed once is remembered by its size and time of change
in ``.verified.json`` beside it, so that a start does not read 130 MB to find what it knows.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .. import download
from ..errors import EnvironmentProblem, InvalidInput
from .spec import ModelFile, ModelSpec
from .store import artifact_folder, find_spec_file, spec_text, user_artifact_folder, user_spec_file

__all__ = [
    "Progress",
    "build_model",
    "is_present",
    "locate",
    "pull",
    "refuse_clash",
    "save_spec",
    "verify",
]

Progress = Callable[[int, int], None]
"""Called with the bytes that have arrived and the bytes there will be."""

_STAMP = ".verified.json"


def is_present(spec: ModelSpec) -> bool:
    """Say whether every file of a model is there and is the one that its spec names."""
    return not _problems(spec, artifact_folder(spec))


def locate(spec: ModelSpec) -> Path:
    """Return the folder with a model's files, after checking them as cheaply as is safe.

    Raises:
        EnvironmentProblem: a file is missing or is not the one that the spec names.
    """
    folder = artifact_folder(spec)
    if problems := _problems(spec, folder):
        raise EnvironmentProblem(f"model '{spec.name}': {problems[0]}: {_remedy(spec)}")
    return folder


def verify(spec: ModelSpec) -> Path:
    """Return the folder with a model's files, after hashing every one of them.

    Raises:
        EnvironmentProblem: a file is missing or is not the one that the spec names.
    """
    with suppress(OSError):
        (artifact_folder(spec) / _STAMP).unlink()
    return locate(spec)


def pull(spec: ModelSpec, *, progress: Progress | None = None) -> Path:
    """Return the folder with a model's files, fetching them where they are not there yet.

    All or nothing: a crash leaves no folder that looks whole and is not.

    Args:
        spec: the model.
        progress: called while its archive is fetched.

    Raises:
        EnvironmentProblem: it cannot be fetched, or what came is not what the spec names.
    """
    folder = artifact_folder(spec)
    problems = _problems(spec, folder)
    if not problems:
        return folder
    if spec.origin is None:
        raise EnvironmentProblem(f"model '{spec.name}': {problems[0]}: {_remedy(spec)}")
    artifact = download.Artifact(spec.origin.coordinates, spec.origin.sha256, spec.origin.size)

    def report(wanted: download.Artifact, arrived: int) -> None:
        if progress:
            progress(arrived, wanted.size)

    [archive] = download.fetch([artifact], progress=report)
    members = {file.member: file.path for file in spec.files if file.member}

    def build(temporary: Path) -> None:
        download.unpack_into(archive, temporary, members=members)
        for file in spec.files:
            if not file.member:
                _place(find_spec_file(spec.name).parent / file.path, temporary / file.path, link=False)
        _require_whole(spec, temporary)

    with download.one_at_a_time(user_spec_file(spec.name)):
        if not _problems(spec, folder):  # another command has fetched it meanwhile
            return folder
        return download.replace_folder(user_artifact_folder(spec.name), build)


def build_model(name: str, build: Callable[[Path], ModelSpec], *, force: bool = False) -> Path:
    """Make a model of the user's own in place, all or nothing, and return the spec's file.

    Of two that make a model of one name at a time, one waits for the other.

    Args:
        name: of the model.
        build: puts the model's files into the folder that it is given, and returns their spec.
        force: replace a model of the same name.

    Raises:
        InvalidInput: a model of that name exists and ``force`` is not set.
        EnvironmentProblem: a file is not the one that the spec names, or the spec has no place.
    """
    target = user_spec_file(name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentProblem(f"{target.parent} cannot be made: {error.strerror}") from None
    if target.is_dir():
        raise EnvironmentProblem(f"{target} is a folder, where the spec of '{name}' would be: remove it")
    folder = user_artifact_folder(name)
    with download.one_at_a_time(target):
        if not force:
            refuse_clash(name)
        with download.temporary_folder(folder) as temporary:
            fresh = temporary / "model"
            fresh.mkdir()
            spec = build(fresh)
            _require_whole(spec, fresh)
            with _staged(target, spec_text(spec)) as staged:
                download.swap_folder(fresh, folder, temporary)
                try:
                    staged.replace(target)
                except BaseException:
                    download.undo_swap(folder, temporary)
                    raise
    return target


def save_spec(spec: ModelSpec, folder: Path, *, link: bool = False, force: bool = False) -> Path:
    """Keep a spec and a copy of its files among the user's own, and return the spec's file.

    Args:
        spec: what to keep; its ``files`` name files below ``folder``.
        folder: where the files are now.
        link: keep links to the files instead of copies.
        force: replace a model of the same name.

    Raises:
        InvalidInput: a model of that name exists and ``force`` is not set.
        EnvironmentProblem: a file is not the one that the spec names.
    """

    def build(temporary: Path) -> ModelSpec:
        for file in spec.files:
            _place(folder / file.path, temporary / file.path, link=link)
        return spec

    return build_model(spec.name, build, force=force)


def refuse_clash(name: str) -> None:
    """Raise `InvalidInput` if there is a model of that name, the user's or a shipped one."""
    try:
        taken = find_spec_file(name)
    except InvalidInput:
        return
    raise InvalidInput(
        f"name: there is a model '{name}' already ({taken}); choose another name or use --force"
    )


def _remedy(spec: ModelSpec) -> str:
    return f"run 'osmm models pull {spec.name}'" if spec.origin else "add it again with 'osmm models add'"


def _problems(spec: ModelSpec, folder: Path) -> list[str]:
    """Say what is wrong with each file; hash only what is not remembered as good."""
    if not folder.is_dir():
        return [f"its files are not in {folder}"]
    stamp = _read_stamp(folder)
    seen: dict[str, list[int | str]] = {}
    problems = []
    for file in spec.files:
        problem, state = _problem(file, folder / file.path, stamp.get(file.path))
        if problem:
            problems.append(problem)
        else:
            seen[file.path] = state
    if seen != stamp:
        with suppress(OSError):  # a shipped folder may be read-only: then it is hashed each time
            _write_atomically(folder / _STAMP, json.dumps(seen))
    return problems


def _problem(file: ModelFile, path: Path, known: object) -> tuple[str | None, list[int | str]]:
    try:
        found = path.stat()
    except OSError:
        return f"{path} is missing", []
    if found.st_size != file.size:
        return f"{path} has {found.st_size} bytes, expected {file.size}", []
    state: list[int | str] = [found.st_size, found.st_mtime_ns, file.sha256]
    if state != known and (actual := download.sha256_of(path)) != file.sha256:
        return f"{path} has sha256 {actual}, expected {file.sha256}", []
    return None, state


def _read_stamp(folder: Path) -> dict[str, object]:
    try:
        stamp = json.loads((folder / _STAMP).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _require_whole(spec: ModelSpec, folder: Path) -> None:
    if problems := _problems(spec, folder):
        raise EnvironmentProblem(f"model '{spec.name}': {problems[0]}")


def _place(source: Path, target: Path, *, link: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if link:
            target.symlink_to(source.resolve(strict=True))
        else:
            shutil.copyfile(source, target)
    except OSError as error:
        raise EnvironmentProblem(f"{source} cannot be read: {error.strerror}") from None


def _write_atomically(path: Path, text: str) -> None:
    with _staged(path, text) as staged:
        staged.replace(path)


@contextmanager
def _staged(path: Path, text: str) -> Iterator[Path]:
    """Yield a file beside ``path`` that holds a text, to be renamed; it goes if it is not."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
