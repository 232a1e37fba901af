"""What the benchmarks share: the data, the server, the command, the machine's line, Markdown tables."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np

from opensearch_multimodal.client import Cluster
from opensearch_multimodal.errors import ClusterNotFound
from opensearch_multimodal.server import EmbeddedServer

CHECKOUT = Path(__file__).resolve().parent.parent
OSMM = [sys.executable, "-c", "from opensearch_multimodal.cli import main; main()"]


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("OSMM_DATA", CHECKOUT.parent / "shared" / "data")),
        help="folder with the collections scifact, cranfield and pages "
        "(default: $OSMM_DATA, else ../shared/data beside the checkout)",
    )
    made.add_argument(
        "--url", help="use this cluster; by default a fresh embedded server is started and stopped"
    )
    made.add_argument("--heap", default="2g", help="heap of the embedded server (default: %(default)s)")
    return made


@contextmanager
def cluster(url: str | None, heap: str) -> Iterator[Cluster]:
    """Yield the cluster at ``url``, or a fresh embedded server in a temporary folder."""
    if url:
        yield Cluster(url)
        return
    folder = Path(tempfile.mkdtemp(prefix="osmm-benchmark-"))
    folder.chmod(0o755)  # the server's own user has to reach it
    say("starting a fresh server …")
    try:
        with EmbeddedServer(folder / "data", heap=heap) as server:
            yield Cluster(server.url)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def create_index(used: Cluster, name: str, mapping: str) -> None:
    """Create an index by the command; one left by an earlier run is replaced."""
    with suppress(ClusterNotFound):
        used.delete_index(name)
    subprocess.run([*OSMM, "index", "create", name, "--mapping", mapping, "--url", used.url], check=True)


def ingest_command(used: Cluster, path: Path, index: str, *more: str) -> list[str]:
    """Return the one command that ingests ``path``."""
    return [*OSMM, "ingest", str(path), "--index", index, "--url", used.url, "--json", *more]


def run_ingest(command: Sequence[str]) -> dict:
    """Run an ingest to its end and return its report; files that could not be read are told, not fatal."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout.strip():
        raise SystemExit(f"ingest ended with exit code {done.returncode}")
    return json.loads(done.stdout)


def kept(folder: Path | None, name: str, encode: Callable[[], Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Return multi-vectors, from the folder if an earlier run left them there."""
    path = folder / f"{name}.npz" if folder else None
    if path is not None and path.exists():
        with np.load(path) as stored:
            return np.split(stored["rows"], np.cumsum(stored["counts"])[:-1])
    say(f"encoding for {name} …")
    made = list(encode())
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, rows=np.concatenate(made), counts=[len(one) for one in made])
    return made


def machine(used: Cluster | None = None) -> str:
    """Return one line about the machine and the versions that matter."""
    parts = [
        f"{os.cpu_count()} × {_processor()}",
        f"Python {platform.python_version()}",
        f"onnxruntime {version('onnxruntime')}",
        f"numpy {version('numpy')}",
    ]
    if used is not None:
        parts.append(f"OpenSearch {used.info()['version']['number']}")
    return "Machine: " + ", ".join(parts)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(map(row, lines))


def row(cells: Sequence[object]) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def say(message: str) -> None:
    """Tell on standard error what is going on."""
    print(message, file=sys.stderr, flush=True)


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
