"""Ingest while the server is busy, killed and restarted: slower, and nothing lost."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import kill_ingest
import pytest
import tiny_index
from homes import home, tiny_home
from recorder import Recorder

from opensearch_multimodal.client import Cluster
from opensearch_multimodal.encoder import IndexEncoders
from opensearch_multimodal.errors import ClusterError, ClusterUnreachable
from opensearch_multimodal.ingest import Report, ingest
from opensearch_multimodal.mappings import describe
from opensearch_multimodal.server import EmbeddedServer
from opensearch_multimodal.sources import SourceOptions

__all__ = ["home", "tiny_home"]

SMALL_QUEUE = {"node.processors": 1, "thread_pool.write.queue_size": 1}


@pytest.fixture
def data() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="osmm-test-"))
    folder.chmod(0o755)
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)


class Crowd:
    """Sends bulk requests of its own all the time, and counts how often the queue was full."""

    def __init__(self, url: str, threads: int) -> None:
        self.refused = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(url,)) for _ in range(threads)]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self, url: str) -> None:
        cluster = Cluster(url)
        line = json.dumps({"index": {}}) + "\n" + json.dumps({"text": "noise " * 200}) + "\n"
        while not self._stop.is_set():
            with contextlib.suppress(ClusterError):
                self.refused += sum(item.status == 429 for item in cluster.bulk("noise", line.encode() * 200))


def test_a_full_queue_is_waited_for(data: Path, home: Path, tmp_path: Path) -> None:
    """One write thread with a queue of one, and a crowd in front of it: real 429 answers."""
    tiny_index.write_jsonl(tmp_path / "corpus.jsonl", 500)
    with EmbeddedServer(data, heap="1g", settings=SMALL_QUEUE) as server:
        cluster = Cluster(server.url)
        cluster.create_index(
            "noise", {"settings": {"index": {"number_of_shards": 4, "number_of_replicas": 0}}}
        )
        index = tiny_index.create(cluster, "busy")
        with Crowd(server.url, threads=6) as crowd:
            report = ingest(
                cluster,
                index,
                [tmp_path / "corpus.jsonl"],
                IndexEncoders(index),
                options=SourceOptions(),
                dead_letters=tmp_path / "dead.jsonl",
                listener=Recorder(),
            )
        assert crowd.refused > 0, "the queue was never full"
        assert (report.written, report.refused) == (500, 0)
        assert len(tiny_index.stored(cluster, "busy")) == 500


def test_a_server_killed_and_restarted_during_ingest(data: Path, home: Path, tmp_path: Path) -> None:
    """kill -9 of the JVM in the middle; ingest waits, the server comes back, everything is there once."""
    total = 4000
    tiny_index.write_jsonl(tmp_path / "corpus.jsonl", total)
    with EmbeddedServer(data, heap="1g") as server:
        port = int(server.url.rpartition(":")[2])
        cluster = Cluster(server.url)
        index = tiny_index.create(cluster, "restarted")
        running = kill_ingest.start(tmp_path / "corpus.jsonl", "restarted", server.url, home)
        while cluster.search("restarted", {"size": 0})["hits"]["total"]["value"] == 0:
            assert running.poll() is None, "it ended before it was interrupted"
        assert server.status is not None
        os.kill(server.status.pid, signal.SIGKILL)
    with pytest.raises(ClusterUnreachable):
        cluster.info()
    with EmbeddedServer(data, heap="1g", http_port=port) as server:
        out, err = kill_ingest.finish(running, seconds=300)
        assert running.returncode == 0, err
        report = json.loads(out)
        assert (report["refused"], report["complete"]) == (0, True)
        records = tiny_index.stored(Cluster(server.url), "restarted")
        assert set(records) == {f"r{i}" for i in range(total)}
        assert all("dense" in record and "multi_vector" in record for record in records.values())
        assert index.indices == ("restarted",)


def test_a_server_that_goes_away_ends_the_ingest_and_loses_nothing(
    data: Path, home: Path, tmp_path: Path
) -> None:
    """Stopped for good after the first records: an error when patience ends; later the rest is written."""
    total = 300
    tiny_index.write_jsonl(tmp_path / "corpus.jsonl", total)
    server = EmbeddedServer(data, heap="1g")

    class Stopping(Recorder):
        def advance(self, records: int) -> None:
            super().advance(records)
            if records and self.advanced == records:
                server.stop()

    def run(cluster: Cluster, listener: Recorder) -> Report:
        index = describe("away", cluster.get_index("away"))
        return ingest(
            cluster,
            index,
            [tmp_path / "corpus.jsonl"],
            IndexEncoders(index),
            options=SourceOptions(),
            dead_letters=tmp_path / "dead.jsonl",
            listener=listener,
            patience=1,
        )

    with server:
        cluster = Cluster(server.url)
        tiny_index.create(cluster, "away")
        with pytest.raises(ClusterUnreachable, match="no cluster answers"):
            run(cluster, Stopping())
    assert not (tmp_path / "dead.jsonl").exists()
    with EmbeddedServer(data, heap="1g") as again:
        cluster = Cluster(again.url)
        report = run(cluster, Recorder())
        assert report.complete
        assert 0 < report.unchanged < total
        assert report.written + report.unchanged == total
        assert set(tiny_index.stored(cluster, "away")) == {f"r{i}" for i in range(total)}


def test_requests_that_are_too_large_are_divided(data: Path, home: Path, tmp_path: Path) -> None:
    """A server that takes 64 KiB at once: batches are halved, a record that alone is larger is set aside."""
    rows = [{"_id": f"r{i}", "text": "alpha beta " * 300} for i in range(64)]
    rows.append({"_id": "huge", "text": "gamma " * 15_000})
    (tmp_path / "corpus.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    with EmbeddedServer(data, heap="1g", settings={"http.max_content_length": "64kb"}) as server:
        cluster = Cluster(server.url)
        index = tiny_index.create(cluster, "small")
        report = ingest(
            cluster,
            index,
            [tmp_path / "corpus.jsonl"],
            IndexEncoders(index),
            options=SourceOptions(passage_chars=1_000_000),
            dead_letters=tmp_path / "dead.jsonl",
            listener=Recorder(),
            patience=20,
        )
        assert (report.written, report.refused) == (64, 1)
        (letter,) = [json.loads(line) for line in (tmp_path / "dead.jsonl").read_text().splitlines()]
        assert (letter["id"], letter["status"]) == ("huge", 413)
        assert set(tiny_index.stored(cluster, "small")) == {f"r{i}" for i in range(64)}
