"""Find the files below the given paths, give each its id, and open them one after the other."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InvalidInput
from . import images, jsonl, ocr, pdf, text
from .options import SourceOptions
from .records import CannotRead, Document, Found, Unreadable
from .sidecar import SUFFIX, Sidecar, read_sidecar
from .values import clean
from .walk import Entry, walk

__all__ = ["count", "discover"]

_SUPPORTED = pdf.SUFFIXES | images.SUFFIXES | text.SUFFIXES | jsonl.SUFFIXES
_OFFICE = """
    .doc .docm .docx .epub .htm .html .key .numbers .odp .ods .odt .pages .ppt .pptm .pptx .rtf .xhtml
    .xls .xlsm .xlsx
"""
_CONVERTIBLE = frozenset(_OFFICE.split())
_SAMPLE = 4 * 1024 * 1024
_MAX_KINDS = 5


def discover(paths: Sequence[Path], options: SourceOptions | None = None) -> Iterator[Document | Unreadable]:
    """Find documents in files and folders, in a fixed order, opening each only when it is its turn.

    Names are looked at first, so that clashing ids are refused before anything is read.

    Args:
        paths: files, or folders that are searched with all folders in them; hidden files and folders
            are left out, and a folder in BEIR layout gives its ``corpus.jsonl`` only.
        options: how to read.

    Yields:
        A document per file, or per line of a JSONL file; what cannot be read as `Unreadable`.

    Raises:
        InvalidInput: a path does not exist, there is nothing to ingest, or two files have one id.
        MissingExtra: OCR is forced and the extra is not installed.
    """
    options = options or SourceOptions()
    ocr.effective_mode(options)
    plan = _Plan()
    for root in dict.fromkeys(_absolute(path) for path in paths):
        plan.add(root)
    if not plan.steps:
        names = ", ".join(str(path) for path in paths) or "no paths were given"
        raise InvalidInput(f"nothing to ingest ({names}): {_what_is_read()}")
    return _open_all(plan, options)


def count(paths: Sequence[Path], options: SourceOptions | None = None) -> int:
    """Estimate the number of records below ``paths``, cheaply: for a progress bar.

    Pages of PDF files are counted; passages and lines are estimated from sizes. What cannot be
    opened counts as nothing.
    """
    options = options or SourceOptions()
    total = 0
    for root in dict.fromkeys(_absolute(path) for path in paths):
        for entry in walk(root):
            if entry.problem is None and entry.path.suffix.lower() in _SUPPORTED:
                total += _estimate(entry.path, options)
    return total


@dataclass(slots=True)
class _Plan:
    """Every file to be opened, and the ids that are taken."""

    steps: list[Found | Unreadable] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    lines: set[int] = field(default_factory=set)
    seen: set[Path] = field(default_factory=set)

    def add(self, root: Path) -> None:
        """Add the supported files below ``root``, with a note about the others."""
        left_out: Counter[str] = Counter()
        for entry in walk(root):
            if entry.path in self.seen or entry.path.name.endswith(SUFFIX):
                continue
            self.seen.add(entry.path)
            suffix = entry.path.suffix.lower()
            if entry.problem is not None:
                self.steps.append(Unreadable(entry.path, entry.problem))
            elif suffix in _SUPPORTED:
                self._add_file(root, entry)
            elif suffix in _CONVERTIBLE:
                self.steps.append(Unreadable(entry.path, _convert(suffix)))
            elif entry.path == root:
                self.steps.append(Unreadable(root, f"not a supported type: {_what_is_read()}"))
            else:
                left_out[suffix or "without suffix"] += 1
        if left_out:
            self.steps.append(Unreadable(root, _note(left_out), error=False))

    def claim_line(self, record_id: str) -> None:
        """Take the ``_id`` of a JSONL record.

        Raises:
            CannotRead: a record before it has the same, or a file has that id.
        """
        key = int.from_bytes(hashlib.blake2b(record_id.encode(), digest_size=16).digest())
        if key in self.lines:
            raise CannotRead("a record with the same '_id' came before")
        document_id, mark, number = record_id.rpartition("#")
        base = document_id if mark and number[:1] in ("p", "c") and number[1:].isdecimal() else record_id
        if other := self.files.get(base) or self.files.get(record_id):
            raise CannotRead(f"its '_id' is also the id of the file {other}")
        self.lines.add(key)

    def _add_file(self, root: Path, entry: Entry) -> None:
        path = entry.path
        lines = path.suffix.lower() in jsonl.SUFFIXES
        try:
            sidecar = _sidecar(path, lines)
        except InvalidInput as error:
            self.steps.append(Unreadable(path, str(error)))
            return
        document_id = sidecar.document_id or _without_suffix(entry.relative)
        found = Found(path, root, entry.relative, document_id, sidecar)
        if not lines:
            self._claim_file(found)
        self.steps.append(found)

    def _claim_file(self, found: Found) -> None:
        other = self.files.setdefault(found.document_id, found.path)
        if other != found.path:
            raise InvalidInput(
                f"document id '{found.document_id}': both {other} and {found.path} have it; rename one, "
                f"give it a 'document_id' in {found.path.name}{SUFFIX}, or ingest their common folder"
            )


def _open_all(plan: _Plan, options: SourceOptions) -> Iterator[Document | Unreadable]:
    for step in plan.steps:
        if isinstance(step, Unreadable):
            yield step
        elif step.path.suffix.lower() in jsonl.SUFFIXES:
            yield from jsonl.open_jsonl(step, options, plan.claim_line)
        else:
            yield _open(step, options)


def _open(found: Found, options: SourceOptions) -> Document | Unreadable:
    suffix = found.path.suffix.lower()
    try:
        if suffix in pdf.SUFFIXES:
            return pdf.open_pdf(found, options)
        if suffix in images.SUFFIXES:
            return images.open_image(found, options)
        return text.open_text(found, options)
    except CannotRead as error:
        return Unreadable(found.path, str(error))


def _sidecar(path: Path, lines: bool) -> Sidecar:
    sidecar = read_sidecar(path)
    if lines and (sidecar.document_id or sidecar.title):
        raise InvalidInput("its sidecar: the records of a JSONL file have their own title and document_id")
    return sidecar


def _absolute(path: Path) -> Path:
    """Return the path as given, made absolute.

    Raises:
        InvalidInput: there is nothing there.
    """
    absolute = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - links are kept as given
    if not absolute.exists():
        raise InvalidInput(f"path: {path} does not exist")
    return absolute


def _without_suffix(relative: str) -> str:
    folder, slash, name = relative.rpartition("/")
    stem = name[: name.rindex(".")] if "." in name[1:] else name
    return clean(unicodedata.normalize("NFC", folder + slash + stem))


def _estimate(path: Path, options: SourceOptions) -> int:
    suffix = path.suffix.lower()
    try:
        if suffix in pdf.SUFFIXES:
            return pdf.count_pages(path)
        if suffix in jsonl.SUFFIXES:
            return _estimate_lines(path)
        if suffix in text.SUFFIXES:
            return 1 + path.stat().st_size // max(1, options.passage_chars - options.passage_overlap)
    except (CannotRead, OSError):
        return 0
    return 1


def _estimate_lines(path: Path) -> int:
    with path.open("rb") as file:
        sample = file.read(_SAMPLE)
    lines, size = sample.count(b"\n"), path.stat().st_size
    if size <= len(sample):
        return lines + (not sample.endswith(b"\n") and bool(sample))
    return max(1, lines * size // len(sample))


def _convert(suffix: str) -> str:
    return f"{suffix} files are not read: convert it to PDF, for example with LibreOffice or by printing it"


def _what_is_read() -> str:
    return f"what is read is {' '.join(sorted(_SUPPORTED))}"


def _note(left_out: Counter[str]) -> str:
    kinds = [f"{kind} ({number})" for kind, number in left_out.most_common(_MAX_KINDS)]
    more = ", …" if len(left_out) > _MAX_KINDS else ""
    total = left_out.total()
    files = "file" if total == 1 else "files"
    return f"left out {total:,} {files} of a type that is not supported: {', '.join(kinds)}{more}"
