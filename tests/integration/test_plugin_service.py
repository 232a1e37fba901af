"""The whole of it: the real service behind the real plugin, in a cluster of two nodes."""

from __future__ import annotations

import base64
import json
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import tiny_index
from plugin import Http
from services import Running, serving

from opensearch_multimodal import wire
from opensearch_multimodal.client import Cluster
from opensearch_multimodal.mappings import describe
from opensearch_multimodal.maxsim import maxsim
from opensearch_multimodal.resources import find
from opensearch_multimodal.search import Searcher
from opensearch_multimodal.server import EmbeddedServer

pytestmark = pytest.mark.usefixtures("home")

TOKEN = "0123456789abcdef"
TEXTS = {f"r{i}": text for i, text in enumerate(tiny_index.texts(120))}
VECTORS = ("dense", "binary", "fde", "multi_vector")
ENCODED, WRITTEN = "t-encoded", "t-written"
"""Indices with the same texts: encoded in the ingest pipeline, and by ``osmm ingest``."""


@dataclass
class Two:
    """A cluster of two nodes and the service that they call."""

    nodes: tuple[EmbeddedServer, EmbeddedServer]
    port: int

    def serve(self, **environment: str) -> Any:
        """Run the service where the nodes look for it."""
        environment["OSMM_SERVICE_TOKEN"] = TOKEN
        return serving("--url", self.nodes[0].url, "--port", str(self.port), environment=environment)

    @property
    def http(self) -> tuple[Http, Http]:
        """Plain HTTP to each node."""
        return Http(self.nodes[0].url), Http(self.nodes[1].url)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def two() -> Iterator[Two]:
    """Two nodes of one cluster, each with the plugin."""
    port, transport = free_port(), free_port()
    shared = {"discovery.type": "zen", "multimodal.service.url": f"http://127.0.0.1:{port}"}
    settings = (
        {"node.name": "one", "transport.port": transport, "cluster.initial_cluster_manager_nodes": ["one"]},
        {"node.name": "two", "discovery.seed_hosts": [f"127.0.0.1:{transport}"]},
    )
    nodes: list[EmbeddedServer] = []
    with ExitStack() as stack:
        for own in settings:
            data = Path(tempfile.mkdtemp(prefix="osmm-test-"))
            data.chmod(0o755)
            stack.callback(shutil.rmtree, data, ignore_errors=True)
            server = EmbeddedServer(
                data, heap="512m", settings={**shared, **own}, keystore={"multimodal.service.token": TOKEN}
            )
            nodes.append(stack.enter_context(server))
        found = Two((nodes[0], nodes[1]), port)
        assert found.http[0].call("GET", "_cluster/health")["number_of_nodes"] == 2
        yield found


@pytest.fixture(scope="module")
def running(two: Two) -> Iterator[Running]:
    """The service, and both indices filled."""
    with two.serve() as service:
        http = two.http[1]
        for kind in ("ingest", "search"):
            name = "multimodal_encode" if kind == "ingest" else "multimodal_query"
            pipeline = json.loads((find("ingest") / "pipelines" / f"{name}.json").read_text())
            http.call("PUT", f"_{kind}/pipeline/{name}", pipeline)
        cluster = Cluster(two.nodes[0].url)
        for name in (ENCODED, WRITTEN):
            made = tiny_index.body(plugin=True, shards=3, replicas=1)
            made["settings"]["index"]["search"] = {"default_pipeline": "multimodal_query"}
            if name == ENCODED:
                made["settings"]["index"]["default_pipeline"] = "multimodal_encode"
            cluster.create_index(name, made)
        http.bulk(ENCODED, {key: {"text": text, "title": ""} for key, text in TEXTS.items()})
        write(cluster, two)
        yield service


def write(cluster: Cluster, two: Two) -> None:
    folder = two.nodes[0].data / "files"
    folder.mkdir()
    tiny_index.write_jsonl(folder / "corpus.jsonl", len(TEXTS))
    index = describe(WRITTEN, cluster.get_index(WRITTEN))
    report = tiny_index.ingest_files(cluster, index, folder)
    assert report.complete


def clause(**more: Any) -> dict[str, Any]:
    return {"query": {"multimodal": {"query_text": "alpha beta", **more}}}


def ranking(hits: list[dict[str, Any]]) -> dict[str, float]:
    return {hit["_id"]: hit["_score"] for hit in hits}


