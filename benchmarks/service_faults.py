"""A minute of each fault: what ingest through the pipeline does while the service fails, and afterwards.

Clients send documents in bulks without pause and repeat what was answered with 429 or 5xx, as bulk clients
do. For so many seconds the service (a scriptable stand-in, since a real one cannot be told to hang or to lie)
is killed, hangs, is slow, answers garbage, a little or 60 MiB of it, or answers 429; then it is healthy,
and the clients finish. Counted: documents that were sent, that are there in the end, that are there without
their vectors, at any time; how often a bulk item had to be repeated; the slowest answer of
``_cluster/health``; the threads; and the heap's floor (the least of the last third of the samples) beside the
one of a healthy service. The exit code is 1 where a document was lost, or there without its vectors.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import common

from opensearch_multimodal.server import EmbeddedServer, own_plugin
from opensearch_multimodal.server.java import find_java

sys.path.insert(0, str(common.CHECKOUT / "tests" / "support"))
from bridge import TOKEN, Bridge
from faulty_service import Answer, FaultyService

INDEX = "benchmark-faults"
REPEATED = (429, 500, 502, 503, 504)
MEBIBYTE = 1 << 20


@dataclass
class Watch:
    """What was seen from outside while a fault lasted."""

    threads: list[int] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    bare: int = 0


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of each fault (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=6, help="at a time (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.url:
        raise SystemExit("--url: the node must call the stand-in, so it has to be the embedded one")
    if own_plugin() is None:
        raise SystemExit("the plugin is not built: make plugin")
    folder = Path(tempfile.mkdtemp(prefix="osmm-benchmark-"))
    folder.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        service = stack.enter_context(FaultyService())
        server = stack.enter_context(
            EmbeddedServer(
                folder / "data",
                heap="1g",
                settings={
                    "multimodal.service.url": service.url,
                    "multimodal.service.encode_timeout": "5s",
                    "multimodal.service.max_retry_time": "20s",
                },
                keystore={"multimodal.service.token": TOKEN},
            )
        )
        bridge = Bridge(server, service)
        print(common.machine())
        bridge.pipeline("encode")
        rows = []
        for name in ("healthy", "killed", "hung", "slow", "garbage", "large garbage", "429"):
            common.say(f"{name} for {arguments.seconds:.0f} s …")
            rows.append(fault(bridge, name, arguments.seconds, arguments.clients))
    header = ["service", "documents", "there", "without vectors", "items repeated", "slowest health ms"]
    print(
        f"\n### {arguments.seconds:.0f} s of each fault, {arguments.clients} clients\n\n"
        + common.table([*header, "threads, most", "heap in use MiB"], rows)
    )
    if any(f"**{sent}**" != there or bare for _, sent, there, bare, *_ in rows):
        raise SystemExit(1)


def fault(bridge: Bridge, name: str, seconds: float, clients: int) -> list[object]:
    """Let the service fail, then recover; return the row of the table."""
    bridge.create(INDEX, settings={"default_pipeline": "encode"})
    watch, over, done = Watch(), threading.Event(), threading.Event()
    watcher = threading.Thread(target=look, args=(bridge, watch, done))
    watcher.start()
    service = bridge.service
    large = b" " * (60 * MEBIBYTE) if name == "large garbage" else b""
    behaviours: dict[str, Callable] = {
        "hung": service.hang,
        "slow": service.slow(1.0),
        "garbage": lambda _: Answer(b"<html>it works</html>"),
        "large garbage": lambda _: Answer(large),
        "429": lambda _: Answer({"error": {"type": "busy", "reason": "busy"}}, 429),
    }
    if name == "killed":
        service.stop()
    service.behave = behaviours.get(name, service.answer)

    def recover() -> None:
        time.sleep(seconds)
        over.set()
        service.behave = service.answer
        service.released.set()
        if name == "killed":
            service.start()

    recovery = threading.Thread(target=recover)
    recovery.start()
    with ThreadPoolExecutor(clients) as pool:
        results = list(pool.map(lambda number: client(bridge, number, over), range(clients)))
    recovery.join()
    done.set()
    watcher.join()
    bridge.done("POST", f"/{INDEX}/_refresh")
    there = bridge.done("GET", f"/{INDEX}/_count")["count"]
    watch.bare += without_vectors(bridge)
    bridge.done("DELETE", f"/{INDEX}")
    service.reset()
    sent = sum(documents for documents, _ in results)
    return [
        name,
        sent,
        f"**{there}**" if there == sent else f"**{there}: {sent - there} LOST**",
        watch.bare,
        sum(repeated for _, repeated in results),
        f"{1000 * max(watch.health):.0f}",
        max(watch.threads),
        f"{heap_in_use(bridge) / MEBIBYTE:.0f}",
    ]


def client(bridge: Bridge, number: int, over: threading.Event) -> tuple[int, int]:
    """Send documents until the fault is over and everything has been taken; return sent and repeated."""
    sent = repeated = 0
    while not over.is_set():
        left = {f"{number}-{sent + i}": {"text": f"text {number} {sent + i}"} for i in range(100)}
        sent += len(left)
        while left:
            reply = bridge.bulk(INDEX, left)
            failed = {key for key, item in reply.items() if item["status"] in REPEATED}
            lost = [
                item for item in reply.values() if item["status"] >= 300 and item["status"] not in REPEATED
            ]
            if lost:
                raise SystemExit(f"refused for good: {lost[0]}")
            left = {key: document for key, document in left.items() if key in failed}
            repeated += len(left)
            if left:
                time.sleep(0.5)
    return sent, repeated


def heap_in_use(bridge: Bridge) -> int:
    """Collect garbage, and return the bytes that are left."""
    status = bridge.server.status
    assert status is not None
    subprocess.run([find_java() / "bin" / "jcmd", str(status.pid), "GC.run"], check=True, capture_output=True)
    time.sleep(1.5)  # statistics are kept for a second
    jvm = next(iter(bridge.done("GET", "/_nodes/stats/jvm")["nodes"].values()))["jvm"]
    return int(jvm["mem"]["heap_used_in_bytes"])


def look(bridge: Bridge, watch: Watch, done: threading.Event) -> None:
    """Watch the server until told to stop."""
    while not done.wait(0.5):
        started = time.perf_counter()
        bridge.done("GET", "/_cluster/health")
        watch.health.append(time.perf_counter() - started)
        jvm = next(iter(bridge.done("GET", "/_nodes/stats/jvm")["nodes"].values()))["jvm"]
        watch.threads.append(jvm["threads"]["count"])
        watch.bare += without_vectors(bridge)


def without_vectors(bridge: Bridge) -> int:
    """Count documents that can be found but lack their vectors."""
    missing = {"bool": {"must_not": {"exists": {"field": "dense"}}}}
    return int(bridge.done("POST", f"/{INDEX}/_count", {"query": missing})["count"])


if __name__ == "__main__":
    main()
