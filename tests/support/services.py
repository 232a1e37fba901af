"""The service as its users start it: ``osmm serve`` in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import httpx

COMMAND = [sys.executable, "-c", "from opensearch_multimodal.cli import main; main()", "serve"]


@dataclass
class Running:
    """A service that answers.

    Attributes:
        url: where.
        process: its process, or the supervisor of its workers.
        client: for calls.
        log: what it writes to stderr.
    """

    url: str
    process: subprocess.Popen[str]
    client: httpx.Client
    log: IO[str]

    def post(self, path: str, request: Any, **headers: str) -> httpx.Response:
        """Send a call; underscores in names of headers stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(path, json=request, headers=named)

    def written(self) -> str:
        """Return what it has written to stderr so far."""
        self.log.seek(0)
        return self.log.read()

    def stop(self, number: int = signal.SIGTERM, *, seconds: float = 60) -> int:
        """Send a signal, wait for the end and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


@contextmanager
def serving(
    *options: str, environment: Mapping[str, str] | None = None, verify: Any = True
) -> Iterator[Running]:
    """Run a service on a free port as long as the block."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            [
                *COMMAND,
                "--port",
                "0",
                "--json",
                *options,
            ],  # an option that comes twice counts as it came last
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            log.seek(0)
            assert line, log.read()
            url = json.loads(line)["url"]
            limits = httpx.Limits(max_connections=128)
            with httpx.Client(base_url=url, verify=verify, timeout=60, limits=limits) as client:
                yield Running(url, process, client, log)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if process.stdout is not None:
                process.stdout.close()


def wait_until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Return as soon as the condition holds; fail where it does not in that time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.1)
