"""The field type multi_vector on the real server: what it takes, keeps, gives back and refuses."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import numpy as np
import pytest
from plugin import Http, unit_rows

from opensearch_multimodal import wire

ENCODINGS = ("float32", "int8", "bit")


def base(message: bytes) -> str:
    return base64.b64encode(message).decode()


def rows(seed: int, count: int = 5, dimension: int = 8) -> Any:
    return unit_rows(np.random.default_rng(seed), count, dimension)


def body(shards: int = 1, codec: str = "multimodal", **fields: Any) -> dict[str, Any]:
    return {
        "settings": {
            "index": {
                "number_of_shards": shards,
                "number_of_replicas": 0,
                "codec": codec,
                "refresh_interval": -1,
                "merge.policy.segments_per_tier": 50,
                "knn": True,
            }
        },
        "mappings": {
            "properties": {
                "text": {"type": "text"},
                "dense": {
                    "type": "knn_vector",
                    "dimension": 4,
                    "method": {"name": "hnsw", "engine": "lucene"},
                },
                "mv": {"type": "multi_vector", "dimension": 8, "encoding": "int8"},
                **fields,
            }
        },
    }


def stored(http: Http, index: str, key: str, field: str = "mv") -> bytes:
    """Return what the doc values of a document hold, as raw bytes."""
    (hit,) = http.hits(
        index,
        {"query": {"ids": {"values": [key]}}, "_source": False, "docvalue_fields": [field]},
        cbor=True,
    )
    (value,) = hit["fields"][field]
    assert isinstance(value, bytes)
    return value


def source(http: Http, index: str, key: str) -> dict[str, Any]:
    document: dict[str, Any] = http.call("GET", f"{index}/_doc/{key}")["_source"]
    return document


def test_the_mapping_is_complete_and_fixed(http: Http) -> None:
    http.call("PUT", "t-map", body(a={"type": "multi_vector", "dimension": 4096}))
    properties = http.call("GET", "t-map/_mapping")["t-map"]["mappings"]["properties"]
    assert properties["mv"] == {"type": "multi_vector", "dimension": 8, "encoding": "int8"}
    assert properties["a"] == {"type": "multi_vector", "dimension": 4096, "encoding": "int8"}

    def update(**parameters: Any) -> dict[str, Any]:
        return {"properties": {"mv": {"type": "multi_vector", **parameters}}}

    http.call("PUT", "t-map/_mapping", update(dimension=8, encoding="int8"))
    http.call("PUT", "t-map/_mapping", update(dimension=8, meta={"model": "tiny"}))
    assert "Cannot update parameter [dimension] from [8] to [9]" in http.refused(
        "PUT", "t-map/_mapping", update(dimension=9)
    )
    assert "Cannot update parameter [encoding] from [int8] to [bit]" in http.refused(
        "PUT", "t-map/_mapping", update(dimension=8, encoding="bit")
    )
    assert "cannot be changed from type" in http.refused(
        "PUT", "t-map/_mapping", {"properties": {"mv": {"type": "binary"}}}
    )


@pytest.mark.parametrize(
    ("mapping", "reason"),
    [
        ({}, "[dimension] on mapper [v] of type [multi_vector] is required and must be 1–4096"),
        ({"dimension": 0}, "must be 1–4096"),
        ({"dimension": 4097}, "must be 1–4096, it is 4097"),
        ({"dimension": 2.5}, "[dimension] on mapper [v] is no whole number: [2.5]"),
        ({"dimension": 8, "encoding": "float16"}, "is [float16], it can be one of [float32, int8, bit]"),
        ({"dimension": 8, "encoding": 7}, "is [7], it can be one of"),
        ({"dimension": 8, "similarity": "cosine"}, "unknown parameter [similarity]"),
        ({"dimension": 8, "store": True}, "unknown parameter [store]"),
        ({"dimension": 8, "doc_values": False}, "unknown parameter [doc_values]"),
        ({"dimension": 8, "copy_to": "text"}, "unknown parameter [copy_to]"),
        ({"dimension": 8, "fields": {"k": {"type": "keyword"}}}, "unknown parameter [fields]"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_mappings_are_refused(http: Http, mapping: dict[str, Any], reason: str) -> None:
    assert reason in http.refused("PUT", "t-bad", body(v={"type": "multi_vector", **mapping}))


def test_places_that_cannot_hold_one_value_are_refused(http: Http) -> None:
    inner = {"type": "multi_vector", "dimension": 8}
    for option in ("include_in_parent", "include_in_root"):
        nested = {"type": "nested", option: True, "properties": {"v": inner}}
        assert "[n.v] of type [multi_vector] cannot be in [n]" in http.refused("PUT", "t-bad", body(n=nested))
    below = {"type": "keyword", "fields": {"v": inner}}
    assert "cannot be a field of a field" in http.refused("PUT", "t-bad", body(k=below))


@pytest.mark.parametrize("codec", ["multimodal", "default"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_way_to_write_it_gives_the_same_bytes_as_python(http: Http, encoding: Any, codec: str) -> None:
    http.call(
        "PUT", "t-ways", body(codec=codec, v={"type": "multi_vector", "dimension": 13, "encoding": encoding})
    )
    vectors = rows(3, 70, 13)
    half = wire.unpack(wire.pack(vectors, "float16"))
    documents = {
        "arrays": vectors.astype(float).tolist(),
        "float32": base(wire.pack(vectors, "float32")),
        "same": base(wire.pack(vectors, encoding)),
        "float16": base(wire.pack(vectors, "float16")),
    }
    http.bulk("t-ways", {key: {"v": value} for key, value in documents.items()})
    for key in ("arrays", "float32", "same"):
        assert stored(http, "t-ways", key, "v") == wire.pack(vectors, encoding), key
    assert stored(http, "t-ways", "float16", "v") == wire.pack(half, encoding)
    (hit,) = http.hits(
        "t-ways", {"query": {"ids": {"values": ["arrays"]}}, "docvalue_fields": ["v"], "fields": ["v"]}
    )
    assert hit["fields"]["v"] == [base(wire.pack(vectors, encoding))]


def test_null_is_absent_and_exists_finds_the_rest(http: Http) -> None:
    http.call("PUT", "t-null", body())
    message = base(wire.pack(rows(1)))
    http.bulk("t-null", {"with": {"mv": message}, "null": {"mv": None}, "without": {"text": "x"}})
    assert list(http.scores("t-null", {"query": {"exists": {"field": "mv"}}})) == ["with"]
    hits = http.hits("t-null", {"docvalue_fields": ["mv"], "sort": "_doc"})
    assert [("mv" in hit.get("fields", {})) for hit in hits] == [True, False, False]
    assert source(http, "t-null", "null") == {"mv": None}
    assert source(http, "t-null", "with") == {"mv": message}


SECRET = "c2VjcmV0c2VjcmV0"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (base(wire.pack(np.ones((2, 9)))), "dimension 9, but the field has 8"),
        ([[1.0] * 9], "dimension 9, but the field has 8"),
        ([], "an empty array"),
        ([[1.0] * 8, [1.0] * 7], "row 1 has 7 components, row 0 has 8"),
        ([[1.0] * 7 + [1e300]], "component (0, 7) is inf"),
        ([[1.0] * 7 + [SECRET]], "component (0, 7) is a string"),
        ([[1.0] * 7 + [None]], "component (0, 7) is null"),
        (base(wire.pack(np.ones((2, 8)))[:-1]), "35 bytes"),
        (base(wire.pack(np.ones((2, 8))) + b"x"), "37 bytes"),
        (base(b"MW" + wire.pack(np.ones((2, 8)))[2:]), "starts with bytes 4D 57"),
        (SECRET, "12 bytes, but"),
        (SECRET + "!", "that is not base64"),
        (7, "got a number"),
        ({"a": SECRET}, "got an object"),
        (True, "got a boolean"),
        ("", "0 bytes"),
    ],
    ids=itertools.count(),
)
def test_documents_are_refused_without_their_content(http: Http, value: Any, reason: str) -> None:
    made = body()
    made["settings"]["index.mapping.ignore_malformed"] = True
    http.call("PUT", "t-refuse", made)
    if value == SECRET:
        reason = "starts with bytes 73 65"  # "secret": no header
    answer = http.refused("PUT", "t-refuse/_doc/1", {"text": "beside it", "mv": value})
    assert "[mv] of type [multi_vector]" in answer
    assert reason in answer
    assert SECRET not in answer
    assert "beside it" not in answer


def test_a_second_value_and_a_zero_vector_of_bits_are_refused(http: Http) -> None:
    fields = {"b": {"type": "multi_vector", "dimension": 2, "encoding": "bit"}}
    http.call(
        "PUT", "t-two", body(o={"properties": {"mv": {"type": "multi_vector", "dimension": 8}}}, **fields)
    )
    message = base(wire.pack(rows(1)))
    answer = http.refused("PUT", "t-two/_doc/1", {"o": [{"mv": message}, {"mv": message}]})
    assert "[o.mv] of type [multi_vector]: multi-vector: more than one value" in answer
    zero = [[1.0, 0.0], [0.0, 0.0]]
    assert "row 1 is a zero vector" in http.refused("PUT", "t-two/_doc/1", {"b": zero})
    http.call("PUT", "t-two/_doc/1", {"mv": [[0.0] * 8]})  # a zero vector elsewhere scores 0, no harm


@pytest.mark.parametrize(
    ("search", "reason"),
    [
        ({"query": {"term": {"mv": "x"}}}, "use a [late_interaction] or [exists] query"),
        ({"query": {"match": {"mv": "x"}}}, "use a [late_interaction] or [exists] query"),
        ({"query": {"range": {"mv": {"gt": 1}}}}, "does not support range queries"),
        ({"sort": "mv"}, "doesn't support sorting"),
        ({"aggs": {"a": {"terms": {"field": "mv"}}}}, "doesn't support aggregations"),
        ({"aggs": {"a": {"cardinality": {"field": "mv"}}}}, "doesn't support aggregations"),
        ({"docvalue_fields": [{"field": "mv", "format": "0.0"}]}, "doesn't support formats"),
        ({"script_fields": {"s": {"script": "doc['mv'].size()"}}}, "doesn't support scripts"),
    ],
    ids=itertools.count(),
)
def test_what_makes_no_sense_is_refused(http: Http, search: dict[str, Any], reason: str) -> None:
    http.call("PUT", "t-sense", body())
    http.bulk("t-sense", {"1": {"mv": base(wire.pack(rows(1)))}})
    assert reason in http.refused("POST", "t-sense/_search", search)


def segments(http: Http, index: str) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = http.call("GET", f"_cat/segments/{index}?format=json&bytes=b")
    return answer


def fill(http: Http, index: str, count: int, rounds: int = 4) -> dict[str, dict[str, Any]]:
    """Index documents in several segments; return what they were."""
    documents = {
        f"d{i}": {
            "text": f'number {i} \\ "quoted" ä',
            "mv": base(wire.pack(rows(i, 3 + i % 5))),
            "dense": [float(i), 1.0, 0.0, -1.0],
            "number": 1.50,
        }
        for i in range(count)
    }
    keys = list(documents)
    for start in range(rounds):
        http.bulk(index, {key: documents[key] for key in keys[start::rounds]})
    return documents


def check(http: Http, index: str, documents: dict[str, dict[str, Any]]) -> None:
    hits = http.hits(index, {"size": 1000})
    assert {hit["_id"]: hit["_source"] for hit in hits} == documents
    hits = http.hits(index, {"size": 1000, "docvalue_fields": ["mv"], "_source": False})
    assert {hit["_id"]: hit["fields"]["mv"] for hit in hits} == {k: [d["mv"]] for k, d in documents.items()}


@pytest.mark.parametrize("shards", [1, 3])
def test_nothing_that_moves_documents_changes_a_vector(http: Http, shards: int) -> None:
    http.call("PUT", "t-moved", body(shards))
    documents = fill(http, "t-moved", 40)
    check(http, "t-moved", documents)

    http.call("POST", "t-moved/_update/d3?refresh=true", {"doc": {"text": "new"}})
    documents["d3"]["text"] = "new"
    script = {"source": "ctx._source.text = 'all'", "lang": "painless"}
    query = {"ids": {"values": ["d4", "d5"]}}
    http.call("POST", "t-moved/_update_by_query?refresh=true", {"script": script, "query": query})
    documents["d4"]["text"] = documents["d5"]["text"] = "all"
    http.call("POST", "t-moved/_update/d6", {"doc": {"text": "once"}})
    http.call(
        "POST", "t-moved/_update/d6?refresh=true", {"doc": {"number": 2.5}}
    )  # reads what is not refreshed
    documents["d6"] |= {"text": "once", "number": 2.5}
    http.call("DELETE", "t-moved/_doc/d7?refresh=true")
    del documents["d7"]
    check(http, "t-moved", documents)

    http.call("POST", "t-moved/_forcemerge?max_num_segments=1")
    check(http, "t-moved", documents)
    http.call("POST", "t-moved/_update/d3?refresh=true", {"doc": {"text": "again"}})
    documents["d3"]["text"] = "again"
    check(http, "t-moved", documents)

    http.call("PUT", "t-copy", body(2))
    http.call("POST", "_reindex?refresh=true", {"source": {"index": "t-moved"}, "dest": {"index": "t-copy"}})
    check(http, "t-copy", documents)

    http.call("PUT", "t-moved/_settings", {"index.blocks.write": True})
    shrunk = {"settings": {"index.number_of_replicas": 0, "index.number_of_shards": 1}}
    action = "_shrink" if shards > 1 else "_clone"
    http.call("POST", f"t-moved/{action}/t-shrunk?wait_for_active_shards=1", shrunk)
    check(http, "t-shrunk", documents)
    http.call("POST", "t-shrunk/_forcemerge?max_num_segments=1", status=[200, 403])
    check(http, "t-shrunk", documents)


def test_snapshot_and_restore_keep_every_vector(http: Http, server: Any) -> None:
    http.call("PUT", "t-kept", body())
    documents = fill(http, "t-kept", 20)
    location = str(server.data / "snapshots" / "t")
    http.call("PUT", "_snapshot/t-repo", {"type": "fs", "settings": {"location": location}})
    try:
        http.call("PUT", "_snapshot/t-repo/one?wait_for_completion=true", {"indices": "t-kept"})
        restore = {"indices": "t-kept", "rename_pattern": "t-kept", "rename_replacement": "t-restored"}
        http.call("POST", "_snapshot/t-repo/one/_restore?wait_for_completion=true", restore)
        check(http, "t-restored", documents)
    finally:
        http.call("DELETE", "_snapshot/t-repo/one", status=[200, 404])
        http.call("DELETE", "_snapshot/t-repo", status=[200, 404])


def test_a_restart_of_the_shard_replays_what_was_not_flushed(http: Http) -> None:
    http.call("PUT", "t-replay", body())
    documents = fill(http, "t-replay", 8, rounds=2)
    http.call("POST", "t-replay/_close")
    http.call("POST", "t-replay/_open?wait_for_active_shards=1")
    check(http, "t-replay", documents)


def test_any_name_several_fields_objects_and_nested_objects(http: Http) -> None:
    vector = {"type": "multi_vector", "dimension": 8}
    http.call(
        "PUT",
        "t-names",
        body(
            **{
                'ein Feld: "ä" \\ / \u2603': vector,
                "o": {
                    "properties": {"p": {"properties": {"v": vector}}, "list": {"properties": {"v": vector}}}
                },
                "n": {
                    "type": "nested",
                    "properties": {"v": vector, "m": {"type": "nested", "properties": {"v": vector}}},
                },
                "off": {"type": "object", "enabled": False},
            }
        ),
    )
    made = (base(wire.pack(rows(seed, 2 + seed))) for seed in itertools.count())
    documents: dict[str, dict[str, Any]] = {
        "all": {
            "off": {"v": [[1, 2]], "mv": "kept as it is"},
            'ein Feld: "ä" \\ / \u2603': next(made),
            "o": {
                "p": {"v": next(made), "x": [{"y": "z"}, {"y": [[], ["q"]]}]},
                "list": [{"x": 1}, {"v": next(made)}, {"x": 2}],
            },
            "n": [
                {"v": next(made), "m": [{"v": next(made)}, {"x": 1}, {"v": next(made)}]},
                {"x": "no vector here"},
                {"m": {"v": next(made)}, "v": next(made)},
            ],
            "mv": next(made),
        },
        "dots": {"o.p": {"v": next(made)}, "n": {"v": next(made)}, "text": 'mv "mv": [1]'},
        "dots2": {"o.p.v": next(made), "n": []},
        "none": {"text": "nothing"},
        "one": {"mv": next(made)},
    }
    http.bulk("t-names", documents)
    http.bulk("t-names", {"more": documents["all"]})
    documents["more"] = documents["all"]
    for _ in range(2):
        hits = http.hits("t-names", {"size": 100})
        assert {hit["_id"]: hit["_source"] for hit in hits} == documents
        http.call("POST", "t-names/_forcemerge?max_num_segments=1")
    http.call("POST", "t-names/_update/all?refresh=true", {"doc": {"text": "new"}})
    assert source(http, "t-names", "all") == {**documents["all"], "text": "new"}
    inner = {"path": "n", "query": {"exists": {"field": "n.v"}}, "inner_hits": {}}
    (hit,) = http.hits(
        "t-names",
        {
            "query": {"bool": {"filter": [{"nested": inner}, {"ids": {"values": ["more"]}}]}},
            "_source": {"excludes": "n"},
        },
    )
    found = [one["_source"] for one in hit["inner_hits"]["n"]["hits"]["hits"]]
    assert found == [documents["more"]["n"][0], documents["more"]["n"][2]]


def test_source_filtering(http: Http) -> None:
    http.call("PUT", "t-filter", body(o={"properties": {"v": {"type": "multi_vector", "dimension": 8}}}))
    document = {"text": "x", "mv": base(wire.pack(rows(1))), "o": {"v": base(wire.pack(rows(2))), "w": 1}}
    http.bulk("t-filter", {"1": document})

    def get(filtering: Any) -> Any:
        return http.hits("t-filter", {"_source": filtering})[0]["_source"]

    assert get(["text"]) == {"text": "x"}
    assert get(["mv"]) == {"mv": document["mv"]}
    assert get(["o"]) == {"o": document["o"]}
    assert get(["o.*"]) == {"o": document["o"]}
    assert get(["*v"]) == {"mv": document["mv"], "o": {"v": document["o"]["v"]}}
    assert get({"excludes": ["mv"]}) == {"text": "x", "o": document["o"]}
    assert get({"excludes": ["o"]}) == {"text": "x", "mv": document["mv"]}
    assert get({"excludes": ["*.v", "m*"]}) == {"text": "x", "o": {"w": 1}}
    assert get(True) == document
    assert http.call("GET", "t-filter/_doc/1?_source_includes=mv")["_source"] == {"mv": document["mv"]}
    assert http.call("GET", "t-filter/_source/1?_source_excludes=mv,o") == {"text": "x"}


def test_what_looks_like_a_placeholder_is_kept(http: Http) -> None:
    http.call("PUT", "t-fake", {**body(), "mappings": {"dynamic": False, "properties": {}}})
    fake = "\0mv:0:12345"
    http.bulk("t-fake", {"early": {"mv": fake, "x": fake}, "array": {"mv": [[1, 2]]}})
    http.call("PUT", "t-fake/_mapping", {"properties": {"mv": {"type": "multi_vector", "dimension": 8}}})
    real = {"mv": base(wire.pack(rows(1))), "x": fake}
    http.bulk("t-fake", {"late": real})
    http.call("POST", "t-fake/_forcemerge?max_num_segments=1")
    assert source(http, "t-fake", "early") == {"mv": fake, "x": fake}
    assert source(http, "t-fake", "array") == {"mv": [[1, 2]]}
    assert source(http, "t-fake", "late") == real
    assert "[mv] of type [multi_vector]" in http.refused("PUT", "t-fake/_doc/1", {"mv": fake})


@pytest.mark.parametrize("derived", [True, False], ids=["k-NN derived source", "without"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_vectors_are_on_disk_once(http: Http, encoding: Any, derived: bool) -> None:
    made = body(v={"type": "multi_vector", "dimension": 128, "encoding": encoding})
    made["settings"]["index"]["knn.derived_source.enabled"] = derived
    http.call("PUT", "t-disk", made)
    generator = np.random.default_rng(9)
    size = len(wire.pack(unit_rows(generator, 1030, 128), encoding))

    def check_size() -> None:
        for segment in segments(http, "t-disk"):
            documents = int(segment["docs.count"]) + int(
                segment["docs.deleted"]
            )  # kept for recovery for a while
            own = 12_000  # what a segment takes however little it holds
            assert int(segment["size"]) < 1.02 * documents * size + own

    for start in range(0, 40, 10):
        documents: dict[str, dict[str, Any]] = {}
        for i in range(start, start + 10):
            documents[f"d{i}"] = {"v": base(wire.pack(unit_rows(generator, 1030, 128), encoding))}
            if start == 10:
                documents[f"d{i}"]["dense"] = [1.0, 2.0, 3.0, 4.0]  # segments with and without k-NN's vectors
        http.bulk("t-disk", documents)
    check_size()
    http.call("POST", "t-disk/_update/d3", {"doc": {"text": "updated"}})
    http.call("DELETE", "t-disk/_doc/d4?refresh=true")
    http.call("POST", "t-disk/_forcemerge?max_num_segments=1")
    http.call("POST", "t-disk/_refresh")
    (merged,) = segments(http, "t-disk")
    assert int(merged["docs.count"]) == 39
    check_size()


def test_an_index_of_the_default_codec_can_be_changed_and_merged(http: Http) -> None:
    http.call("PUT", "t-mixed", body(codec="default"))
    documents = fill(http, "t-mixed", 8, rounds=2)
    http.call("POST", "t-mixed/_close")
    http.call("PUT", "t-mixed/_settings", {"index.codec": "multimodal"})
    http.call("POST", "t-mixed/_open?wait_for_active_shards=1")
    for key in ("d1", "d2"):
        http.call("POST", f"t-mixed/_update/{key}?refresh=true", {"doc": {"text": "new"}})
        documents[key]["text"] = "new"
    check(http, "t-mixed", documents)
    http.call("POST", "t-mixed/_forcemerge?max_num_segments=1")
    check(http, "t-mixed", documents)


def test_excluded_sources_and_other_formats_are_left_alone(http: Http) -> None:
    made = body()
    made["mappings"]["_source"] = {"excludes": ["mv"]}
    http.call("PUT", "t-excluded", made)
    message = wire.pack(rows(1))
    for i in range(3):
        http.bulk("t-excluded", {f"d{i}": {"text": "x", "mv": base(message)}})
    http.call("POST", "t-excluded/_forcemerge?max_num_segments=1")
    http.call("POST", "t-excluded/_refresh")
    assert source(http, "t-excluded", "d1") == {"text": "x"}
    assert stored(http, "t-excluded", "d1") == message
