"""The query late_interaction on the real server: the same scores as NumPy, everywhere a query can stand."""

from __future__ import annotations

import base64
import itertools
import threading
import time
from typing import Any

import numpy as np
import pytest
from plugin import Http, score_bound, unit_rows

from opensearch_multimodal import wire
from opensearch_multimodal.maxsim import maxsim

DIMENSION = 24
RECORDS = 60


def base(message: bytes) -> str:
    return base64.b64encode(message).decode()


def body(shards: int, **fields: Any) -> dict[str, Any]:
    properties = {
        encoding: {"type": "multi_vector", "dimension": DIMENSION, "encoding": encoding}
        for encoding in ("float32", "int8", "bit")
    }
    return {
        "settings": {
            "index": {
                "number_of_shards": shards,
                "number_of_replicas": 0,
                "codec": "multimodal",
                "refresh_interval": -1,
            }
        },
        "mappings": {
            "properties": {
                **properties,
                "text": {"type": "text"},
                "parity": {"type": "keyword"},
                "number": {"type": "integer"},
                **fields,
            }
        },
    }


class Corpus:
    """Documents in several segments, some without vectors, some deleted; and what NumPy makes of them."""

    def __init__(self, http: Http, index: str, shards: int) -> None:
        generator = np.random.default_rng(shards)
        self.index = index
        self.vectors = {f"d{i}": unit_rows(generator, 1 + i % 70, DIMENSION) for i in range(RECORDS)}
        self.query = unit_rows(generator, 6, DIMENSION)
        http.call("PUT", index, body(shards))
        documents: dict[str, dict[str, Any]] = {}
        for i, (key, rows) in enumerate(self.vectors.items()):
            documents[key] = {
                **{e: base(wire.pack(rows, e)) for e in ("float32", "int8", "bit")},
                "text": "common " + ("rare " * (i % 3)),
                "parity": "odd" if i % 2 else "even",
                "number": i,
            }
        for i in range(5):
            documents[f"without{i}"] = {"text": "common", "parity": "odd", "number": 100 + i}
        keys = list(documents)
        for start in range(3):
            http.bulk(index, {key: documents[key] for key in keys[start::3]})
        for key in ("d7", "d8"):
            http.call("DELETE", f"{index}/_doc/{key}?refresh=true")
            del self.vectors[key]

    def expected(self, encoding: Any = "int8") -> dict[str, float]:
        decoded = [wire.unpack(wire.pack(rows, encoding)) for rows in self.vectors.values()]
        return dict(zip(self.vectors, maxsim(self.query, decoded).tolist(), strict=True))

    def clause(self, field: str = "int8", **more: Any) -> dict[str, Any]:
        vectors = base(wire.pack(self.query, "float32"))
        return {"late_interaction": {"field": field, "query_vectors": vectors, **more}}


@pytest.fixture(params=[1, 3], ids=["1 shard", "3 shards"])
def corpus(http: Http, request: pytest.FixtureRequest) -> Corpus:
    return Corpus(http, "t-late", request.param)


@pytest.fixture
def one(http: Http) -> Corpus:
    return Corpus(http, "t-late", 1)


def approximately(expected: dict[str, float]) -> Any:
    return pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("encoding", ["float32", "int8", "bit"])
def test_scores_and_order_are_those_of_numpy(http: Http, corpus: Corpus, encoding: str) -> None:
    hits = http.hits(corpus.index, {"query": corpus.clause(encoding), "size": 100})
    expected = corpus.expected(encoding)
    found = {hit["_id"]: hit["_score"] for hit in hits}
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5 + score_bound(corpus.query, encoding))
    assert [hit["_score"] for hit in hits] == sorted((hit["_score"] for hit in hits), reverse=True)
    top = http.hits(corpus.index, {"query": corpus.clause(encoding), "size": 5})
    assert [hit["_id"] for hit in top] == [hit["_id"] for hit in hits[:5]]


