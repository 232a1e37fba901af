"""Late interaction inside the cluster: the server plugin beside OpenSearch's own ``lateInteractionScore``.

Pages of 1,030 token vectors with 128 components are indexed once per way: ``stock`` keeps them as arrays in
``_source``, which is where ``lateInteractionScore`` reads them (window_size 100, space_type innerproduct);
``float32``, ``int8`` and ``bit`` are the plugin's field type. A query takes the 100 nearest pages of a small
dense vector (``k-NN alone``) and rescores them by MaxSim with 20 query vectors. The ways take turns. Printed
per way:

- CPU ms per query: CPU time of the server's process, divided by the number of queries;
- client p50 and p95, from the request sent to the answer decoded, ten hits without sources;
- index MB after a merge into one segment, indexing CPU ms per page;
- overlap@10 with the exact ranking (NumPy, float32).

Then, for the plugin alone: rescoring 500 and 1,000 pages, other dimensions, and more shards (each shard
rescores its own window, so CPU grows with them). The vectors are random: around eight centres per page, so
that pages differ as real ones do; how well each encoding ranks real ones is fidelity.py's question.
"""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import common
import numpy as np
import orjson
import psutil
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed

from opensearch_multimodal import wire
from opensearch_multimodal.client import Cluster
from opensearch_multimodal.errors import ClusterBusy
from opensearch_multimodal.maxsim import maxsim
from opensearch_multimodal.server import EmbeddedServer, own_plugin

DENSE = 64
BULK_BYTES = 16_000_000
"""What one bulk request may hold: larger ones trip the circuit breaker of a small heap."""
ENCODINGS = ("float32", "int8", "bit")
ALONE = "k-NN alone"


@dataclass(frozen=True)
class Shape:
    """What is measured."""

    pages: int = 1000
    tokens: int = 1030
    dimension: int = 128
    query_tokens: int = 20
    window: int = 100
    shards: int = 1


@dataclass(frozen=True)
class Counts:
    """How many queries each way gets."""

    queries: int
    stock: int
    warm_up: int


@dataclass
class Way:
    """One way to score, and what it cost."""

    name: str
    index: str
    indexing_ms: float = 0.0
    megabytes: float = 0.0
    cpu_ms: list[float] = field(default_factory=list)
    client_ms: list[float] = field(default_factory=list)
    overlap: list[float] = field(default_factory=list)