def rank_calls(service: Running) -> int:
    metrics = service.client.get("/metrics", headers={"X-Multimodal-Token": TOKEN}).text
    return sum(
        int(float(count))
        for count in re.findall(r'^osmm_requests_total\{route="/v1/rank",status="\d+"\} (\S+)', metrics, re.M)
    )


def test_the_pipeline_writes_what_osmm_ingest_writes(two: Two, running: Running) -> None:
    cluster = Cluster(two.nodes[0].url)
    encoded, written = tiny_index.stored(cluster, ENCODED), tiny_index.stored(cluster, WRITTEN)
    assert encoded.keys() == written.keys() == TEXTS.keys()
    for key, record in written.items():
        for field in ("binary", "fde", "multi_vector"):
            assert encoded[key][field] == record[field], field
        assert encoded[key]["dense"] == pytest.approx(record["dense"], abs=1e-6)


def test_one_search_ranks_as_the_searcher_does_from_both_nodes(two: Two, running: Running) -> None:
    expected = Searcher(Cluster(two.nodes[0].url), ENCODED).search("alpha beta", k=30)
    for http in two.http:
        hits = http.hits(ENCODED, {**clause(k=30), "size": 30})
        assert [hit["_id"] for hit in hits] == [hit.id for hit in expected.hits]
        assert ranking(hits) == pytest.approx({hit.id: hit.score for hit in expected.hits}, abs=1e-6)


@pytest.mark.parametrize("profile", ["bm25", "dense", "late_interaction", "hybrid", "gqr"])
def test_every_profile_answers_by_the_query(two: Two, running: Running, profile: str) -> None:
    both = [
        ranking(two.http[1].hits(name, {**clause(profile=profile, k=20), "size": 20}))
        for name in (ENCODED, WRITTEN)
    ]
    expected = Searcher(Cluster(two.nodes[0].url), WRITTEN).search("alpha beta", profile=profile, k=20)
    assert both[1] == pytest.approx({hit.id: hit.score for hit in expected.hits}, abs=1e-5)
    if profile != "bm25":  # whose statistics depend on where a document lies
        assert sorted(both[0].values()) == pytest.approx(sorted(both[1].values()), abs=0.2)


def test_a_search_through_the_default_pipeline_makes_one_call(two: Two, running: Running) -> None:
    before = rank_calls(running)
    typed = {"query": {"bool": {"must": [{"query_string": {"query": "gamma beta"}}]}}, "size": 5}
    hits = two.http[0].hits(ENCODED, typed)
    assert rank_calls(running) == before + 1
    expected = Searcher(Cluster(two.nodes[0].url), ENCODED).search("gamma beta", k=50)
    assert [hit["_id"] for hit in hits] == [hit.id for hit in expected.hits][:5]


def test_filters_and_aggregations_hold_for_ranked_documents(two: Two, running: Running) -> None:
    ids = sorted(TEXTS)[:40]
    body = {
        "query": {"bool": {**{"must": [clause(k=20)["query"]]}, "filter": [{"ids": {"values": ids}}]}},
        "size": 20,
        "aggs": {"longest": {"value_count": {"field": "_index"}}},
    }
    answer = two.http[1].call("POST", f"{ENCODED}/_search", body)
    hits = answer["hits"]["hits"]
    assert len(hits) == 20
    assert {hit["_id"] for hit in hits} <= set(ids)
    assert answer["aggregations"]["longest"]["value"] == answer["hits"]["total"]["value"] == 20


def test_a_composed_question_goes_through_the_query(two: Two, running: Running) -> None:
    overrides = {"compose": [{"text": "gamma", "weight": 0.5}, {"text": "passage", "weight": -0.4}]}
    options: dict[str, Any] = {"profile": "hybrid", "k": 20, "overrides": overrides}
    expected = Searcher(Cluster(two.nodes[0].url), WRITTEN).search("alpha beta", **options)
    hits = two.http[1].hits(WRITTEN, {**clause(**options), "size": 20})
    assert ranking(hits) == pytest.approx({hit.id: hit.score for hit in expected.hits}, abs=1e-5)
    bad = two.http[0].call("POST", f"{WRITTEN}/_search", clause(overrides={"compose": [{}]}), status=[400])
    assert "compose[0]: give 'text' or 'image'" in json.dumps(bad)


def test_ranked_pages_collapse_to_documents(two: Two, running: Running) -> None:
    collapse = {"field": "document_id", "inner_hits": {"name": "pages", "size": 3}}
    plain = two.http[0].hits(WRITTEN, {**clause(k=20), "size": 20})
    groups = two.http[0].hits(WRITTEN, {**clause(k=20), "size": 20, "collapse": collapse})
    assert ranking(groups) == pytest.approx(ranking(plain))
    for group in groups:
        [page] = group["inner_hits"]["pages"]["hits"]["hits"]
        assert page["_id"] == group["fields"]["document_id"][0]
        assert page["_score"] == pytest.approx(group["_score"])


