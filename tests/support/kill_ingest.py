"""Run an ingest in a process of its own, as ``osmm ingest`` does, so that a test can kill it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

COMMAND = [sys.executable, "-c", "from opensearch_multimodal.cli import main; main()", "ingest"]


def start(path: Path, index: str, url: str, home: Path) -> subprocess.Popen[str]:
    """Start an ingest of ``path``."""
    return subprocess.Popen(
        [*COMMAND, str(path), "--index", index, "--url", url, "--json"],
        env={**os.environ, "OSMM_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], *, seconds: float) -> tuple[str, str]:
    """Wait for the end and return what was printed; one that takes too long is killed and fails."""
    try:
        return process.communicate(timeout=seconds)
    finally:
        process.kill()


def kill_after(process: subprocess.Popen[str], seconds: float) -> bool:
    """Kill -9 after a while; return whether it was still running."""
    time.sleep(seconds)
    running = process.poll() is None
    if running:
        os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return running