class Pages:
    """Random pages, made anew from their number whenever they are needed."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._topics = self._unit(np.random.default_rng(0).standard_normal((256, shape.dimension)))

    @staticmethod
    def _unit(rows: np.ndarray) -> np.ndarray:
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def vectors(self, number: int) -> np.ndarray:
        rng = np.random.default_rng(1000 + number)
        centres = self._topics[rng.integers(0, len(self._topics), 8)]
        rows = centres[rng.integers(0, 8, self._shape.tokens)]
        return self._unit(rows + rng.standard_normal(rows.shape) / np.sqrt(self._shape.dimension))

    def query(self, number: int) -> np.ndarray:
        rng = np.random.default_rng(number)
        rows = self._topics[rng.integers(0, len(self._topics), self._shape.query_tokens)]
        return self._unit(rows + 0.5 * rng.standard_normal(rows.shape) / np.sqrt(self._shape.dimension))

    @staticmethod
    def dense(vectors: np.ndarray) -> np.ndarray:
        mean = vectors[:, :DENSE].mean(axis=0)
        return mean / np.linalg.norm(mean)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--pages", type=int, default=1000, help="how many (default: %(default)s)")
    parser.add_argument("--queries", type=int, default=100, help="per way (default: %(default)s)")
    parser.add_argument(
        "--warm-up",
        type=int,
        default=200,
        help="queries before, for the JVM to compile (default: %(default)s)",
    )
    parser.add_argument(
        "--stock-queries", type=int, default=5, help="of the stock way (default: %(default)s)"
    )
    parser.add_argument("--ways", default="", help="only these, with commas between, such as int8,bit")
    parser.add_argument(
        "--part", choices=["stock", "windows", "dimensions", "shards"], help="default: all four"
    )
    arguments = parser.parse_args()
    if arguments.url:
        raise SystemExit(
            "--url: CPU time is read from the server's process, so it has to be the embedded one"
        )
    if own_plugin() is None:
        raise SystemExit("the plugin is not built: make plugin")
    with measured_server(arguments.heap) as server:
        print(common.machine(server.cluster), flush=True)
        base = Shape(pages=arguments.pages)
        parts: dict[str, list[tuple[str, Shape, tuple[str, ...]]]] = {
            "stock": [("k-NN 100, rescore 100", base, ("stock", ALONE, *ENCODINGS))],
            "windows": [
                (f"rescore {window}", Shape(pages=arguments.pages, window=window), ENCODINGS)
                for window in (500, 1000)
            ],
            "dimensions": [
                (f"dimension {d}, 300 pages", Shape(pages=300, dimension=d), ENCODINGS)
                for d in (96, 320, 1024)
            ],
            "shards": [
                (f"{shards} shards", Shape(pages=arguments.pages, shards=shards), ENCODINGS)
                for shards in (1, 4, 8)
            ],
        }
        for part in [arguments.part] if arguments.part else parts:
            for title, shape, names in parts[part]:
                if arguments.ways:
                    names = tuple(arguments.ways.split(","))
                counts = Counts(arguments.queries, arguments.stock_queries, arguments.warm_up)
                ways = measure(server, shape, names, counts)
                print(f"\n### {title}\n\n{report(ways)}", flush=True)


@dataclass(frozen=True)
class Server:
    """A server whose CPU time can be read."""

    cluster: Cluster
    process: psutil.Process

    def cpu_ms(self) -> float:
        times = self.process.cpu_times()
        return 1000 * (times.user + times.system)


@contextmanager
def measured_server(heap: str) -> Iterator[Server]:
    """Run a fresh embedded server with the plugin."""
    folder = Path(tempfile.mkdtemp(prefix="osmm-benchmark-"))
    folder.chmod(0o755)
    common.say("starting a fresh server …")
    try:
        with EmbeddedServer(folder / "data", heap=heap) as server:
            assert server.status is not None
            yield Server(Cluster(server.url, timeout=300), psutil.Process(server.status.pid))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(server: Server, shape: Shape, names: Sequence[str], counts: Counts) -> list[Way]:
    """Index the pages once per way, then let the ways take turns at the queries."""
    pages = Pages(shape)
    ways = [Way(name, f"benchmark-{name.lower().replace(' ', '-')}") for name in names]
    for way in ways:
        common.say(f"indexing {shape.pages} pages of {shape.tokens} × {shape.dimension} as {way.name} …")
        fill(server, way, shape, pages)
    for number in range(-counts.warm_up, counts.queries):
        query = pages.query(abs(number))
        dense = pages.dense(query)
        exact: list[str] | None = None
        for way in ways:
            if way.name == "stock" and not -1 <= number < counts.stock:
                continue
            body = search_body(way, shape, query, dense)
            cpu, started = server.cpu_ms(), time.perf_counter()
            hits = server.cluster.search(way.index, body)["hits"]["hits"]
            taken = 1000 * (time.perf_counter() - started)
            cpu = server.cpu_ms() - cpu
            if number < 0:
                continue
            way.client_ms.append(taken)
            way.cpu_ms.append(cpu)
            if number < 5:
                exact = exact or exact_ranking(server, way, shape, pages, query, dense)
                way.overlap.append(len({hit["_id"] for hit in hits} & set(exact)) / len(exact))
    for way in ways:
        server.cluster.delete_index(way.index)
    return ways


def fill(server: Server, way: Way, shape: Shape, pages: Pages) -> None:
    """Create the index, write the pages, merge, and note what that cost the server."""
    settings: dict[str, Any] = {
        "knn": True,
        "number_of_shards": shape.shards,
        "number_of_replicas": 0,
        "refresh_interval": -1,
    }
    vectors: dict[str, Any] = {"type": "object", "enabled": False}
    if way.name in ENCODINGS:
        settings["codec"] = "multimodal"
        vectors = {"type": "multi_vector", "dimension": shape.dimension, "encoding": way.name}
    method = {"name": "hnsw", "engine": "lucene", "space_type": "innerproduct"}
    properties = {
        "dense": {"type": "knn_vector", "dimension": DENSE, "method": method},
        "vectors": vectors,
    }
    cluster = server.cluster
    cluster.create_index(way.index, {"settings": {"index": settings}, "mappings": {"properties": properties}})
    before = server.cpu_ms()
    batch = max(1, min(20, BULK_BYTES // (6 * shape.tokens * shape.dimension)))
    for begin in range(0, shape.pages, batch):
        lines = []
        for number in range(begin, min(begin + batch, shape.pages)):
            rows = pages.vectors(number)
            value: Any = rows.tolist() if way.name == "stock" else []
            if way.name in ENCODINGS:
                value = base64.b64encode(wire.pack(rows, way.name)).decode()
            lines.append(json.dumps({"index": {"_id": str(number)}}).encode())
            lines.append(orjson.dumps({"dense": pages.dense(rows).tolist(), "vectors": value}))
        write(cluster, way.index, b"\n".join(lines) + b"\n")
    cluster.refresh(way.index)
    way.indexing_ms = (server.cpu_ms() - before) / shape.pages
    cluster.call(
        "POST", f"/{way.index}/_forcemerge", params={"max_num_segments": "1", "flush": "true"}, timeout=600
    )
    cluster.refresh(way.index)
    segments = cluster.call(
        "GET", f"/_cat/segments/{way.index}", params={"format": "json", "bytes": "b", "h": "size,docs.count"}
    )
    way.megabytes = sum(int(row["size"]) for row in segments) / 1e6
    if sum(int(row["docs.count"]) for row in segments) != shape.pages:
        raise SystemExit(f"{way.index}: not every page is there")


@retry(retry=retry_if_exception_type(ClusterBusy), wait=wait_fixed(2), stop=stop_after_attempt(30))
def write(cluster: Cluster, index: str, lines: bytes) -> None:
    """Write one bulk, again while the server has no room for it; what then still failed ends the run."""
    refused = [item for item in cluster.bulk(index, lines) if not item.written]
    if any(item.transient for item in refused):
        raise ClusterBusy(f"{index}: {refused[0].reason}")
    if refused:
        raise SystemExit(f"{index}: {len(refused)} pages were refused: {refused[0].reason}")


def search_body(way: Way, shape: Shape, query: np.ndarray, dense: np.ndarray) -> dict[str, Any]:
    """Return the k-NN search with its rescoring."""
    if way.name == "stock":
        call = "(params.query_vectors, 'vectors', params._source, params.space_type)"
        script = {
            "source": f"lateInteractionScore{call}",
            "params": {"query_vectors": query.tolist(), "space_type": "innerproduct"},
        }
        rescore_query: dict[str, Any] = {"script_score": {"query": {"match_all": {}}, "script": script}}
    else:
        packed = base64.b64encode(wire.pack(query, "float32")).decode()
        rescore_query = {"late_interaction": {"field": "vectors", "query_vectors": packed}}
    body = {
        "size": 10,
        "_source": False,
        "track_total_hits": False,
        "query": {"knn": {"dense": {"vector": dense.tolist(), "k": shape.window}}},
    }
    if way.name != ALONE:
        weights = {"query_weight": 0, "rescore_query_weight": 1}
        body["rescore"] = {
            "window_size": shape.window,
            "query": {"rescore_query": rescore_query, **weights},
        }
    return body


def exact_ranking(
    server: Server, way: Way, shape: Shape, pages: Pages, query: np.ndarray, dense: np.ndarray
) -> list[str]:
    """Return the ten best of the pages that k-NN found, by NumPy."""
    body = search_body(way, shape, query, dense)
    body.pop("rescore", None)
    found = server.cluster.search(way.index, {**body, "size": shape.window * shape.shards})["hits"]["hits"]
    ids = [hit["_id"] for hit in found]
    scores = maxsim(query, [pages.vectors(int(key)) for key in ids])
    return [ids[i] for i in np.argsort(-scores)[:10]]


def report(ways: Sequence[Way]) -> str:
    """Return the table."""
    header = ["way", "CPU ms / query", "client p50 ms", "client p95 ms", "index MB", "indexing CPU ms / page"]
    base = next((way for way in ways if way.name == "stock"), None)
    rows = []
    for way in ways:
        cpu = float(np.mean(way.cpu_ms))
        row: list[object] = [way.name, f"**{cpu:.1f}**"]
        row += [f"{np.percentile(way.client_ms, p):.1f}" for p in (50, 95)]
        row += [f"{way.megabytes:.0f}", f"{way.indexing_ms:.1f}", f"{np.mean(way.overlap):.2f}"]
        if base is not None:
            row.append(f"{float(np.mean(base.cpu_ms)) / cpu:.0f} ×")
        rows.append(row)
    return common.table([*header, "overlap@10", *(["less CPU than stock"] if base else [])], rows)


if __name__ == "__main__":
    main()
