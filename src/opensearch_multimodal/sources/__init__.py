"""Files become records: pages of PDF and image files, passages of text, Markdown and JSONL.

`discover` finds documents, `Document.records` reads them. Reading is lazy, one record at a time; all of
it is meant to run in one thread of the caller's (PDFium and Pillow calls are guarded by locks).
"""

from __future__ import annotations

from .discovery import count, discover
from .options import Limits, SourceOptions
from .records import Document, Record, Unreadable

__all__ = ["Document", "Limits", "Record", "SourceOptions", "Unreadable", "count", "discover"]
