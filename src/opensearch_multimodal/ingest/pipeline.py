"""Ingest: read, encode and write at the same time, and leave nothing out however it ends.

Three threads, two short queues: one reads sources (and renders, and runs OCR), the caller's encodes, one
writes. Memory is bounded by the queues, whatever the size of the collection.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from ..blas import single_threaded
from ..client import Cluster, retrying
from ..encoder import IndexEncoders
from ..mappings import IndexDescription
from ..sources import Document, Record, SourceOptions, Unreadable, count, discover
from ..sources.records import text_path
from .dead_letters import DeadLetters
from .encoding import RecordEncoder
from .inventory import Inventory
from .writer import BulkWriter, Outcome

__all__ = ["Listener", "Report", "ingest"]

_DOCUMENTS_PER_LOOK_UP = 256
_TEXTS_PER_BATCH = 32
_IMAGES_PER_BATCH = 8


class Listener(Protocol):
    """What is told while an ingest runs; calls come from several threads."""

    def expect(self, records: int) -> None:
        """About how many records there will be."""

    def advance(self, records: int) -> None:
        """So many more records are dealt with."""

    def warn(self, message: str) -> None:
        """Something that the user should know, while the rest goes on."""

    def fail(self, message: str) -> None:
        """Something could not be read and is left out, while the rest goes on."""


@dataclass(slots=True)
class Report:
    """What an ingest did.

    Attributes:
        written: records that the cluster acknowledged.
        unchanged: records that were there already with the same content.
        deleted: outdated records that new content replaced.
        pruned: records of documents that are no longer there.
        refused: records among the dead letters.
        without_text: pages indexed without any text.
        truncated: texts that a model did not read to their end.
        unreadable: what could not be read or may not be replaced, with the reason.
        seconds: wall time.
        cpu_seconds: CPU time of this process.
        encode_cpu_seconds: what is left of it without our own threads' work outside the encoders: models,
            tokenisation, pooling. Threads that OCR starts count here too.
    """

    written: int = 0
    unchanged: int = 0
    deleted: int = 0
    pruned: int = 0
    refused: int = 0
    without_text: int = 0
    truncated: int = 0
    unreadable: list[Unreadable] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    encode_cpu_seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether everything that was there to be ingested is in the index."""
        return not self.unreadable and not self.refused

    def to_json(self) -> dict[str, Any]:
        """Return the report as ``osmm ingest --json`` prints it."""
        return {
            **asdict(self),
            "unreadable": [{"path": str(item.path), "reason": item.reason} for item in self.unreadable],
            "complete": self.complete,
        }

    def summary(self) -> str:
        """Return the report as one line for a person."""
        counts = {
            "written": self.written,
            "unchanged": self.unchanged,
            "outdated deleted": self.deleted,
            "pruned": self.pruned,
            "refused": self.refused,
            "unreadable": len(self.unreadable),
            "without text": self.without_text,
            "truncated": self.truncated,
        }
        named = [f"{count} {name}" for name, count in counts.items() if count] or ["nothing to do"]
        return f"{', '.join(named)} in {self.seconds:.1f} s"


def ingest(
    cluster: Cluster,
    index: IndexDescription,
    paths: Sequence[Path],
    encoders: IndexEncoders,
    *,
    options: SourceOptions,
    dead_letters: Path,
    listener: Listener,
    keep_images: bool = False,
    prune: bool = False,
    replace_others: bool = False,
    patience: float = 300.0,
) -> Report:
    """Bring everything below ``paths`` into an index, each record exactly once.

    Documents whose content the index has already are skipped, changed ones replaced. Interrupted at any
    moment and called again, it finishes what is left.

    Args:
        cluster: the cluster.
        index: one index; its models are checked before anything is read.
        paths: files and folders.
        encoders: the models that the index names.
        options: how sources are read.
        dead_letters: file for records that are refused for good.
        listener: is told of progress and warnings.
        keep_images: store page images in the records.
        prune: afterwards delete the documents that came from ``paths`` once and are no longer there.
        replace_others: replace a document that the index holds under the same id from another file; without,
            it is reported and left alone.
        patience: seconds without any progress before a cluster that is away or busy is given up.

    Raises:
        ModelMismatch: a model at hand is not the one that the index was made for.
        ClusterError: the cluster stayed away, or refused the index as a whole; what was acknowledged stays.
    """
    letters = DeadLetters(dead_letters)
    run = _Run(cluster, index, paths, encoders, options, letters, listener, keep_images, replace_others)
    with single_threaded():
        return run.execute(prune=prune, patience=patience)


