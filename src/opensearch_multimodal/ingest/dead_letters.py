"""Records that were refused for good, each with its reason, in a file that people and programs can read."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from ..errors import InvalidInput
from ..sources import Record

__all__ = ["DeadLetters"]


class DeadLetters:
    """A JSON-lines file, made when the first record is set aside.

    It holds no text of the records: ingesting the same paths again tries them again.
    """

    def __init__(self, path: Path) -> None:
        """Append to ``path``.

        Raises:
            InvalidInput: nothing can be written there; better said before the work than after it.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"dead-letters: {path} cannot be written: {error.strerror}") from error
        if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
            raise InvalidInput(f"dead-letters: {path} cannot be written")
        self.path = path
        self.count = 0

    def add(self, record: Record, *, status: int | None, kind: str, reason: str) -> None:
        """Append one line, and have it on the disk before returning.

        Args:
            record: the record that was refused.
            status: the HTTP status of its item, None if it was never sent.
            kind: the cluster's error type, or ``invalid_input``.
            reason: in the cluster's or the encoder's own words.
        """
        line = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "id": record.id,
            "document_id": record.document_id,
            "path": record.metadata.get("path"),
            "status": status,
            "type": kind,
            "reason": reason,
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.count += 1
