"""The file that a report is written to: tried before the work, written whole after it."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from ..errors import InvalidInput

__all__ = ["check_place", "write_file"]


def check_place(path: Path) -> Path:
    """Return where a file is to be written, after making its folder and trying whether that takes files.

    Raises:
        InvalidInput: it is a folder or a device, or nothing can be written beside it.
    """
    place = path.expanduser().resolve()
    if place.is_dir():
        raise InvalidInput(f"{path}: this is a folder; name a file in it")
    if place.exists() and not place.is_file():
        raise InvalidInput(f"{path}: this is not a regular file")
    trial = _beside(place)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        trial.touch(exist_ok=False)
        trial.unlink()
    except OSError as error:
        raise InvalidInput(f"{path}: the report cannot be written here ({error.strerror or error})") from None
    return place


def write_file(path: Path, text: str) -> int:
    """Write a file whole or not at all, and return its size in bytes.

    Raises:
        InvalidInput: it cannot be written.
    """
    data = text.encode("utf-8", "replace")  # an index may hold halves of surrogate pairs
    part = _beside(path)
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InvalidInput(f"{path}: the report cannot be written ({error.strerror or error})") from None
    return len(data)


def _beside(path: Path) -> Path:
    return path.with_name(f".osmm-{os.getpid()}-{uuid.uuid4().hex[:8]}.part")
