"""The same fused scores as OpenSearch's own processors, where they have the same method."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from opensearch_multimodal.client import Cluster
from opensearch_multimodal.errors import ClusterRejected, InvalidInput
from opensearch_multimodal.fusion import fuse

SCORES = {
    "one": {"a": 12.5, "b": 9.25, "c": 7.0, "d": 3.5, "e": 1.25, "f": 0.5},
    "two": {"b": 0.91, "a": 0.44, "g": 0.78, "d": 0.62, "h": 0.05, "e": 0.57},
}
"""Field of the index → the score that a sub-query reads of it; some records have one of the fields only."""
RECORDS = sorted({record for scores in SCORES.values() for record in scores})
ROWS = {
    name: np.array([scores.get(record, -np.inf) for record in RECORDS]) for name, scores in SCORES.items()
}
WEIGHTS = (None, {"one": 0.3, "two": 0.7})
SINGLE = 1e-6
"""OpenSearch computes in single precision."""


@pytest.fixture(scope="module")
def index(server: Any) -> Iterator[str]:
    cluster, name = Cluster(server.url), f"parity-{uuid.uuid4().hex[:8]}"
    fields = {field: {"type": "float"} for field in SCORES}
    cluster.create_index(name, {"settings": {"number_of_shards": 1}, "mappings": {"properties": fields}})
    for record in RECORDS:
        source = {field: scores[record] for field, scores in SCORES.items() if record in scores}
        cluster.call("PUT", f"/{name}/_doc/{record}", source)
    cluster.refresh(name)
    yield name
    cluster.delete_index(name)
    cluster.close()


def by_field(field: str) -> dict[str, Any]:
    """Return a query that finds the records with a field and scores them by its value."""
    return {
        "function_score": {
            "query": {"exists": {"field": field}},
            "field_value_factor": {"field": field},
            "boost_mode": "replace",
        }
    }


def theirs(cluster: Cluster, index: str, processor: dict[str, Any]) -> dict[str, float]:
    body = {
        "size": len(RECORDS),
        "query": {"hybrid": {"queries": [by_field(field) for field in SCORES]}},
        "search_pipeline": {"phase_results_processors": [processor]},
    }
    hits = cluster.search(index, body)["hits"]["hits"]
    assert len(hits) == len(RECORDS)
    return {hit["_id"]: hit["_score"] for hit in hits}


def normalization(method: str, combination: str, weights: dict[str, float] | None) -> dict[str, Any]:
    combined: dict[str, Any] = {"technique": combination}
    if weights:
        combined["parameters"] = {"weights": list(weights.values())}
    return {"normalization-processor": {"normalization": {"technique": method}, "combination": combined}}


@pytest.mark.parametrize("weights", WEIGHTS, ids=("equal", "weighted"))
@pytest.mark.parametrize(
    ("method", "combination"),
    list(itertools.product(("min_max", "l2"), ("arithmetic_mean", "geometric_mean", "harmonic_mean"))),
)
def test_normalization_processor(
    cluster: Cluster, index: str, method: str, combination: str, weights: dict[str, float] | None
) -> None:
    expected = theirs(cluster, index, normalization(method, combination, weights))
    fused = fuse(ROWS, normalization=method, combination=combination, weights=weights)
    assert dict(zip(RECORDS, fused.tolist(), strict=True)) == pytest.approx(expected, abs=SINGLE)


@pytest.mark.parametrize("weights", WEIGHTS, ids=("equal", "weighted"))
def test_z_score_but_for_what_is_below_the_mean(
    cluster: Cluster, index: str, weights: dict[str, float] | None
) -> None:
    """OpenSearch 3.6 raises what is below the mean to 0.001 and gives 0 where there is no score."""
    expected = theirs(cluster, index, normalization("z_score", "arithmetic_mean", weights))
    shares = weights or dict.fromkeys(SCORES, 1.0)
    raised = np.zeros(len(RECORDS))
    for name, row in ROWS.items():
        scored = np.isfinite(row)
        alone = fuse({name: row[scored]}, normalization="z_score", combination="arithmetic_mean")
        raised[scored] += shares[name] * np.where(alone > 0, alone, 0.001)
    raised /= sum(shares.values())
    assert dict(zip(RECORDS, raised.tolist(), strict=True)) == pytest.approx(expected, abs=SINGLE)
    above = [i for i, record in enumerate(RECORDS) if record in ("a", "b")]  # above the mean in one field
    ours = fuse(ROWS, normalization="z_score", combination="arithmetic_mean", weights=weights)
    assert np.argmax(ours) in above


@pytest.mark.parametrize("rank_constant", [60, 5])
def test_rrf(cluster: Cluster, index: str, rank_constant: int) -> None:
    ranker = {"combination": {"technique": "rrf", "rank_constant": rank_constant}}
    expected = theirs(cluster, index, {"score-ranker-processor": ranker})
    fused = fuse(ROWS, combination="rrf", rank_constant=rank_constant)
    assert dict(zip(RECORDS, fused.tolist(), strict=True)) == pytest.approx(expected, abs=SINGLE)


@pytest.mark.parametrize("combination", ["geometric_mean", "harmonic_mean"])
def test_opensearch_refuses_z_score_with_the_same_means(
    cluster: Cluster, index: str, combination: str
) -> None:
    with pytest.raises(ClusterRejected):
        theirs(cluster, index, normalization("z_score", combination, None))
    with pytest.raises(InvalidInput, match=combination):
        fuse(ROWS, normalization="z_score", combination=combination)
