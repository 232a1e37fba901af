"""Cut text into passages at sentence boundaries; every passage is a slice of the text, none of it is lost."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

__all__ = ["Section", "markdown_sections", "passages", "section_passages"]

_BOUNDARY = re.compile(
    r"""
      \n[ \t]*+\n\s*+                                                     # a blank line
    | (?P<wide>[。！？；｡])["'”’」』）)]*+\s*+                            # a full stop that needs no space
    | (?<![.!?…])(?P<stop>[.!?…।॥؟۔։።]++)["'”’»)\]*_]*+\s++(?=\S)         # a full stop and a space
    | \n(?=[ \t]*+(?:[-*+•|>]|\d{1,3}[.)])[ \t])                          # a list item or a table row
    """,
    re.VERBOSE,
)
_LAST_WORD = re.compile(r"(?P<before>^|\n|.)[ \t\"'“‘(\[*_]*(?P<word>\w[\w.]*)$", re.DOTALL)
_ABBREVIATIONS = """
    al approx bzw ca cf ch co corp cp dept dr ed eds eq eqs est etc evtl exp fig figs ggf gen hr inc
    jr lt ltd max messrs min mr mrs ms mt nr no nos op p pp prof resp rev sec sect sr st str tab tel
    usw univ vgl vol vs
"""
_NOT_THE_END = frozenset(_ABBREVIATIONS.split())
_FENCE = re.compile(r" {0,3}(?P<mark>`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(?P<level>#{1,6})(?:[ \t]+(?P<text>.*))?$")
_SETEXT = re.compile(r" {0,3}(?P<mark>=+|-{2,})[ \t]*$")
_NOT_A_PARAGRAPH = re.compile(r"\s*(?:$|[-*+>|#]|\d{1,3}[.)] )")
_FRONT_MATTER = re.compile(r"---[ \t]*\n(?:.*\n)*?(?:---|\.\.\.)[ \t]*(?:\n|$)")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)")
_MAX_HEADING = 200


@dataclass(slots=True)
class Section:
    """A stretch of Markdown under one heading.

    Attributes:
        start: where it begins, at its heading.
        end: where the next one begins.
        headings: the headings above it and its own, outermost first.
        code: fenced blocks as (start, end).
    """

    start: int
    end: int = 0
    headings: tuple[str, ...] = ()
    code: list[tuple[int, int]] = field(default_factory=list)


def passages(text: str, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Yield the passages of plain text as (start, end), without white space at their ends.

    Args:
        text: the text.
        size: the largest passage, in characters.
        overlap: how much of a passage the next one may repeat, at most, in whole sentences.
    """
    return _pack(text, _fitting(text, _sentences(text, 0, len(text)), size), size, overlap)


def section_passages(text: str, section: Section, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Yield the passages of a Markdown section; a fenced block that fits into one is not broken."""
    return _pack(text, _fitting(text, _section_units(text, section), size), size, overlap)


def markdown_sections(text: str) -> Iterator[Section]:
    """Yield the sections of Markdown text; together they cover all of it.

    Headings are ATX (``# Title``) or setext (underlined); a heading without text of its own belongs
    to the section below it.
    """
    section, fence, fence_start = Section(0), "", 0
    front_matter = _front_matter_end(text)
    path: list[tuple[int, str]] = []
    has_body = front_matter > 0
    previous: tuple[int, str, bool] | None = None  # a paragraph line: start, text, has_body before it
    for start, line in _lines(text, skip=front_matter):
        if fence:
            if _closes(line, fence):
                section.code.append((fence_start, start + len(line)))
                fence = ""
            continue
        if opening := _FENCE.match(line):
            fence, fence_start, has_body, previous = opening["mark"], start, True, None
            continue
        heading = _heading(line, previous)
        if heading is None:
            previous = None if _NOT_A_PARAGRAPH.match(line) else (start, line, has_body)
            has_body = has_body or bool(line.strip())
            continue
        level, words, setext = heading
        begin, has_body = (previous[0], previous[2]) if setext and previous else (start, has_body)
        if has_body:
            section.end = begin
            yield section
            section = Section(begin)
        path = [*((above, title) for above, title in path if above < level), (level, words)]
        section.headings = tuple(title for _, title in path if title)
        has_body, previous = False, None
    if fence:
        section.code.append((fence_start, len(text)))
    section.end = len(text)
    yield section


def _lines(text: str, skip: int) -> Iterator[tuple[int, str]]:
    start = skip
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield start, text[start:end].rstrip("\n")
        start = end


def _front_matter_end(text: str) -> int:
    match = _FRONT_MATTER.match(text)
    return match.end() if match else 0


def _closes(line: str, fence: str) -> bool:
    match = _FENCE.match(line)
    return bool(match and match["mark"].startswith(fence) and not line[match.end() :].strip())


def _heading(line: str, previous: tuple[int, str, bool] | None) -> tuple[int, str, bool] | None:
    """Return level, words and whether the words stand on the line above, None for any other line."""
    if match := _ATX.match(line):
        return len(match["level"]), _plain(match["text"] or ""), False
    if previous and (match := _SETEXT.match(line)):
        return (1 if match["mark"][0] == "=" else 2), _plain(previous[1]), True
    return None


def _plain(heading: str) -> str:
    words = (
        _LINK.sub(r"\1", heading[: 4 * _MAX_HEADING]).strip().rstrip("#").replace("`", "").replace("*", "")
    )
    return words.strip()[:_MAX_HEADING]


def _section_units(text: str, section: Section) -> Iterator[tuple[int, int]]:
    position = section.start
    for start, end in section.code:
        yield from _sentences(text, position, start)
        yield start, end
        position = end
    yield from _sentences(text, position, section.end)


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of sentences that together are ``text[start:end]``."""
    for match in _BOUNDARY.finditer(text, start, end):
        if match["stop"] == "." and not _ends_sentence(text, start, match):
            continue
        if match.end() > start:
            yield start, match.end()
            start = match.end()
    if start < end:
        yield start, end


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    """Return whether a single full stop ends a sentence rather than an abbreviation or a list number."""
    if text[match.end() : match.end() + 1].islower():
        return False
    last = _LAST_WORD.search(text, max(start - 1, match.start() - 24, 0), match.start())
    if last is None:
        return True
    word = last["word"]
    if word.isdigit():
        return last["before"] not in ("", "\n")
    one_letter = len(word) == 1 and word.isupper()
    return not (one_letter or "." in word or word.lower() in _NOT_THE_END)


def _fitting(text: str, units: Iterable[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """Yield the units, those above ``size`` cut at line ends, else at white space, else anywhere."""
    for begin, end in units:
        start = begin
        while end - start > size:
            cut = _cut(text, start, start + size)
            yield start, cut
            start = cut
        if start < end:
            yield start, end


def _cut(text: str, start: int, limit: int) -> int:
    half = start + (limit - start) // 2
    newline = text.rfind("\n", half, limit)
    if newline >= 0:
        return newline + 1
    for position in range(limit, half, -1):
        if text[position - 1].isspace():
            return position
    return limit


def _pack(text: str, units: Iterable[tuple[int, int]], size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Yield stretches of at most ``size`` characters made of whole units, trimmed, blank ones left out."""
    window: deque[tuple[int, int]] = deque()
    for start, end in units:
        if text[start:end].isspace():  # alone it must not end a passage, whose sequel would only repeat it
            continue
        if window and end - window[0][0] > size:
            last = window[-1][1]
            yield from _trimmed(text, window[0][0], last)
            while window and (last - window[0][0] > overlap or end - window[0][0] > size):
                window.popleft()
        window.append((start, end))
    if window:
        yield from _trimmed(text, window[0][0], window[-1][1])


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    piece = text[start:end]
    stripped = piece.strip()
    if stripped:
        start += len(piece) - len(piece.lstrip())
        yield start, start + len(stripped)
