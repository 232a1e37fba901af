"""The service in front of the real server: real processes, real sockets, tiny models."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import signal
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import tiny_index
import tiny_models
import trustme
from click.testing import CliRunner
from secured import PASSWORD, USER, secured
from services import Running, serving, wait_until

from opensearch_multimodal.cli import main
from opensearch_multimodal.client import Cluster
from opensearch_multimodal.mappings import describe
from opensearch_multimodal.models import DraftOptions, draft_spec, load_spec, save_spec
from opensearch_multimodal.search import Searcher

pytestmark = pytest.mark.usefixtures("home")

TOKEN = "0123456789abcdef"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
WORDS = ("alpha", "beta", "gamma", "query", "passage")
QUESTIONS = [" ".join(words) for words in itertools.product(WORDS, repeat=2)] + list(WORDS)


def fill(
    cluster: Cluster, name: str, folder: Path, texts: list[str], body: dict[str, Any] | None = None
) -> None:
    """Make an index of these texts, for the tiny models unless its body says otherwise."""
    folder.mkdir(parents=True)
    rows = [
        {"_id": f"r{i}", "title": "", "text": text, "parity": "odd" if i % 2 else "even"}
        for i, text in enumerate(texts)
    ]
    (folder / "corpus.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    cluster.create_index(name, body or tiny_index.body())
    index = describe(name, cluster.get_index(name))
    tiny_index.ingest_files(cluster, index, folder)


@pytest.fixture(scope="module")
def index(server: Any, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    connection = Cluster(server.url)
    name = f"served-{uuid.uuid4().hex[:8]}"
    fill(connection, name, tmp_path_factory.mktemp("files") / "corpus", tiny_index.texts(600)[::5])
    yield name
    connection.delete_index(name)


@pytest.fixture(scope="module")
def service(server: Any, index: str) -> Iterator[Running]:
    with serving("--url", server.url, "--index", index) as running:
        yield running


@pytest.fixture
def fresh(cluster: Cluster) -> Iterator[Callable[[], str]]:
    """Give names of indices, which are deleted at the end."""
    names: list[str] = []

    def name() -> str:
        names.append(f"served-{uuid.uuid4().hex[:8]}")
        return names[-1]

    yield name
    for made in cluster.get_index("served-*"):
        if made in names:
            cluster.delete_index(made)


def rank(service: Running, index: str, text: str, status: int = 200, **request: Any) -> Any:
    answer = service.post("/v1/rank", {"indices": [index], "query_text": text, **request})
    assert answer.status_code == status, answer.text
    return answer.json()


def ids(answer: Any) -> list[str]:
    return [hit["id"] for hit in answer["hits"]]


def metric(service: Running, name: str) -> float:
    lines = service.client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@pytest.mark.parametrize("profile", ["bm25", "dense", "late_interaction", "hybrid", "gqr"])
def test_the_service_ranks_as_the_library_does(
    service: Running, cluster: Cluster, index: str, profile: str
) -> None:
    options: dict[str, Any] = {
        "profile": profile,
        "k": 20,
        "filter": {"term": {"metadata.parity": "odd"}},
        "preference": "same",
    }
    expected = Searcher(cluster, index).search("alpha beta", **options)
    answer = rank(service, index, "alpha beta", **options)
    assert [(hit["index"], hit["id"]) for hit in answer["hits"]] == [(h.index, h.id) for h in expected.hits]
    assert [hit["score"] for hit in answer["hits"]] == pytest.approx([h.score for h in expected.hits])
    assert answer["degraded"] is None
    assert {"queue", "encode", "first_stage", "total"} <= set(answer["timings_ms"])
    full = service.post("/v1/search", {"indices": [index], "query_text": "alpha beta", **options}).json()
    assert ids(full) == ids(answer)
    assert full["hits"][0]["source"]["text"] == expected.hits[0].source["text"]
    assert full["hits"][0]["stages"]["first_stage"]
    assert full["candidates"] >= len(full["hits"])


def test_thirty_two_searches_and_thirty_two_encodings_at_a_time_are_not_mixed_up(
    service: Running, index: str
) -> None:
    def search(text: str) -> list[tuple[str, float]]:
        answer = rank(service, index, text, k=30, preference="same", deadline_ms=30_000)
        return [(hit["id"], round(hit["score"], 4)) for hit in answer["hits"]]

    def encode(text: str) -> list[list[float]]:
        inputs = [{"text": text}, {"text": f"{text} gamma"}]
        call = {"model": tiny_index.DENSE, "task": "passage", "inputs": inputs}
        answer = service.post("/v1/encode", call)
        assert answer.status_code == 200, answer.text
        return [[round(x, 4) for x in result["dense"]] for result in answer.json()["results"]]

    questions = (QUESTIONS * 2)[:32]
    searched, encoded = [search(text) for text in questions], [encode(text) for text in questions]
    assert len({str(found) for found in searched}) > 15
    with ThreadPoolExecutor(64) as threads:
        for _ in range(3):
            both = [(threads.submit(search, text), threads.submit(encode, text)) for text in questions]
            assert [one.result() for one, _ in both] == searched
            assert [other.result() for _, other in both] == encoded


def test_searches_go_on_beside_an_encoding_in_bulk(service: Running, index: str) -> None:
    bulk = {
        "model": tiny_index.TOKENS,
        "task": "passage",
        "inputs": [{"text": " ".join(["alpha"] * 300)} for _ in range(250)],
    }
    stop = threading.Event()
    done = []

    def flood() -> None:
        with httpx.Client(base_url=service.url, timeout=60) as client:
            while not stop.is_set():
                assert client.post("/v1/encode", json=bulk).status_code == 200
                done.append(1)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        for text in QUESTIONS:
            rank(service, index, text, deadline_ms=20_000)
        while not done:
            time.sleep(0.01)  # and the bulk goes on beside the searches
            rank(service, index, "alpha", deadline_ms=20_000)
    finally:
        stop.set()
        thread.join()


def test_lists_aliases_and_patterns_are_taken_as_the_caller_writes_them(
    service: Running, cluster: Cluster, index: str, fresh: Callable[[], str], tmp_path: Path
) -> None:
    other = fresh()
    fill(cluster, other, tmp_path / "other", ["alpha alpha", "beta gamma"])
    cluster.call("POST", "/_aliases", {
        "actions": [{"add": {"index": other, "alias": f"{other}-alias",
                             "filter": {"term": {"metadata.parity": "odd"}}}}]
    })  # fmt: skip
    both = service.post("/v1/rank", {"indices": [index, other], "query_text": "alpha", "k": 200}).json()
    assert {hit["index"] for hit in both["hits"]} == {index, other}
    pattern = service.post("/v1/rank", {"indices": [f"{other}*"], "query_text": "alpha"}).json()
    assert sorted(ids(pattern)) == ["r0", "r1"]
    alias = service.post("/v1/rank", {"indices": [f"{other}-alias"], "query_text": "alpha"}).json()
    assert ids(alias) == ["r1"]
    without = service.post("/v1/rank", {"indices": [f"{index}*,{other}*", f"-{other}"], "query_text": "x"})
    assert without.status_code == 200
    assert {hit["index"] for hit in without.json()["hits"]} == {index}


def test_indices_of_different_models_are_refused_by_name(
    service: Running, cluster: Cluster, index: str, fresh: Callable[[], str]
) -> None:
    stranger = fresh()
    body = tiny_index.body()
    body["mappings"]["_meta"]["multimodal"]["fields"]["dense"]["fingerprint"] = "sha256:" + "1" * 64
    cluster.create_index(stranger, body)
    answer = service.post("/v1/rank", {"indices": [index, stranger], "query_text": "alpha"})
    assert answer.status_code == 409
    error = answer.json()["error"]
    assert error["type"] == "model_mismatch"
    assert index in error["reason"]
    assert stranger in error["reason"]
    assert rank(service, stranger, "alpha", 409)["error"]["type"] == "model_mismatch"


@pytest.mark.parametrize(
    ("change", "status", "kind", "reason"),
    [
        ({"indices": ["nowhere-at-all"]}, 404, "invalid_input", "no such index"),
        ({"indices": []}, 400, "invalid_input", "indices"),
        ({"indices": ["_all"]}, 400, "invalid_input", "indices"),
        ({"indices": ["x" * 511] * 7}, 400, "invalid_input", "the limit is 3000"),
        ({"profile": "nothing"}, 400, "invalid_input", "no profile 'nothing'"),
        ({"k": 2001}, 400, "invalid_input", "k: 2001"),
        ({"query_text": None}, 400, "invalid_input", "query"),
        ({"query_text": " "}, 400, "invalid_input", "empty"),
        ({"query_text": "x" * 10_001}, 400, "invalid_input", "10000"),
        ({"query_image": "!"}, 400, "invalid_input", "not base64"),
        ({"filter": {"nonsense": {"secret words": 1}}}, 400, "invalid_input", "filter: the cluster refused"),
        ({"filter": {"query_string": {"query": "secret words ["}}}, 400, "invalid_input", "filter: the"),
        ({"filter": {"a": 1, "b": 2}}, 400, "invalid_input", "one query clause"),
        ({"overrides": {"retrievers": []}}, 400, "invalid_input", "retrievers"),
        ({"overrides": {"refine": {"stepz": 1}}, "profile": "gqr"}, 400, "invalid_input", "stepz"),
        ({"deadline_ms": 1}, 504, "timed_out", "deadline"),
    ],
)
def test_wrong_questions(
    service: Running, index: str, change: dict[str, Any], status: int, kind: str, reason: str
) -> None:
    question = {"indices": [index], "query_text": "alpha", **change}
    answer = service.post("/v1/rank", question)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["type"] == kind
    assert reason in answer.json()["error"]["reason"]
    assert "secret words" not in answer.text + service.written()


def nested(depth: int) -> dict[str, Any]:
    clause: dict[str, Any] = {"match_all": {}}
    for _ in range(depth):
        clause = {"bool": {"filter": clause}}
    return clause


def test_deep_filters(service: Running, index: str) -> None:
    assert rank(service, index, "alpha", filter=nested(20))["hits"]
    assert "nested deeper" in rank(service, index, "alpha", 400, filter=nested(40))["error"]["reason"]


def test_a_switched_alias_is_seen_at_once(
    server: Any, cluster: Cluster, fresh: Callable[[], str], tmp_path: Path
) -> None:
    """The new index has another model of the same dimension: vectors of the old one would rank wrongly."""
    exported = tmp_path / "exported"
    exported.mkdir()
    tiny_models.write_text_model(exported / "model.onnx")
    tiny_models.write_tokenizer(exported / "tokenizer.json")
    name = f"tiny-cls-{uuid.uuid4().hex[:8]}"
    save_spec(draft_spec(exported, name, DraftOptions(kind="dense", pooling="cls")), exported)
    body = tiny_index.body()
    body["mappings"]["_meta"]["multimodal"]["fields"]["dense"] |= {
        "model": name, "fingerprint": load_spec(name).fingerprint
    }  # fmt: skip
    blue, green, alias = fresh(), fresh(), f"served-alias-{uuid.uuid4().hex[:8]}"
    texts = ["alpha", "gamma", "alpha alpha", "beta beta"]
    fill(cluster, blue, tmp_path / "blue", texts)
    fill(cluster, green, tmp_path / "green", texts, body)
    cluster.call("POST", "/_aliases", {"actions": [{"add": {"index": blue, "alias": alias}}]})
    with serving("--url", server.url) as running:
        before = rank(running, alias, "beta", profile="dense")
        assert {hit["index"] for hit in before["hits"]} == {blue}
        actions = [{"remove": {"index": blue, "alias": alias}}, {"add": {"index": green, "alias": alias}}]
        cluster.call("POST", "/_aliases", {"actions": actions})
        after = rank(running, alias, "beta", profile="dense")
        expected = Searcher(cluster, green).search("beta", profile="dense").hits
        assert [(hit["index"], hit["id"]) for hit in after["hits"]] == [(h.index, h.id) for h in expected]
        assert [hit["score"] for hit in after["hits"]] == pytest.approx([h.score for h in expected])
        assert [hit["score"] for hit in before["hits"]] != pytest.approx([h.score for h in expected])
        meta = cluster.get_index(green)[green]["mappings"]["_meta"]
        meta["multimodal"]["profiles"]["fresh"] = {"retrievers": [{"type": "bm25", "field": "text"}]}
        cluster.update_meta(green, lambda _: meta)
        assert rank(running, alias, "alpha", profile="fresh")["hits"]


def test_searches_do_not_run_the_pipelines_of_the_index(
    service: Running, cluster: Cluster, fresh: Callable[[], str], tmp_path: Path
) -> None:
    name = fresh()
    fill(cluster, name, tmp_path / "piped", ["alpha", "beta"])
    cluster.call("PUT", f"/_search/pipeline/{name}", {
        "request_processors": [{"filter_query": {"query": {"match_none": {}}}}]
    })  # fmt: skip
    cluster.call("PUT", f"/{name}/_settings", {"index.search.default_pipeline": name})
    try:
        assert cluster.search(name, {"query": {"match_all": {}}})["hits"]["hits"] == []
        for path in ("/v1/rank", "/v1/search"):
            for profile in ("bm25", "gqr"):
                question = {"indices": [name], "query_text": "alpha", "profile": profile}
                assert service.post(path, question).json()["hits"], (path, profile)
    finally:
        cluster.call("PUT", f"/{name}/_settings", {"index.search.default_pipeline": "_none"})
        cluster.call("DELETE", f"/_search/pipeline/{name}")


def test_degrading_is_the_callers_choice_and_is_told(
    server: Any, cluster: Cluster, home: Path, index: str, tmp_path: Path
) -> None:
    broken = tmp_path / "home"
    shutil.copytree(home, broken)
    for model in (tiny_index.DENSE, tiny_index.TOKENS):
        (broken / "artifacts" / model / "model.onnx").write_bytes(b"no model")
    with serving("--url", server.url, environment={"OSMM_HOME": str(broken)}) as running:
        assert rank(running, index, "alpha", 500)["error"]["type"] == "internal"
        question = {"indices": [index], "query_text": "alpha", "on_failure": "bm25", "profile": "gqr"}
        answer = running.post("/v1/rank", question)
        assert (answer.status_code, answer.json()["degraded"]) == (200, "bm25")
        assert answer.headers["warning"].startswith("299 ")
        expected = Searcher(cluster, index).search("alpha", profile="bm25")
        assert ids(answer.json()) == [hit.id for hit in expected.hits]
        assert metric(running, "osmm_degraded_total") == 1


# Who may search


def test_the_caller_searches_and_the_service_only_reads_mappings(
    server: Any, home: Path, index: str, tmp_path: Path
) -> None:
    with secured(server.url, tmp_path) as proxy:
        options = ["--url", proxy.url, "--ca-file", str(proxy.ca_file)]
        own = {"OPENSEARCH_USER": USER, "OPENSEARCH_PASSWORD": PASSWORD, "OSMM_SERVICE_TOKEN": TOKEN}
        with serving(*options, "--index", index, environment=own) as running:
            question = {"indices": [index], "query_text": "alpha"}
            for path in ("/v1/rank", "/v1/search"):
                for headers, status in (
                    ({}, 401),
                    ({"authorization": BASIC}, 401),
                    ({"x_multimodal_token": "f" * 16, "authorization": BASIC}, 401),
                    ({"x_multimodal_token": TOKEN}, 401),
                    ({"authorization": f"Bearer {TOKEN}"}, 401),
                    ({"x_multimodal_token": TOKEN, "authorization": "Basic bm86bm8="}, 401),
                    ({"x_multimodal_token": TOKEN, "authorization": f"Bearer {TOKEN}"}, 401),
                    ({"x_multimodal_token": TOKEN, "authorization": BASIC}, 200),
                ):
                    answer = running.post(path, question, **headers)
                    assert answer.status_code == status, (headers, answer.text)
                    if status == 401:
                        assert answer.json()["error"]["type"] == "unauthorized"
            call = {"model": tiny_index.DENSE, "task": "query", "inputs": [{"text": "alpha"}]}
            for header in ({"x_multimodal_token": TOKEN}, {"authorization": f"Bearer {TOKEN}"}):
                assert running.post("/v1/encode", call, **header).status_code == 200
            assert running.post("/v1/encode", call).status_code == 401
            assert running.client.get("/health/ready").status_code == 200
            written = running.written()
            assert PASSWORD not in written
            assert TOKEN not in written
        with serving(*options) as unknown:  # without credentials of its own it cannot read mappings
            answer = unknown.post(
                "/v1/rank", {"indices": [index], "query_text": "alpha"}, authorization=BASIC
            )
            assert answer.status_code == 502
            assert "the service's own credentials" in answer.json()["error"]["reason"]


def issue(
    authority: trustme.CA, chain: Path, key: Path, kind: trustme.KeyType = trustme.KeyType.ECDSA
) -> bytes:
    """Write a new certificate and its key over the old ones, and return it as it goes over the wire."""
    issued = authority.issue_cert("localhost", "127.0.0.1", key_type=kind)
    key.write_bytes(issued.private_key_pem.bytes())
    chain.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


def shown_certificate(url: str) -> bytes:
    place = httpx.URL(url)
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((place.host, place.port or 0)))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_tls(server: Any, home: Path, index: str, tmp_path: Path, workers: str) -> None:
    authority = trustme.CA()
    chain, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    first = issue(authority, chain, key)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with serving(
        *("--url", server.url, "--tls-cert", str(chain), "--tls-key", str(key), "--workers", workers),
        verify=context,
    ) as running:
        assert running.url.startswith("https://")
        assert rank(running, index, "alpha")["hits"]
        assert shown_certificate(running.url) == first
        key.write_text("half of a renewal")
        wait_until(lambda: running.written().count("the old one stays") == int(workers))
        assert shown_certificate(running.url) == first
        # Another type of key: a context that has loaded both would go on showing the old one.
        renewed = issue(authority, chain, key, trustme.KeyType.RSA)
        wait_until(lambda: running.written().count("new connections get the new one") == int(workers))
        assert {shown_certificate(running.url) for _ in range(8)} == {renewed}
        assert rank(running, index, "alpha")["hits"]


def test_what_cannot_be_served_is_said_in_one_sentence(home: Path, tmp_path: Path) -> None:
    not_a_key = tmp_path / "key.pem"
    not_a_key.write_text("nothing")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for options, code, message in (
            (["--host", "0.0.0.0"], 1, "--allow-anonymous"),
            (["--host", "no.such.host.invalid", "--allow-anonymous"], 1, "not an address of this machine"),
            (["--port", port], 2, f"cannot listen at 127.0.0.1 port {port}"),
            (["--model", "unknown"], 1, "there is no 'unknown'"),
            (["--model", "bge-small-en-v1.5"], 2, "osmm models pull bge-small-en-v1.5"),
            (["--model", "bge-small-en-v1.5", "--workers", "2"], 2, "osmm models pull bge-small-en-v1.5"),
            (["--tls-cert", str(not_a_key), "--tls-key", str(not_a_key)], 1, "not a certificate and its key"),
            (["--tls-key", str(not_a_key)], 1, "give both or neither"),
        ):
            arguments = ["serve", "--encode-only", "--port", "0", *options]
            result = CliRunner().invoke(main, arguments)
            assert result.exit_code == code, (options, result.output, result.stderr)
            assert message in " ".join(result.stderr.split())
            assert "Traceback" not in result.output


# Starting and ending


def encode_long(url: str, count: int = 200) -> httpx.Response:
    inputs = [{"text": " ".join(["alpha"] * 400)} for _ in range(count)]
    call = {"model": tiny_index.TOKENS, "task": "passage", "inputs": inputs}
    return httpx.post(f"{url}/v1/encode", json=call, timeout=60)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_under_load_answers_what_is_in_flight(home: Path, workers: str) -> None:
    with serving(
        "--encode-only", "--workers", workers, "--model", tiny_index.TOKENS, "--drain", "4"
    ) as running, ThreadPoolExecutor(12) as threads:  # fmt: skip
        calls = [threads.submit(encode_long, running.url) for _ in range(10)]
        while metric(running, "osmm_lane_running") < int(workers):
            time.sleep(0.01)
        running.process.send_signal(signal.SIGTERM)
        seen = set()
        for _ in range(50):
            try:
                seen.add(httpx.get(f"{running.url}/health/ready").json()["status"])
            except httpx.TransportError:
                break
            if "draining" in seen:
                break
            time.sleep(0.02)
        assert "draining" in seen
        during = encode_long(running.url, 1)  # still served while draining
        assert (during.status_code, during.headers["connection"]) == (200, "close")
        assert running.process.wait(60) == 0
        for call in calls:
            assert call.result().status_code == 200
        with pytest.raises(httpx.TransportError):
            httpx.get(running.url)
        assert "Traceback" not in running.written()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_call_that_never_ends_does_not_hold_up_the_end(home: Path, workers: str) -> None:
    with serving("--encode-only", "--workers", workers, "--grace", "1") as running:
        address = httpx.URL(running.url)
        with socket.create_connection((address.host, address.port)) as silent:
            silent.sendall(b"POST /v1/encode HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
            while metric(running, "osmm_requests_in_flight") < 2:
                time.sleep(0.02)
            assert running.stop(seconds=20) == 0
        assert "Traceback" not in running.written()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_ends_it_without_a_traceback(home: Path, workers: str) -> None:
    with serving("--encode-only", "--workers", workers, "--drain", "60") as running:
        children = psutil.Process(running.process.pid).children(recursive=True)
        assert running.stop(signal.SIGINT, seconds=20) == 0
        assert "Traceback" not in running.written()
        assert not psutil.wait_procs(children, timeout=10)[1]


def test_a_killed_worker_is_replaced(home: Path) -> None:
    with serving("--encode-only", "--workers", "2", "--model", tiny_index.DENSE) as running:
        before = workers_of(running)
        assert len(before) == 2
        os.kill(before[0], signal.SIGKILL)
        deadline = time.monotonic() + 30
        while len(set(workers_of(running)) - {before[0]}) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(workers_of(running)) == 2
        call = {"model": tiny_index.DENSE, "task": "query", "inputs": [{"text": "alpha"}]}
        for _ in range(10):
            assert httpx.post(f"{running.url}/v1/encode", json=call).status_code == 200
        assert "a worker ended with code -9" in running.written()


def test_workers_do_not_outlive_a_killed_supervisor(home: Path) -> None:
    with serving("--encode-only", "--workers", "2") as running:
        workers = [psutil.Process(pid) for pid in workers_of(running)]
        running.process.kill()
        running.process.wait()
        assert not psutil.wait_procs(workers, timeout=20)[1]


def workers_of(running: Running) -> list[int]:
    return [
        child.pid
        for child in psutil.Process(running.process.pid).children()
        if child.status() != psutil.STATUS_ZOMBIE and "spawn_main" in " ".join(child.cmdline())
    ]


def test_two_workers_add_up_their_metrics(home: Path) -> None:
    with serving("--encode-only", "--workers", "2", "--model", tiny_index.DENSE) as running:
        call = {"model": tiny_index.DENSE, "task": "query", "inputs": [{"text": "alpha"}]}
        for _ in range(40):  # a connection each, so that both workers get some
            assert httpx.post(f"{running.url}/v1/encode", json=call).status_code == 200
        name = 'osmm_requests_total{route="/v1/encode",status="200"}'
        pages = {metric(running, name)} | {
            sum(
                float(line.rpartition(" ")[2])
                for line in httpx.get(f"{running.url}/metrics").text.splitlines()
                if line.startswith(name)
            )
            for _ in range(10)
        }
        assert pages == {40.0}


def test_nobody_works_for_a_caller_that_has_gone(home: Path) -> None:
    with serving("--encode-only", "--model", tiny_index.TOKENS, "--max-text-chars", "900000") as running:
        call = {
            "model": tiny_index.TOKENS,
            "task": "passage",
            "inputs": [{"text": " ".join(["alpha"] * 150_000)}] * 4,
        }
        with httpx.Client(base_url=running.url) as impatient, pytest.raises(httpx.ReadTimeout):
            impatient.post("/v1/encode", json=call, timeout=0.1)
        deadline = time.monotonic() + 30
        gone = 'osmm_requests_total{route="/v1/encode",status="499"}'
        while metric(running, gone) < 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert metric(running, gone) == 1
        while metric(running, "osmm_lane_running") and time.monotonic() < deadline:
            time.sleep(0.02)
        assert metric(running, "osmm_lane_running") == 0


@pytest.mark.parametrize("together", [True, False])
def test_a_client_that_offers_http_2_is_answered(service: Running, together: bool) -> None:
    body = json.dumps({"model": tiny_index.DENSE, "task": "query", "inputs": [{"text": "alpha"}]}).encode()
    offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk"
    head = f"POST /v1/encode HTTP/1.1\r\nHost: x\r\n{offer}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    address = httpx.URL(service.url)
    with socket.create_connection((address.host, address.port)) as java:
        java.settimeout(20)
        for _ in range(2):  # and again on the same connection
            if together:
                java.sendall(head + body)
            else:
                java.sendall(head)
                time.sleep(0.1)
                java.sendall(body)
            answer = b""
            while not answer.endswith(b"]}]}"):
                part = java.recv(65536)
                assert part, answer
                answer += part
            assert answer.startswith(b"HTTP/1.1 200"), answer


def test_what_is_too_much_is_told_to_come_again(home: Path) -> None:
    with serving("--encode-only", "--queue", "1", "--model", tiny_index.TOKENS) as running:
        with ThreadPoolExecutor(12) as threads:
            answers = list(threads.map(lambda _: encode_long(running.url), range(12)))
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {200, 429}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["error"]["type"] == "busy"
        assert metric(running, "osmm_rejected_total") == statuses.count(429)
        assert metric(running, "osmm_lane_waiting") == 0
