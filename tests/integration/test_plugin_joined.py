"""With and without the server plugin: the index that is made, and the same ranking either way."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_index
from click.testing import CliRunner
from plugin import score_bound

from opensearch_multimodal import wire
from opensearch_multimodal.cli import main
from opensearch_multimodal.client import Cluster
from opensearch_multimodal.encoder import load
from opensearch_multimodal.mappings import PLUGIN, IndexDescription
from opensearch_multimodal.models import load_spec
from opensearch_multimodal.search import Searcher
from opensearch_multimodal.server import EmbeddedServer

pytestmark = pytest.mark.usefixtures("home")

RECORDS = 150
QUERIES = ("alpha beta", "gamma", "beta gamma query", "passage query alpha alpha")


PROFILES = ("bm25", "dense", "late_interaction", "hybrid", "gqr")


@pytest.fixture(scope="module")
def stock() -> Iterator[EmbeddedServer]:
    """A server that has everything but the plugin."""
    data = Path(tempfile.mkdtemp(prefix="osmm-test-"))
    data.chmod(0o755)
    try:
        with EmbeddedServer(data, heap="512m", plugin=False) as running:
            yield running
    finally:
        shutil.rmtree(data, ignore_errors=True)


@pytest.fixture(scope="module")
def searchers(
    server: EmbeddedServer, stock: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Searcher]]:
    """The same records: on a stock server, and in the plugin's fields on 1 and on 3 shards."""
    files = tmp_path_factory.mktemp("files")
    tiny_index.write_jsonl(files / "corpus.jsonl", RECORDS)
    made: dict[str, Searcher] = {}
    created: list[tuple[Cluster, str]] = []
    for way, url, options in (
        ("stock", stock.url, {}),
        ("plugin", server.url, {"plugin": True}),
        ("plugin, 3 shards", server.url, {"plugin": True, "shards": 3}),
    ):
        cluster = Cluster(url)
        name = f"joined-{uuid.uuid4().hex[:8]}"
        index = tiny_index.create(cluster, name, **options)
        created.append((cluster, name))
        write(cluster, index, files)
        made[way] = Searcher(cluster, name)
    yield made
    for cluster, name in created:
        cluster.delete_index(name)


def write(cluster: Cluster, index: IndexDescription, folder: Path) -> None:
    """Ingest the files of a folder."""
    report = tiny_index.ingest_files(cluster, index, folder)
    assert report.complete


def scores(searcher: Searcher, query: str, **options: Any) -> dict[str, float]:
    result = searcher.search(query, k=RECORDS, **options)
    return {hit.id: hit.score for hit in result.hits}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("query", QUERIES)
def test_both_ways_rank_alike(searchers: dict[str, Searcher], query: str, profile: str) -> None:
    overrides = {"refine": {"depth": RECORDS}} if profile == "gqr" else {}
    by_client = scores(searchers["stock"], query, profile=profile, overrides=overrides)
    for way in ("plugin", "plugin, 3 shards"):
        in_cluster = scores(searchers[way], query, profile=profile, overrides=overrides)
        assert in_cluster.keys() == by_client.keys()
        assert list(in_cluster.values()) == sorted(in_cluster.values(), reverse=True)
        for key, score in by_client.items():
            assert in_cluster[key] == pytest.approx(score, abs=1e-4)


def test_refining_the_multi_vector_fetches_the_same_vectors(searchers: dict[str, Searcher]) -> None:
    overrides = {"refine": {"primary": "multi_vector", "complementary": ["dense"], "depth": RECORDS}}
    by_client = scores(searchers["stock"], "alpha beta", profile="gqr", overrides=overrides)
    in_cluster = scores(searchers["plugin"], "alpha beta", profile="gqr", overrides=overrides)
    assert in_cluster == pytest.approx(by_client, abs=1e-4)


def test_the_plugin_gives_back_the_bytes_that_the_client_packed(searchers: dict[str, Searcher]) -> None:
    stored = {
        way: tiny_index.stored(searchers[way]._cluster, searchers[way].index.name)
        for way in ("stock", "plugin")
    }
    assert stored["plugin"].keys() == stored["stock"].keys()
    for key, record in stored["stock"].items():
        assert stored["plugin"][key]["multi_vector"] == record["multi_vector"]


def test_a_partial_update_keeps_every_vector(searchers: dict[str, Searcher]) -> None:
    searcher = searchers["plugin"]
    cluster, name = searcher._cluster, searcher.index.name
    before = cluster.call("GET", f"/{name}/_doc/r7")["_source"]
    cluster.call("POST", f"/{name}/_update/r7", {"doc": {"metadata": {"checked": "yes"}}})
    after = cluster.call("GET", f"/{name}/_doc/r7")["_source"]
    assert after.pop("metadata")["checked"] == "yes"
    before.pop("metadata")
    assert after == before