def test_explain_says_that_scores_against_bits_are_about_the_sum(http: Http, one: Corpus) -> None:
    answer = http.call("POST", f"{one.index}/_explain/d9", {"query": one.clause("bit")})
    explanation = answer["explanation"]
    assert "quantised against bits" in explanation["description"]
    parts = sum(part["value"] for part in explanation["details"])
    assert parts == pytest.approx(one.expected("bit")["d9"], rel=1e-4)
    assert explanation["value"] == pytest.approx(parts, abs=score_bound(one.query, "bit"))


def test_every_form_of_the_query_vectors_and_boost(http: Http, one: Corpus) -> None:
    expected = one.expected()
    arrays = one.clause(query_vectors=one.query.astype(float).tolist())
    assert http.scores(one.index, {"query": arrays, "size": 100}) == approximately(expected)
    quantised = one.clause(query_vectors=base(wire.pack(one.query, "int8")))
    query = wire.unpack(wire.pack(one.query, "int8"))
    rows = [wire.unpack(wire.pack(v, "int8")) for v in one.vectors.values()]
    assert http.scores(one.index, {"query": quantised, "size": 100}) == approximately(
        dict(zip(one.vectors, maxsim(query, rows).tolist(), strict=True))
    )
    boosted = http.hits(one.index, {"query": one.clause(boost=2.5, _name="mine"), "size": 100})
    assert {h["_id"]: h["_score"] for h in boosted} == approximately(
        {k: 2.5 * v for k, v in expected.items()}
    )
    assert boosted[0]["matched_queries"] == ["mine"]


def test_inner_query_filters_bool_function_score_and_aggregations(http: Http, corpus: Corpus) -> None:
    odd = {"term": {"parity": "odd"}}
    all_scores = corpus.expected()
    expected = {k: v for k, v in all_scores.items() if int(k[1:]) % 2}
    inner = {"query": corpus.clause(query=odd), "size": 100}
    assert http.scores(corpus.index, inner) == approximately(expected)
    outer = {"query": {"bool": {"must": corpus.clause(), "filter": odd}}, "size": 100}
    assert http.scores(corpus.index, outer) == approximately(expected)
    only = {"query": {"bool": {"filter": [corpus.clause(), odd]}}, "size": 100, "track_total_hits": True}
    assert set(http.scores(corpus.index, only)) == set(expected)
    both = {"bool": {"must": [corpus.clause(), {"constant_score": {"filter": odd, "boost": 3}}]}}
    assert http.scores(corpus.index, {"query": both, "size": 100}) == approximately(
        {k: v + 3 for k, v in expected.items()}
    )
    function = {"function_score": {"query": corpus.clause(), "weight": 2}}
    assert http.scores(corpus.index, {"query": function, "size": 100}) == approximately(
        {k: 2 * v for k, v in all_scores.items()}
    )
    none = {"query": corpus.clause(query={"match_none": {}})}
    assert http.scores(corpus.index, none) == {}
    answer = http.call(
        "POST",
        f"{corpus.index}/_search",
        {"query": corpus.clause(), "size": 0, "aggs": {"p": {"terms": {"field": "parity"}}}},
    )
    counts = {b["key"]: b["doc_count"] for b in answer["aggregations"]["p"]["buckets"]}
    assert counts == {"odd": len(expected), "even": len(all_scores) - len(expected)}
    assert http.call("POST", f"{corpus.index}/_count", {"query": corpus.clause()})["count"] == len(all_scores)


def test_rescoring_keeps_documents_without_vectors(http: Http, corpus: Corpus) -> None:
    first = {"constant_score": {"filter": {"match_all": {}}, "boost": 0.125}}
    rescore = {
        "window_size": 100,
        "query": {"rescore_query": corpus.clause(), "query_weight": 0, "rescore_query_weight": 1},
    }
    scores = http.scores(corpus.index, {"query": first, "rescore": rescore, "size": 100})
    assert {key: score for key, score in scores.items() if key in corpus.vectors} == approximately(
        corpus.expected()
    )
    assert {key for key in scores if key not in corpus.vectors} == {f"without{i}" for i in range(5)}


