"""Several workers on one socket: started, watched, replaced, stopped."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any

from prometheus_client.multiprocess import mark_process_dead

from ..errors import EnvironmentProblem, InvalidInput, MultimodalError
from .metrics import FOLDER_VARIABLE
from .settings import ServiceSettings
from .worker import set_up_log, work

__all__ = ["supervise"]

_context = multiprocessing.get_context("spawn")
_SECONDS_BEYOND_GRACE = 10.0
_LONGEST_PAUSE = 30.0
_log = logging.getLogger("opensearch_multimodal.service")


def supervise(
    settings: ServiceSettings, listener: socket.socket, workers: int, ready: Callable[[], None]
) -> None:
    """Run workers until a signal comes; one that ends by itself is replaced.

    Args:
        settings: of every worker.
        listener: a bound socket that all workers share.
        workers: how many.
        ready: called when all of them answer.

    Raises:
        MultimodalError: a worker could not start.
    """
    folder = tempfile.mkdtemp(prefix="osmm-metrics-")
    os.environ[FOLDER_VARIABLE] = folder
    set_up_log()
    try:
        _Supervisor(settings, listener, workers, folder).run(ready)
    finally:
        del os.environ[FOLDER_VARIABLE]
        shutil.rmtree(folder, ignore_errors=True)


class _Worker:
    """A worker process, and the pipe by which it says that it is ready or why it is not."""

    def __init__(self, settings: ServiceSettings, listener: socket.socket) -> None:
        self.said, theirs = _context.Pipe(duplex=False)
        self.ready = False
        self.process: SpawnProcess = _context.Process(target=_run, args=(settings, listener, theirs))
        self.process.start()
        theirs.close()

    def listen(self) -> MultimodalError | None:
        """Take in what the worker says, and return why it could not start."""
        try:
            problem = self.said.recv()
        except EOFError:
            return EnvironmentProblem("a worker ended before it was ready")
        if problem is None:
            self.ready = True
            return None
        exit_code, text = problem
        return InvalidInput(text) if exit_code == 1 else EnvironmentProblem(text)


class _Supervisor:
    def __init__(self, settings: ServiceSettings, listener: socket.socket, count: int, folder: str) -> None:
        self._settings = settings
        self._listener = listener
        self._folder = folder
        self._count = count
        self._workers: list[_Worker] = []
        self._signal: int | None = None
        self._complete = False
        self._failures = 0
        self._wake, self._woken = os.pipe()

    def run(self, ready: Callable[[], None]) -> None:
        handlers = {name: signal.signal(name, self._take) for name in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._workers = [self._start() for _ in range(self._count)]
            while self._signal is None and not all(worker.ready for worker in self._workers):
                self._watch()
            self._complete = True
            if self._signal is None:
                ready()
            while self._signal is None:
                self._watch()
        finally:
            self._stop()
            for name, handler in handlers.items():
                signal.signal(name, handler)
            os.close(self._wake)
            os.close(self._woken)

    def _start(self) -> _Worker:
        """Start a worker; until it has a session of its own, Ctrl-C must not reach it."""
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return _Worker(self._settings, self._listener)
        finally:
            signal.signal(signal.SIGINT, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal; a second one reaches the workers as it is."""
        if self._signal is not None:
            self._tell(number)
        self._signal = number
        os.write(self._woken, b"!")

    def _tell(self, number: int) -> None:
        for worker in self._workers:
            if worker.process.pid and worker.process.is_alive():
                with suppress(ProcessLookupError):
                    os.kill(worker.process.pid, number if worker.ready else signal.SIGTERM)

    def _watch(self) -> None:
        """Wait until a worker is ready, or is not there any more."""
        sources: list[Any] = [
            worker.process.sentinel if worker.ready else worker.said for worker in self._workers
        ]
        happened = wait([self._wake, *sources])
        for position, worker in enumerate(self._workers):
            if worker.said in happened and not worker.ready:
                problem = worker.listen()
                if problem is not None and not self._complete:
                    raise problem
                if problem is not None:
                    _log.error("a worker could not start: %s", problem)
                    self._replace(position)
            elif worker.ready and worker.process.sentinel in happened:
                self._replace(position)
            elif worker.ready:
                self._failures = 0

    def _replace(self, position: int) -> None:
        """Start another worker in the place of one that has ended; pause longer each time that it fails."""
        ended = self._workers[position]
        ended.process.join()
        ended.said.close()
        mark_process_dead(ended.process.pid, self._folder)  # type: ignore[no-untyped-call]
        _log.error("a worker ended with code %s; starting another", ended.process.exitcode)
        if not wait([self._wake], min(_LONGEST_PAUSE, 0.1 * 2**self._failures)):
            self._failures += 1
            self._workers[position] = self._start()

    def _stop(self) -> None:
        """End all workers as the signal says, and by force those that do not."""
        self._listener.close()
        self._tell(self._signal or signal.SIGINT)  # without a signal a start has failed: no need to drain
        end = time.monotonic() + _SECONDS_BEYOND_GRACE
        end += self._settings.drain_seconds + self._settings.grace_seconds
        for worker in self._workers:
            worker.process.join(max(0.0, end - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _run(settings: ServiceSettings, listener: socket.socket, tell: Connection) -> None:
    """Be a worker: in a session of its own, so that Ctrl-C reaches it by way of the supervisor only."""
    os.setsid()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work(settings, listener, lambda: tell.send(None))
    except MultimodalError as error:
        tell.send((error.exit_code, str(error)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