def test_a_reindex_brings_vectors_to_an_index_that_needs_no_plugin(
    server: EmbeddedServer, searchers: dict[str, Searcher]
) -> None:
    cluster, old = Cluster(server.url), searchers["plugin"].index.name
    new = f"joined-{uuid.uuid4().hex[:8]}"
    index = tiny_index.create(cluster, new, plugin=False)
    assert index.properties["multi_vector"]["type"] == "binary"
    cluster.refresh(old)  # a reindex copies what can be found
    cluster.call(
        "POST", "/_reindex", {"source": {"index": old}, "dest": {"index": new}}, params={"refresh": "true"}
    )
    before, after = tiny_index.stored(cluster, old), tiny_index.stored(cluster, new)
    assert after == before
    expected = scores(searchers["plugin"], "alpha beta", profile="late_interaction")
    found = scores(Searcher(cluster, new), "alpha beta", profile="late_interaction")
    assert found == pytest.approx(expected, abs=1e-4)
    cluster.delete_index(new)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("order", ["stock first", "plugin first"])
def test_one_name_over_both_kinds_of_index(
    server: EmbeddedServer, tmp_path: Path, order: str, profile: str
) -> None:
    """As while an alias or a pattern covers the old index and the new one."""
    cluster, stem = Cluster(server.url), f"joined-{uuid.uuid4().hex[:8]}"
    lines = [json.dumps({"_id": f"r{i}", "title": "", "text": t}) for i, t in enumerate(tiny_index.texts(40))]
    for kind, plugin in (("a", order == "plugin first"), ("b", order == "stock first")):
        index = tiny_index.create(cluster, f"{stem}-{kind}", plugin=plugin)
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "corpus.jsonl").write_text("\n".join(lines))
        write(cluster, index, tmp_path / kind)
    result = Searcher(cluster, f"{stem}-*").search("alpha beta", profile=profile, k=80)
    by_id: dict[str, list[float]] = {}
    for hit in result.hits:
        by_id.setdefault(hit.id, []).append(hit.score)
    if profile not in ("bm25", "hybrid"):  # whose statistics are those of an index
        assert result.hits
        assert {len(found) for found in by_id.values()} == {2}
    for found in by_id.values():
        assert max(found) - min(found) <= 1e-4
    for kind in "ab":
        cluster.delete_index(f"{stem}-{kind}")


@pytest.mark.parametrize("encoding", ["float32", "bit"])
def test_other_encodings_score_as_the_wire_format_says(
    server: EmbeddedServer, tmp_path: Path, encoding: str
) -> None:
    cluster, name = Cluster(server.url), f"joined-{uuid.uuid4().hex[:8]}"
    index = tiny_index.create(cluster, name, plugin=True, encoding=encoding)
    assert index.properties["multi_vector"]["encoding"] == encoding
    tiny_index.write_jsonl(tmp_path / "corpus.jsonl", 40)
    write(cluster, index, tmp_path)
    (query,) = load(load_spec(tiny_index.TOKENS)).encode_queries(["alpha beta"])
    found = scores(Searcher(cluster, name), "alpha beta", profile="late_interaction")
    for key, record in tiny_index.stored(cluster, name).items():
        rows = wire.unpack(base64.b64decode(record["multi_vector"]))
        assert found[key] == pytest.approx(
            float((query @ rows.T).max(axis=1).sum()), abs=1e-4 + score_bound(query, encoding)
        )
    cluster.delete_index(name)


def test_create_uses_the_plugin_where_it_is(server: EmbeddedServer, stock: EmbeddedServer) -> None:
    kinds = {}
    for way, url, options in (
        ("plugin", server.url, []),
        ("declined", server.url, ["--stock"]),
        ("stock", stock.url, []),
    ):
        cluster, name = Cluster(url), f"joined-{uuid.uuid4().hex[:8]}"
        models = ["--model", f"dense={tiny_index.DENSE}", "--model", f"multi_vector={tiny_index.TOKENS}"]
        result = CliRunner().invoke(main, ["index", "create", name, "--url", url, *models, *options])
        assert result.exit_code == 0, result.stderr
        found = cluster.get_index(name)[name]
        kinds[way] = (
            found["mappings"]["properties"]["multi_vector"]["type"],
            found["settings"]["index"].get("codec"),
        )
        cluster.delete_index(name)
    assert kinds == {
        "plugin": ("multi_vector", "multimodal"),
        "declined": ("binary", None),
        "stock": ("binary", None),
    }


def test_a_cluster_says_which_plugins_it_has(server: EmbeddedServer, stock: EmbeddedServer) -> None:
    assert Cluster(server.url).has_plugin(PLUGIN)
    assert not Cluster(stock.url).has_plugin(PLUGIN)
    assert Cluster(stock.url).has_plugin("opensearch-knn")