def test_a_filtered_alias_and_several_indices(http: Http, one: Corpus) -> None:
    action = {"index": one.index, "alias": "t-alias", "filter": {"term": {"parity": "even"}}}
    http.call("POST", "_aliases", {"actions": [{"add": action}]})
    expected = {key: score for key, score in one.expected().items() if int(key[1:]) % 2 == 0}
    assert http.scores("t-alias", {"query": one.clause(), "size": 100}) == approximately(expected)
    http.call("PUT", "t-other", {"mappings": {"properties": {"text": {"type": "text"}}}})
    http.bulk("t-other", {"x": {"text": "common"}})
    both = http.scores(f"{one.index},t-other", {"query": one.clause(), "size": 100})
    assert both == approximately(one.expected())  # an index without the field has no matches


def test_nested_multi_vectors(http: Http) -> None:
    vector = {"type": "multi_vector", "dimension": DIMENSION}
    http.call("PUT", "t-nested", body(1, pages={"type": "nested", "properties": {"mv": vector}}))
    generator = np.random.default_rng(4)
    pages = {f"d{i}": [unit_rows(generator, 5, DIMENSION) for _ in range(1 + i % 3)] for i in range(9)}
    http.bulk(
        "t-nested",
        {key: {"pages": [{"mv": base(wire.pack(rows))} for rows in made]} for key, made in pages.items()},
    )
    query = unit_rows(generator, 3, DIMENSION)
    clause = {"late_interaction": {"field": "pages.mv", "query_vectors": base(wire.pack(query, "float32"))}}
    nested = {"nested": {"path": "pages", "query": clause, "score_mode": "max", "inner_hits": {"size": 3}}}
    hits = http.hits("t-nested", {"query": nested, "size": 20, "_source": False})
    assert len(hits) == len(pages)
    for hit in hits:
        expected = maxsim(query, [wire.unpack(wire.pack(rows)) for rows in pages[hit["_id"]]])
        assert hit["_score"] == pytest.approx(float(expected.max()), rel=1e-4)
        inner = [one["_score"] for one in hit["inner_hits"]["pages"]["hits"]["hits"]]
        assert inner == pytest.approx(sorted(expected.tolist(), reverse=True), rel=1e-4)


def test_explain_names_the_best_vector_of_each_query_vector(http: Http, one: Corpus) -> None:
    query = one.clause(boost=2)
    (hit, *_) = http.hits(one.index, {"query": query, "explain": True})
    assert hit["_explanation"]["value"] == pytest.approx(hit["_score"])
    explained = http.call("POST", f"{one.index}/_explain/{hit['_id']}", {"query": query})
    assert explained["matched"]
    factor, total = explained["explanation"]["details"]
    assert (factor["value"], total["description"][:16]) == (2.0, "MaxSim of [int8]")
    rows = wire.unpack(wire.pack(one.vectors[hit["_id"]], "int8"))
    similarities = one.query @ rows.T
    for token, detail in enumerate(total["details"]):
        assert detail["value"] == pytest.approx(float(similarities[token].max()), rel=1e-4)
        best = int(similarities[token].argmax())
        assert detail["description"].startswith(f"query vector {token}: ")
        assert detail["description"].endswith(f"with vector {best}")
    misses = [
        ("without1", {"match_all": {}}, "has no [int8]"),
        ("d1", {"term": {"parity": "even"}}, "inner query"),
    ]
    for key, inner, reason in misses:
        missed = http.call("POST", f"{one.index}/_explain/{key}", {"query": one.clause(query=inner)})
        assert not missed["matched"]
        assert reason in str(missed["explanation"])


def test_profile_and_concurrent_segment_search(http: Http, corpus: Corpus) -> None:
    for mode in ("none", "all"):
        settings = {"persistent": {"search.concurrent_segment_search.mode": mode}}
        http.call("PUT", "_cluster/settings", settings)
        try:
            search = {"query": corpus.clause(), "size": 100, "profile": True}
            answer = http.call("POST", f"{corpus.index}/_search", search)
        finally:
            http.call(
                "PUT", "_cluster/settings", {"persistent": {"search.concurrent_segment_search.mode": None}}
            )
        types = [s["searches"][0]["query"][0]["type"] for s in answer["profile"]["shards"]]
        assert set(types) == {"LateInteractionQuery"}
        found = {hit["_id"]: hit["_score"] for hit in answer["hits"]["hits"]}
        assert found == approximately(corpus.expected())


