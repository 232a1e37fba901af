"""Write runs in TREC's format, for other evaluation tools."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from ..errors import InvalidInput
from ..types import Run

__all__ = ["write_run"]


def write_run(path: Path, run: Run, tag: str) -> None:
    """Write one line per hit: query id, ``Q0``, record id, rank, score, tag.

    The format separates columns by white space: an id or tag that contains some is percent-encoded.

    Args:
        path: the file; its folder is made, an older file replaced.
        run: query id → record id → score; ranked by score, equal scores in the run's order.
        tag: names the run, usually the profile.

    Raises:
        InvalidInput: the file cannot be written.
    """
    lines = [
        f"{_word(query)} Q0 {_word(record)} {rank} {hits[record]!r} {_word(tag)}\n"
        for query, hits in run.items()
        for rank, record in enumerate(sorted(hits, key=lambda key: -hits[key]), start=1)
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path}: the run cannot be written ({error.strerror or error})") from None


def _word(text: str) -> str:
    return quote(text, safe="#/:") if any(character.isspace() for character in text) else text
