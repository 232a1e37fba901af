"""Write records in bulk, in a thread of its own: retry what may pass later, set aside what never will."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import tenacity

from ..client import BulkItem, Cluster
from ..errors import (
    ClusterBusy,
    ClusterError,
    ClusterNotFound,
    ClusterRefused,
    ClusterTimeout,
    ClusterUnreachable,
)
from ..sources import Record
from .dead_letters import DeadLetters
from .encoding import EncodedRecord

__all__ = ["BulkWriter", "Outcome"]

_TOO_LARGE = 413
_TRIES_AT_INTERNAL_ERRORS = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one record: ``reason`` is None when the cluster has acknowledged it."""

    record: Record
    reason: str | None


class BulkWriter:
    """Takes encoded records and writes them while the caller encodes the next.

    Use as a context manager; leaving it waits until everything is written. `put` and leaving raise what the
    thread raised.
    """

    def __init__(
        self,
        cluster: Cluster,
        index: str,
        uuid: str,
        dead_letters: DeadLetters,
        *,
        done: Callable[[Outcome], None],
        patience: float,
        max_records: int = 200,
        max_bytes: int = 8 * 1024 * 1024,
    ) -> None:
        """Prepare the thread.

        Args:
            cluster: where to write.
            index: the index to write to.
            uuid: its own, as `Cluster.index_uuid` gives it.
            dead_letters: takes what is refused for good.
            done: called from the thread for each record once its fate is known.
            patience: seconds without any progress before the cluster is given up.
            max_records: records in one request.
            max_bytes: bytes in one request; a larger record travels alone.
        """
        self.cluster = cluster
        self.index = index
        self._uuid = uuid
        self._dead_letters = dead_letters
        self.done = done
        self.patience = patience
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._queue: queue.Queue[Sequence[EncodedRecord] | None] = queue.Queue(maxsize=2)
        self._failure: Exception | None = None
        self.abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name="osmm-bulk", daemon=True)
        self.cpu_seconds = 0.0

    def __enter__(self) -> BulkWriter:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.abandoned.set()
        self._hand_over(None)
        self._thread.join(timeout=None if kind is None else 10)
        if kind is None:
            self._raise_failure()

    def put(self, records: Sequence[EncodedRecord]) -> None:
        """Hand over encoded records; waits while the thread is behind.

        Raises:
            ClusterError: the cluster stayed away longer than the patience, or refused the index as a whole.
        """
        self._hand_over(records)
        self._raise_failure()

    def _hand_over(self, item: Sequence[EncodedRecord] | None) -> None:
        while self._thread.is_alive():
            try:
                self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            return

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while (records := self._queue.get()) is not None and not self.abandoned.is_set():
                for batch in self._batches(records):
                    _Delivery(self, batch).run()
        except Exception as error:
            self._failure = error
        finally:
            self.cpu_seconds = time.thread_time()

    def _batches(self, records: Sequence[EncodedRecord]) -> Iterator[list[tuple[Record, bytes]]]:
        batch: list[tuple[Record, bytes]] = []
        size = 0
        for encoded in records:
            if encoded.lines is None:
                self.bury(encoded.record, None, "invalid_input", encoded.reason or "not encoded")
                continue
            length = len(encoded.lines)
            if batch and (len(batch) >= self._max_records or size + length > self._max_bytes):
                yield batch
                batch, size = [], 0
            batch.append((encoded.record, encoded.lines))
            size += length
        if batch:
            yield batch

    def check_index(self) -> None:
        """Refuse an index that is no longer the one this ingest began with.

        The cluster would make a missing index anew, without a mapping for vectors.

        Raises:
            ClusterRefused: it was deleted, or made anew.
        """
        try:
            now: str | None = self.cluster.index_uuid(self.index)
        except ClusterNotFound:
            now = None
        if now != self._uuid:
            raise ClusterRefused(f"index '{self.index}' was deleted or made anew while it was written to")

    def bury(self, record: Record, status: int | None, kind: str, reason: str) -> None:
        """Set a record aside for good."""
        self._dead_letters.add(record, status=status, kind=kind, reason=reason)
        self.done(Outcome(record, reason))


class _Delivery:
    """One batch on its way: what is pending shrinks with every try, pauses grow, progress renews patience."""

    def __init__(self, writer: BulkWriter, pending: list[tuple[Record, bytes]]) -> None:
        self._writer = writer
        self._pending = pending
        self._failures: dict[str, int] = {}
        self._last_progress = time.monotonic()

    def run(self) -> None:
        abandoned = self._writer.abandoned
        tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_transient),
            wait=tenacity.wait_random_exponential(multiplier=0.25, max=30),
            stop=lambda _: abandoned.is_set() or self._out_of_patience(),
            sleep=tenacity.sleep_using_event(abandoned),
            reraise=True,
        )(self._try)

    def _out_of_patience(self) -> bool:
        return time.monotonic() - self._last_progress > self._writer.patience

    def _try(self) -> None:
        """Send what is pending; raise if anything still is afterwards."""
        self._writer.check_index()
        try:
            items = self._writer.cluster.bulk(self._writer.index, b"".join(line for _, line in self._pending))
        except ClusterError as error:
            if error.status != _TOO_LARGE:
                raise
            return self._send_in_halves(error)
        left = []
        for entry, item in zip(self._pending, items, strict=True):
            if not self._settle(entry[0], item):
                left.append(entry)
        if len(left) < len(self._pending):
            self._last_progress = time.monotonic()
        self._pending = left
        if left:
            reason = next(item.reason for item in items if item.transient)
            raise ClusterBusy(f"the cluster refuses {len(left)} records for now: {reason}", status=429)
        return None

    def _send_in_halves(self, error: ClusterError) -> None:
        """Answer 413 with smaller requests; a record that is too large alone is refused for good."""
        if len(self._pending) == 1:
            self._writer.bury(self._pending[0][0], _TOO_LARGE, error.kind or "too_large", str(error))
            return
        half = len(self._pending) // 2
        for part in (self._pending[:half], self._pending[half:]):
            _Delivery(self._writer, part).run()

    def _settle(self, record: Record, item: BulkItem) -> bool:
        """Return whether the record's fate is known.

        Raises:
            ClusterRefused: the index as a whole takes no writes; no record is to blame.
        """
        if item.written:
            self._writer.done(Outcome(record, None))
            return True
        if item.status in {401, 403, 404}:
            raise ClusterRefused(
                f"index '{self._writer.index}' takes no writes: {item.kind}: {item.reason}",
                status=item.status,
            )
        if item.transient:
            tries = self._failures[record.id] = self._failures.get(record.id, 0) + 1
            if item.status in {429, 503} or tries < _TRIES_AT_INTERNAL_ERRORS:
                return False
        self._writer.bury(record, item.status, item.kind or "unknown", item.reason or "no reason given")
        return True


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, (ClusterBusy, ClusterTimeout, ClusterUnreachable)):
        return True
    return isinstance(error, ClusterError) and error.status is not None and error.status >= 500