def test_another_models_fingerprint_is_refused_at_ingest_and_search(two: Two, running: Running) -> None:
    http = two.http[0]
    other = tiny_index.body(plugin=True)
    other["mappings"]["_meta"]["multimodal"]["fields"]["dense"]["fingerprint"] = "0" * 64
    http.call("PUT", "t-other", other)
    reason = http.refused("PUT", "t-other/_doc/1?pipeline=multimodal_encode", {"text": "alpha", "title": ""})
    assert tiny_index.DENSE in reason
    assert http.call("GET", "t-other/_count")["count"] == 0
    answer = http.call("POST", "t-other/_search", clause(profile="dense"), status=[409])
    assert tiny_index.DENSE in json.dumps(answer)


def test_late_interaction_crosses_nodes(two: Two, running: Running) -> None:
    stored = tiny_index.stored(Cluster(two.nodes[0].url), WRITTEN)
    vectors = stored["r7"]["multi_vector"]
    query = {"late_interaction": {"field": "multi_vector", "query_vectors": vectors}}
    one, other = (http.hits(WRITTEN, {"query": query, "size": 50}) for http in two.http)
    assert ranking(one) == pytest.approx(ranking(other))
    rows = {key: wire.unpack(base64.b64decode(record["multi_vector"])) for key, record in stored.items()}
    exact = dict(zip(rows, maxsim(rows["r7"], list(rows.values())).tolist(), strict=True))
    assert ranking(one) == pytest.approx({key: exact[key] for key in ranking(one)}, rel=1e-4)
    assert one[0]["_score"] == pytest.approx(max(exact.values()), rel=1e-4)


def test_nothing_is_lost_while_service_and_a_node_come_and_go(two: Two, running: Running) -> None:
    """Runs last: it stops the service, starts it anew, and stops a node."""
    assert running.stop() == 0
    first, second = two.http
    down = first.call("POST", f"{ENCODED}/_search", clause(), status=[503])
    assert "service" in json.dumps(down)
    degraded = first.call("POST", f"{ENCODED}/_search", clause(on_failure="bm25"))
    assert degraded["hits"]["hits"]
    first.call("PUT", "_cluster/settings", {"transient": {"multimodal.service.max_retry_time": "1s"}})
    first.call("PUT", f"{ENCODED}/_doc/new", {"text": "alpha", "title": ""}, status=[503])
    assert first.call("GET", f"{ENCODED}/_doc/new", status=[404])["found"] is False
    with two.serve():
        first.call("PUT", f"{ENCODED}/_doc/new?refresh=true", {"text": "alpha", "title": ""})
        assert VECTORS[0] in first.call("GET", f"{ENCODED}/_doc/new")["_source"]
        before = ranking(second.hits(ENCODED, {**clause(k=30, profile="dense"), "size": 30}))
        first.call("GET", "_cluster/health?wait_for_status=green&timeout=60s")
        two.nodes[1].stop()
        after = ranking(first.hits(ENCODED, {**clause(k=30, profile="dense"), "size": 30}))
        assert after == pytest.approx(before)


def test_a_query_that_cannot_be_encoded_comes_degraded(
    two: Two, running: Running, home: Path, tmp_path: Path
) -> None:
    """Runs last too: another service stands where the first one was."""
    if running.process.poll() is None:
        running.stop()
    broken = tmp_path / "home"
    shutil.copytree(home, broken)
    for model in (tiny_index.DENSE, tiny_index.TOKENS):
        (broken / "artifacts" / model / "model.onnx").write_bytes(b"no model")
    with two.serve(OSMM_HOME=str(broken)) as service:
        url = f"{two.nodes[0].url}/{ENCODED}/_search"
        assert httpx.post(url, json=clause(profile="dense"), timeout=60).status_code == 502
        answer = httpx.post(url, json=clause(profile="dense", on_failure="bm25"), timeout=60)
        assert answer.status_code == 200
        assert answer.headers["warning"].startswith("299 ")
        assert "answered with less than its profile: bm25" in answer.headers["warning"]
        assert answer.json()["hits"]["hits"]
        metrics = service.client.get("/metrics", headers={"X-Multimodal-Token": TOKEN}).text
        assert "osmm_degraded_total 1.0" in metrics
