"""Lanes: who works at what at a time, who waits, and who has to come again.

Searches, encoding of queries and encoding of passages have a lane each, so that none fills the threads of
another. What they share is the processor: between two batches of passages, queries go first.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from .metrics import Metrics
from .refusal import Refusal, busy, timed_out

__all__ = ["Gate", "Job", "Lane"]

T = TypeVar("T")

_PATIENCE = 0.25
"""Seconds that a batch of passages gives way at most, so that passages go on under any load of queries."""


class Job:
    """One call's work: until when it is wanted, and whether it still is. Safe to use from several threads."""

    def __init__(self, seconds: float) -> None:
        """Begin now; the answer is wanted within ``seconds``."""
        self.started = time.monotonic()
        self.deadline = self.started + seconds
        self.timings_ms: dict[str, float] = {}
        self._abandoned = False

    @property
    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.deadline - time.monotonic())

    def abandon(self) -> None:
        """Say that nobody waits any more."""
        self._abandoned = True

    def check(self) -> None:
        """Stop the work if nobody wants it any more.

        Raises:
            Refusal: the deadline has passed, or the caller is gone.
        """
        if self._abandoned or time.monotonic() >= self.deadline:
            raise timed_out("the deadline has passed")


class Gate:
    """Lets batches of queries run before batches of passages. Safe to use from several threads."""

    def __init__(self, patience: float = _PATIENCE) -> None:
        """Let a batch of passages give way for ``patience`` seconds at most."""
        self._patience = patience
        self._urgent = 0
        self._changed = threading.Condition()

    @contextmanager
    def urgent(self, job: Job) -> Iterator[None]:
        """Run a batch of a query, at once."""
        job.check()
        with self._changed:
            self._urgent += 1
        try:
            yield
        finally:
            with self._changed:
                self._urgent -= 1
                self._changed.notify_all()

    @contextmanager
    def patient(self, job: Job) -> Iterator[None]:
        """Run a batch of passages as soon as no query is being encoded."""
        job.check()
        with self._changed:
            self._changed.wait_for(lambda: self._urgent == 0, timeout=self._patience)
        yield


class Lane:
    """A few threads and a queue of limited length before them."""

    def __init__(self, name: str, metrics: Metrics, *, threads: int, queue: int) -> None:
        """Prepare the lane.

        Args:
            name: as metrics and refusals call it.
            metrics: where waiting and running calls are counted.
            threads: calls that run at a time.
            queue: calls that wait for them.
        """
        self.name = name
        self._metrics = metrics
        self._most = threads + queue
        self._jobs: set[Job] = set()
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, work: Callable[[], T], job: Job, gone: Callable[[], Coroutine[Any, Any, None]]) -> T:
        """Do ``work`` in a thread of the lane and return what it gives.

        Args:
            work: calls `Job.check` from time to time.
            job: whose deadline ends the waiting; the work itself ends at its next check.
            gone: awaited meanwhile; returns when the caller has gone.

        Raises:
            Refusal: the queue is full, or the deadline has passed.
        """
        with self._lock:
            if len(self._jobs) >= self._most:
                self._metrics.rejected(self.name)
                raise busy(f"{self.name}: {self._most} calls are running or waiting")
            self._jobs.add(job)
            self._metrics.waiting(self.name, 1)
        try:
            future = self._executor.submit(self._work, work, job)
        except RuntimeError:  # the executor was shut down
            raise busy("the service is stopping") from None
        future.add_done_callback(lambda done: self._leave(done, job))
        result = asyncio.wrap_future(future)
        result.add_done_callback(_retrieve)
        left = asyncio.ensure_future(gone())
        try:
            both: set[asyncio.Future[Any]] = {result, left}
            await asyncio.wait(both, timeout=job.remaining, return_when=asyncio.FIRST_COMPLETED)
            if result.cancelled():
                raise busy("the service is stopping")
            if result.done():
                return result.result()
        finally:
            job.abandon()
            future.cancel()
            left.cancel()
        if left.done() and not left.cancelled():
            raise Refusal(499, "timed_out", "the caller has gone")
        raise timed_out("the deadline has passed")

    def close(self) -> None:
        """Stop the work in hand at its next check and take no more."""
        with self._lock:
            for job in self._jobs:
                job.abandon()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _work(self, work: Callable[[], T], job: Job) -> T:
        self._metrics.waiting(self.name, -1)
        self._metrics.running(self.name, 1)
        try:
            job.timings_ms["queue"] = (time.monotonic() - job.started) * 1000
            job.check()
            return work()
        finally:
            self._metrics.running(self.name, -1)

    def _leave(self, done: Future[Any], job: Job) -> None:
        if done.cancelled():
            self._metrics.waiting(self.name, -1)
        with self._lock:
            self._jobs.discard(job)


def _retrieve(result: asyncio.Future[Any]) -> None:
    """Look at an exception that nobody waits for any more, or asyncio would log it."""
    if not result.cancelled():
        result.exception()
