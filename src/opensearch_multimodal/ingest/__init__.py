"""Bring documents into an index: read, encode, write, resume, replace, prune."""

from .encoding import EncodedRecord, RecordEncoder
from .inventory import Inventory
from .pipeline import Listener, Report, ingest
from .writer import BulkWriter

__all__ = [
    "BulkWriter",
    "EncodedRecord",
    "Inventory",
    "Listener",
    "RecordEncoder",
    "Report",
    "ingest",
]
