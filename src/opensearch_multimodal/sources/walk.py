"""List the files below a path: in a fixed order, without hidden ones, never twice, never for ever."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .records import os_reason, text_path

__all__ = ["Entry", "walk"]

_JUNK = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
_CORPUS, _QUERIES = "corpus.jsonl", "queries.jsonl"
_QRELS = frozenset({"qrels.tsv", "qrels"})


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, or a folder that cannot be listed.

    Attributes:
        path: absolute.
        relative: below the root, POSIX separators, valid UTF-8; the name for a root that is a file.
        problem: why it cannot be used, None where it can.
    """

    path: Path
    relative: str
    problem: str | None = None


def walk(root: Path) -> Iterator[Entry]:
    """Yield the files below ``root``, sorted by name within each folder, folders in between.

    A link to a folder inside ``root`` is not followed, since its files are found under their own
    names; one to a folder outside is, once.
    """
    if not root.is_dir():
        yield _entry(root, root.parent)
        return
    home = os.path.realpath(root)
    visited = {home}
    waiting = [root]
    while waiting:
        path = waiting.pop()
        if not _is_folder(path):
            yield _entry(path, root)
            continue
        if path != root and path.is_symlink():
            target = os.path.realpath(path)
            if target in visited or _inside(target, home) or _inside(home, target):
                continue
            visited.add(target)
        try:
            names = os.listdir(path)  # noqa: PTH208 - names only, without an object each
        except OSError as error:
            yield Entry(path, "", os_reason(error))
            continue
        waiting.extend(path / name for name in sorted(_chosen(names), reverse=True))


def _chosen(names: list[str]) -> list[str]:
    """Return the names in a folder that are worth looking at; of a BEIR collection only its corpus."""
    judged = not _QRELS.isdisjoint(names)
    if _CORPUS in names and (judged or _QUERIES in names):
        return [_CORPUS, *(name for name in names if name == _CORPUS + ".meta.json")]
    hidden = {_QUERIES, *_QRELS} if judged else set()
    return [
        name
        for name in names
        if not (name.startswith((".", "~$")) or name.lower() in _JUNK or name in hidden)
    ]


def _entry(path: Path, root: Path) -> Entry:
    relative = text_path(path.relative_to(root).as_posix())
    if path.is_file():
        return Entry(path, relative)
    return Entry(path, relative, "a link that leads nowhere" if path.is_symlink() else "not a regular file")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
