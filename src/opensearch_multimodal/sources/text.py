"""Plain text and Markdown: one record per passage."""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from .options import SourceOptions
from .records import CannotRead, Document, Found, Record, Unreadable, os_reason, record_id
from .splitting import markdown_sections, passages, section_passages
from .values import clean

__all__ = ["MARKDOWN", "SUFFIXES", "TextDocument", "open_text"]

MARKDOWN = frozenset({".md", ".markdown"})
SUFFIXES = MARKDOWN | {".txt", ".text", ".rst"}

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BREAKS = re.compile(r"\r\n?|\f|\v|\u0085|\u2028|\u2029")
_MAX_CONTROL_SHARE = 0.02


@dataclass(slots=True)
class TextDocument(Document):
    """A text file; it is read again when its records are asked for, so that none waits in memory."""

    found: Found
    options: SourceOptions

    def records(self, skip: Collection[str] = ()) -> Iterator[Record | Unreadable]:
        """Yield the passages in order."""
        try:
            self.found.check_unchanged()
            text, warnings = _read(self.path)
            metadata = self.found.metadata()
        except CannotRead as error:
            yield Unreadable(self.path, str(error))
            return
        for number, (title, start, end) in enumerate(_passages(self.found, text, self.options), start=1):
            if (identity := record_id(self.document_id, f"#c{number}")) in skip:
                continue
            yield Record(
                id=identity,
                document_id=self.document_id,
                page=None,
                title=title,
                text=text[start:end],
                modality="passage",
                metadata=dict(metadata),
                acl=self.found.acl(self.options),
                content_sha256=self.content_sha256,
                warnings=warnings,
            )


def open_text(found: Found, options: SourceOptions) -> TextDocument:
    """Return the document of a text file, its passages counted.

    Raises:
        CannotRead: too large, binary, empty, or refused by the system.
    """
    found.check_size(options)
    sha256 = found.digest(options, {"chars": options.passage_chars, "overlap": options.passage_overlap})
    text, _ = _read(found.path)
    count = sum(1 for _ in _passages(found, text, options))
    if not count:
        raise CannotRead("the file holds no text")
    ids = [record_id(found.document_id, f"#c{number}") for number in range(1, count + 1)]
    return TextDocument(found.document_id, found.path, found.root, sha256, ids, found, options)


def _passages(found: Found, text: str, options: SourceOptions) -> Iterator[tuple[str, int, int]]:
    """Yield title, start and end of every passage."""
    size, overlap = options.passage_chars, options.passage_overlap
    if found.path.suffix.lower() not in MARKDOWN:
        title = found.title()
        yield from ((title, start, end) for start, end in passages(text, size, overlap))
        return
    for section in markdown_sections(text):
        title = _title(found, section.headings)
        yield from ((title, start, end) for start, end in section_passages(text, section, size, overlap))


def _title(found: Found, headings: tuple[str, ...]) -> str:
    """Return the heading path, under the sidecar's title where there is one."""
    own = found.sidecar.title
    if not headings:
        return found.title()
    return " > ".join(headings if not own or own == headings[0] else (own, *headings))


def _read(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the text with the line feed as its only line end, and warnings."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CannotRead(os_reason(error)) from error
    text, warnings = _decode(data)
    text = _BREAKS.sub(_line_end, text)
    cleaned = clean(text)
    if len(text) - len(cleaned) > _MAX_CONTROL_SHARE * len(text):
        raise CannotRead("the file is not text (it holds control characters)")
    return cleaned, warnings


def _line_end(match: re.Match[str]) -> str:
    return "\n\n" if match[0] in "\f\u2029" else "\n"


def _decode(data: bytes) -> tuple[str, tuple[str, ...]]:
    if data.startswith(_UTF16):
        try:
            return data.decode("utf-16"), ()
        except UnicodeDecodeError:
            raise CannotRead("the file is not valid UTF-16, which its first bytes announce") from None
    if b"\0" in data:
        raise CannotRead("the file is not text (it holds zero bytes)")
    try:
        return data.decode("utf-8-sig"), ()
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1252"), ("not valid UTF-8, read as Windows-1252",)
    except UnicodeDecodeError:
        return data.decode("latin-1"), ("not valid UTF-8, read as Latin-1",)