def test_negative_scores_keep_their_order(http: Http) -> None:
    vector = {"type": "multi_vector", "dimension": 2, "encoding": "float32"}
    http.call("PUT", "t-negative", body(1, v=vector))
    http.bulk("t-negative", {"worse": {"v": [[-1, 0]]}, "bad": {"v": [[-0.5, 0]]}, "good": {"v": [[1, 0]]}})
    hits = http.hits("t-negative", {"query": {"late_interaction": {"field": "v", "query_vectors": [[1, 0]]}}})
    assert [(hit["_id"], hit["_score"]) for hit in hits] == [("good", 1.0), ("bad", -0.5), ("worse", -1.0)]


WIDE = base(wire.pack(np.ones((129, 4096)), "bit"))


@pytest.mark.parametrize(
    ("clause", "reason"),
    [
        ({"field": "int8", "query_vectors": [[1, 2]]}, "dimension 2, but field [int8] has 24"),
        ({"field": "text", "query_vectors": [[1]]}, "but [text] is of type [text]"),
        ({"query_vectors": [[1]]}, "requires [field] and [query_vectors]"),
        ({"field": "int8"}, "requires [field] and [query_vectors]"),
        ({"field": "int8", "query_vectors": []}, "[query_vectors]: multi-vector: an empty array"),
        ({"field": "int8", "query_vectors": [[1], [1, 2]]}, "row 1 has 2 components, row 0 has 1"),
        ({"field": "int8", "query_vectors": [[1, "x"]]}, "component (0, 1) is a string"),
        ({"field": "int8", "query_vectors": "AAAA"}, "[query_vectors]: multi-vector: 3 bytes"),
        ({"field": "int8", "query_vectors": 7}, "[query_vectors]"),
        ({"field": "int8", "query_vectors": WIDE}, "528384 components, a query can have at most 524288"),
        ({"field": "int8", "query_vectors": [[1]], "space": "l2"}, "unknown field [space]"),
    ],
    ids=itertools.count(),
)
def test_queries_are_refused(http: Http, clause: dict[str, Any], reason: str) -> None:
    http.call("PUT", "t-refuse", body(1))
    assert reason in http.refused("POST", "t-refuse/_search", {"query": {"late_interaction": clause}})


@pytest.fixture
def slow(http: Http) -> dict[str, Any]:
    """Return a search that takes long: few documents, each of many vectors, and as many in the query."""
    vector = {"type": "multi_vector", "dimension": 128, "encoding": "bit"}
    http.call("PUT", "t-slow", body(1, v=vector))
    generator = np.random.default_rng(2)
    message = base(wire.pack(unit_rows(generator, 1000, 128), "bit"))
    for start in range(0, 1600, 400):
        http.bulk("t-slow", {f"d{i}": {"v": message} for i in range(start, start + 400)})
    query = base(wire.pack(unit_rows(generator, 4096, 128), "bit"))
    return {"query": {"late_interaction": {"field": "v", "query_vectors": query}}}


def test_a_time_limit_is_kept(http: Http, slow: dict[str, Any]) -> None:
    start = time.monotonic()
    answer = http.call("POST", "t-slow/_search", {**slow, "timeout": "300ms"})
    assert answer["timed_out"]
    assert time.monotonic() - start < 5


def test_a_cancelled_search_stops(http: Http, slow: dict[str, Any]) -> None:
    answers: list[Any] = []

    def search() -> None:
        other = Http(http.url)
        answers.append(other.call("POST", "t-slow/_search", slow, status=[200, 400, 500, 503]))

    thread = threading.Thread(target=search)
    thread.start()
    deadline = time.monotonic() + 20
    running: list[str] = []
    while not running and time.monotonic() < deadline:
        nodes = http.call("GET", "_tasks?actions=indices:data/read/search")["nodes"]
        running = [task for node in nodes.values() for task in node["tasks"]]
    assert running
    time.sleep(0.3)
    start = time.monotonic()
    http.call("POST", f"_tasks/{running[0]}/_cancel")
    thread.join(20)
    assert time.monotonic() - start < 3
    assert "cancelled" in str(answers[0])