class _Run:
    def __init__(
        self,
        cluster: Cluster,
        index: IndexDescription,
        paths: Sequence[Path],
        encoders: IndexEncoders,
        options: SourceOptions,
        dead_letters: DeadLetters,
        listener: Listener,
        keep_images: bool,
        replace_others: bool,
    ) -> None:
        self._cluster = cluster
        self._name = index.indices[0]
        self._paths = paths
        self._encoders = encoders
        self._encoder = RecordEncoder(index, encoders, keep_images=keep_images)
        self._options = replace(options, render=self._encoder.reads_images)
        self._replace = replace_others
        self._batch = _IMAGES_PER_BATCH if self._encoder.reads_images else _TEXTS_PER_BATCH
        self._dead_letters = dead_letters
        self._listener = listener
        self._inventory = Inventory(cluster, self._name)
        self._report = Report()
        self._patience = 300.0
        self._outdated: dict[str, str] = {}
        self._incomplete: set[str] = set()
        self._seen: set[str] = set()

    def execute(self, *, prune: bool, patience: float) -> Report:
        started, cpu_started, thread_started = time.monotonic(), time.process_time(), time.thread_time()
        self._patience = patience
        self._listener.expect(count(self._paths, self._options))
        retrying(lambda: self._cluster.refresh(self._name), patience=patience)
        uuid = retrying(lambda: self._cluster.index_uuid(self._name), patience=patience)
        encode_thread = 0.0
        writer = BulkWriter(
            self._cluster, self._name, uuid, self._dead_letters, done=self._settle, patience=patience
        )
        reader = _Reader(self._read(), size=2 * self._batch)
        with reader, writer:
            while batch := list(islice(reader, self._batch)):
                before = time.thread_time()
                encoded = self._encoder.encode(batch)
                encode_thread += time.thread_time() - before
                writer.put(encoded)
        retrying(writer.check_index, patience=patience)
        retrying(lambda: self._cluster.refresh(self._name), patience=patience)
        self._tidy(prune)
        self._report.refused = self._dead_letters.count
        self._report.truncated = self._encoders.truncated
        self._report.seconds = time.monotonic() - started
        self._report.cpu_seconds = time.process_time() - cpu_started
        main_thread = time.thread_time() - thread_started - encode_thread
        others = main_thread + reader.cpu_seconds + writer.cpu_seconds + self._encoder.other_cpu_seconds
        self._report.encode_cpu_seconds = self._report.cpu_seconds - others
        return self._report

    def _read(self) -> Iterator[Record]:
        """Yield what is new or changed; runs in the reader's thread."""
        found = discover(self._paths, self._options)
        while chunk := list(islice(found, _DOCUMENTS_PER_LOOK_UP)):
            documents = [item for item in chunk if isinstance(item, Document)]
            for item in chunk:
                if isinstance(item, Unreadable):
                    self._note_unreadable(item)
            holdings = retrying(lambda d=documents: self._inventory.look_up(d), patience=self._patience)  # type: ignore[misc]
            strangers = self._strangers([d for d in documents if holdings[d.document_id].outdated])
            for document in documents:
                if document.document_id in strangers:
                    self._seen.add(document.document_id)
                    self._note_unreadable(Unreadable(document.path, _taken(document)))
                    continue
                holding = holdings[document.document_id]
                self._seen.add(document.document_id)
                if holding.outdated:
                    self._outdated[document.document_id] = document.content_sha256
                self._report.unchanged += len(holding.current)
                self._listener.advance(len(holding.current))
                if len(holding.current) < len(document.record_ids):
                    yield from self._records(document, holding.current)

    def _strangers(self, documents: Sequence[Document]) -> set[str]:
        if self._replace or not documents:
            return set()
        return retrying(lambda: self._inventory.strangers(documents), patience=self._patience)

    def _records(self, document: Document, current: set[str]) -> Iterator[Record]:
        without_text = 0
        warnings: dict[str, int] = {}
        for item in document.records(skip=current):
            if isinstance(item, Unreadable):
                self._incomplete.add(document.document_id)
                self._note_unreadable(item)
                continue
            without_text += not item.text.strip()
            for warning in item.warnings:
                warnings[warning] = warnings.get(warning, 0) + 1
            yield item
        self._report.without_text += without_text
        for warning, times in warnings.items():
            self._listener.warn(
                f"{document.path.name}: {warning}" + (f" ({times} pages)" if times > 1 else "")
            )

    def _note_unreadable(self, item: Unreadable) -> None:
        if item.error:
            self._report.unreadable.append(item)
            self._listener.fail(f"{item.path}: {item.reason}")
        else:
            self._listener.warn(f"{item.path}: {item.reason}")

    def _settle(self, outcome: Outcome) -> None:
        """Count a record whose fate is known; runs in the writer's thread."""
        if outcome.reason is None:
            self._report.written += 1
        else:
            self._incomplete.add(outcome.record.document_id)
            self._listener.warn(f"{outcome.record.id}: refused: {outcome.reason}")
        self._listener.advance(1)

    def _tidy(self, prune: bool) -> None:
        """Delete what was replaced; where a new record could not be written, the old ones are kept."""
        whole = {key: sha256 for key, sha256 in self._outdated.items() if key not in self._incomplete}
        self._report.deleted = retrying(
            lambda: self._inventory.delete_outdated(whole), patience=self._patience
        )
        if prune:
            self._report.pruned = retrying(self._prune, patience=self._patience)

    def _prune(self) -> int:
        """Delete what came from the paths of this run, could be read now, and is no longer there."""
        unread = [item.path for item in self._report.unreadable]
        roots = [Path(os.path.abspath(path.expanduser())) for path in self._paths]  # noqa: PTH100
        deleted = 0
        for root in roots:
            if root in unread and root.is_dir():
                continue  # nothing of it could be looked at
            came_from_here = _records_of(root, unread)
            gone = [key for key in self._inventory.document_ids(came_from_here) if key not in self._seen]
            deleted += self._inventory.delete_documents(gone)
        return deleted


