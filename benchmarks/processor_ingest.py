"""Ingest through the pipeline: the processor ``multimodal_encode`` and the service beside ``osmm ingest``.

The same texts (runs of whole sentences of scifact abstracts, at most 600 characters each), the same default
models, the same machine, in turns: ``osmm ingest`` encodes in its own process; then a bulk client sends bare
texts and the processor has them encoded by ``osmm serve``. Rates count from the first record sent to the last
one written; the client's is the one it reports, without start and loading of models; the service is warm.
The fields of both indices are compared in the end.
"""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import common
import httpx
import numpy as np
from ingest_cpu import texts

from opensearch_multimodal.client import Cluster
from opensearch_multimodal.server import EmbeddedServer, own_plugin

CLIENT, PIPELINE = "benchmark-client", "benchmark-pipeline"
TOKEN = "benchmark-token-0123"
VECTORS = ("dense", "binary", "fde", "multi_vector")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--texts", type=int, default=400, help="per run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="of each way (default: %(default)s)")
    parser.add_argument("--bulk", type=int, default=100, help="documents per bulk (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=4, help="bulks at a time (default: %(default)s)")
    arguments = parser.parse_args()
    if own_plugin() is None:
        raise SystemExit("the plugin is not built: make plugin")
    passages = list(itertools.islice(texts(arguments.data / "scifact" / "corpus.jsonl"), arguments.texts))
    rates: dict[str, list[float]] = {CLIENT: [], PIPELINE: []}
    with joined(arguments.heap) as used, tempfile.TemporaryDirectory() as folder:
        print(common.machine(used))
        rows = [{"_id": f"r{i}", "title": "", "text": text} for i, text in enumerate(passages)]
        path = Path(folder) / "corpus.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        for number in range(arguments.rounds + 1):
            common.say(f"round {number} of {arguments.rounds}{'' if number else ' (warm-up)'} …")
            common.create_index(used, CLIENT, "passages")
            report = common.run_ingest(common.ingest_command(used, path, CLIENT))
            common.create_index(used, PIPELINE, "passages")
            seconds = through_pipeline(used, rows, arguments.bulk, arguments.clients)
            if number:
                rates[CLIENT].append(report["written"] / report["seconds"])
                rates[PIPELINE].append(len(rows) / seconds)
        alike = compare(used, len(rows))
    base = float(np.mean(rates[CLIENT]))
    lines = [
        [name, " / ".join(f"{rate:.1f}" for rate in found), f"**{np.mean(found) / base:.0%}**"]
        for name, found in (("osmm ingest", rates[CLIENT]), ("ingest pipeline", rates[PIPELINE]))
    ]
    print(f"\n### {len(rows)} texts\n\n" + common.table(["way", "texts / s", "of osmm ingest"], lines))
    print(f"\n{alike}")


@contextmanager
def joined(heap: str) -> Iterator[Cluster]:
    """Run a server with the plugin and the service that it calls; both models are loaded."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="osmm-benchmark-"))
    folder.chmod(0o755)
    tokens = folder / "token"
    tokens.write_text(TOKEN)
    url = f"http://127.0.0.1:{port}"
    common.say("starting a fresh server and the service …")
    with EmbeddedServer(
        folder / "data",
        heap=heap,
        settings={"multimodal.service.url": url},
        keystore={"multimodal.service.token": TOKEN},
    ) as server:
        command = [
            *common.OSMM,
            "serve",
            "--url",
            server.url,
            "--port",
            str(port),
            "--token-file",
            str(tokens),
        ]
        service = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True)
        try:
            assert service.stdout is not None
            if not service.stdout.readline():
                raise SystemExit("the service did not start")
            yield Cluster(server.url)
        finally:
            service.terminate()
            service.wait(60)


def through_pipeline(used: Cluster, rows: Sequence[dict[str, Any]], bulk: int, clients: int) -> float:
    """Send bare texts in bulks, several at a time; return the seconds until the last one was written."""
    pipeline = json.loads((common.CHECKOUT / "ingest/pipelines/multimodal_encode.json").read_text())
    used.call("PUT", "/_ingest/pipeline/multimodal_encode", pipeline)

    def send(batch: Sequence[dict[str, Any]]) -> None:
        lines = []
        for row in batch:
            lines += [{"index": {"_id": row["_id"]}}, {"title": row["title"], "text": row["text"]}]
        answer = httpx.post(
            f"{used.url}/{PIPELINE}/_bulk?pipeline=multimodal_encode",
            content="".join(json.dumps(line) + "\n" for line in lines),
            headers={"content-type": "application/x-ndjson"},
            timeout=600,
        ).json()
        if answer["errors"]:
            raise SystemExit(f"bulk: {next(i for i in answer['items'] if 'error' in i['index'])}")

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(send, batches(rows, bulk)))
    return time.perf_counter() - started


def batches(rows: Sequence[dict[str, Any]], size: int) -> Iterator[Sequence[dict[str, Any]]]:
    """Cut rows into batches."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def compare(used: Cluster, count: int) -> str:
    """Return one sentence about the vectors of both indices."""
    found = {}
    for name in (CLIENT, PIPELINE):
        used.refresh(name)
        found[name] = {hit["_id"]: hit["_source"] for hit in used.scan(name, {"query": {"match_all": {}}})}
    if not len(found[CLIENT]) == len(found[PIPELINE]) == count:
        raise SystemExit("not every record is there")
    worst = max(
        float(np.abs(np.subtract(record["dense"], found[CLIENT][key]["dense"])).max())
        for key, record in found[PIPELINE].items()
    )
    same = sum(
        all(record[field] == found[CLIENT][key][field] for field in VECTORS[1:])
        for key, record in found[PIPELINE].items()
    )
    return (
        f"Vectors: dense differs by at most {worst:.1e}; all derived and multi-vector bytes equal for "
        f"{same} of {count} records."
    )


if __name__ == "__main__":
    main()
