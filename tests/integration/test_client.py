"""The client against the real server."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator

import numpy as np
import pytest

from opensearch_multimodal.client import Cluster, Search
from opensearch_multimodal.errors import (
    ClusterConflict,
    ClusterNotFound,
    ClusterRejected,
)

BODY = {
    "settings": {"index": {"number_of_shards": 2, "number_of_replicas": 0, "knn": True}},
    "mappings": {
        "_meta": {"mine": {"kept": True}},
        "dynamic": "strict",
        "properties": {
            "text": {"type": "text"},
            "n": {"type": "integer"},
            "bytes": {"type": "binary", "store": True},
            "dense": {
                "type": "knn_vector",
                "dimension": 2,
                "method": {"name": "hnsw", "engine": "lucene", "space_type": "innerproduct"},
            },
        },
    },
}


@pytest.fixture
def index(cluster: Cluster) -> Iterator[str]:
    name = f"client-{uuid.uuid4().hex[:8]}"
    cluster.create_index(name, BODY)
    yield name
    cluster.delete_index(name)


def lines(*records: tuple[str, dict[str, object]]) -> bytes:
    return "".join(
        json.dumps({"index": {"_id": key}}) + "\n" + json.dumps(body) + "\n" for key, body in records
    ).encode()


def fill(cluster: Cluster, index: str, count: int) -> None:
    items = cluster.bulk(index, lines(*((f"r{i}", {"text": f"word{i % 3}", "n": i}) for i in range(count))))
    assert [item.written for item in items] == [True] * count
    cluster.refresh(index)


def test_info_names_the_version(cluster: Cluster) -> None:
    assert cluster.info()["version"]["number"] == "3.6.0"


def test_creating_twice_is_a_conflict(cluster: Cluster, index: str) -> None:
    with pytest.raises(ClusterConflict, match="already exists"):
        cluster.create_index(index, BODY)


def test_missing_index_is_not_found(cluster: Cluster) -> None:
    with pytest.raises(ClusterNotFound) as caught:
        cluster.search("nowhere", {})
    assert caught.value.kind == "index_not_found_exception"
    with pytest.raises(ClusterNotFound):
        cluster.msearch("nowhere", [Search({"query": {"match_all": {}}})])


def test_bulk_says_what_became_of_each_record(cluster: Cluster, index: str) -> None:
    items = cluster.bulk(
        index,
        lines(
            ("good", {"n": 1}),
            ("bad", {"n": "many"}),
            ("strange", {"unknown": 1}),
            ("long", {"dense": [1, 2, 3]}),
        ),
    )
    assert [(item.id, item.status) for item in items] == [
        ("good", 201),
        ("bad", 400),
        ("strange", 400),
        ("long", 400),
    ]
    assert items[1].kind == "mapper_parsing_exception"
    assert items[2].kind == "strict_dynamic_mapping_exception"
    assert not items[1].transient
    assert "dimension" in (items[3].reason or "")


def test_scan_yields_every_hit_once(cluster: Cluster, index: str) -> None:
    fill(cluster, index, 25)
    hits = list(cluster.scan(index, {"query": {"term": {"text": "word1"}}, "_source": ["n"]}, page=3))
    assert sorted(hit["_source"]["n"] for hit in hits) == [i for i in range(25) if i % 3 == 1]
    assert list(cluster.scan(index, {"query": {"term": {"text": "nothing"}}})) == []


def test_delete_by_query_counts(cluster: Cluster, index: str) -> None:
    fill(cluster, index, 9)
    assert cluster.delete_by_query(index, {"term": {"text": "word0"}}) == 9 / 3


def test_stored_bytes_come_back_raw_in_cbor(cluster: Cluster, index: str) -> None:
    raw = bytes(range(256))
    cluster.bulk(index, lines(("b", {"bytes": base64.b64encode(raw).decode()})))
    cluster.refresh(index)
    body = {"query": {"ids": {"values": ["b"]}}, "stored_fields": ["bytes"]}
    (answer,) = cluster.msearch(index, [Search(body)], cbor=True)
    assert answer["hits"]["hits"][0]["fields"]["bytes"] == [raw]


def test_errors_are_read_from_cbor_too(cluster: Cluster, index: str) -> None:
    with pytest.raises(ClusterRejected, match="unknown query"):
        cluster.msearch(index, [Search({"query": {"nonsense": {}}})], cbor=True)
    with pytest.raises(ClusterNotFound):
        cluster.call("GET", "/nowhere/_search", headers={"accept": "application/cbor"})


def test_msearch_takes_arrays_and_answers_in_order(cluster: Cluster, index: str) -> None:
    fill(cluster, index, 3)
    cluster.bulk(index, lines(("v", {"dense": [0.6, 0.8]})))
    cluster.refresh(index)
    vector = np.array([0.6, 0.8], dtype=np.float32)
    answers = cluster.msearch(
        index,
        [
            Search({"query": {"term": {"n": 2}}}, global_statistics=True),
            Search({"query": {"knn": {"dense": {"vector": vector, "k": 1}}}}),
        ],
        preference="same",
    )
    assert [answer["hits"]["hits"][0]["_id"] for answer in answers] == ["r2", "v"]


def test_a_search_that_fails_on_its_shards_raises(cluster: Cluster, index: str) -> None:
    fill(cluster, index, 2)
    with pytest.raises(ClusterRejected, match="fielddata"):
        cluster.search(index, {"sort": ["text"]})


def test_update_meta_keeps_what_is_beside(cluster: Cluster, index: str) -> None:
    written = cluster.update_meta(index, lambda meta: {**meta, "multimodal": {"version": 1}})
    assert written == {"mine": {"kept": True}, "multimodal": {"version": 1}}
    assert cluster.get_index(index)[index]["mappings"]["_meta"] == written