def _records_of(root: Path, unread: Sequence[Path]) -> dict[str, Any]:
    """Return the query for what came from ``root``, without what lies there but could not be read now."""
    spared: list[dict[str, Any]] = []
    for path in unread:
        if path == root:
            spared.append({"term": {"metadata.path": text_path(path.name)}})
        elif path.is_relative_to(root):
            relative = text_path(path.relative_to(root).as_posix())
            spared.append({"term": {"metadata.path": relative}})
            spared.append({"prefix": {"metadata.path": f"{relative}/"}})
    return {"bool": {"filter": [{"term": {"metadata.root": text_path(root)}}], "must_not": spared}}


def _taken(document: Document) -> str:
    return (
        f"the index holds a document '{document.document_id}' from another file: ingest their common folder, "
        "give this one a document_id in a sidecar, or replace the other by --replace"
    )


class _Reader:
    """Runs an iterator in a thread of its own and hands its items over through a short queue."""

    def __init__(self, items: Iterator[Record], *, size: int) -> None:
        self._items = items
        self._queue: queue.Queue[Record | Exception | None] = queue.Queue(maxsize=size)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="osmm-read", daemon=True)
        self.cpu_seconds = 0.0

    def __enter__(self) -> _Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(timeout=10)

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        item = self._queue.get()
        if item is None:
            self._queue.put(None)
            raise StopIteration
        if isinstance(item, Exception):
            raise item
        return item

    def _run(self) -> None:
        last: Exception | None = None
        try:
            for item in self._items:
                if not self._hand_over(item):
                    return
        except Exception as error:
            last = error
        finally:
            self.cpu_seconds = time.thread_time()
        self._hand_over(last)

    def _hand_over(self, item: Record | Exception | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False
