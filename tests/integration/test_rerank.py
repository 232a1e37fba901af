"""Reranking on the real server: cross-encoder, full-precision MaxSim, one's own reranker, the service."""

from __future__ import annotations

import base64
import io
import json
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_index
import tiny_models
from click.testing import CliRunner
from PIL import Image
from services import serving

from opensearch_multimodal.cli import main
from opensearch_multimodal.client import Cluster
from opensearch_multimodal.encoder import Content, RerankerQuery, load
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.mappings import describe
from opensearch_multimodal.maxsim import maxsim, stack
from opensearch_multimodal.models import load_spec
from opensearch_multimodal.search import Searcher

RECORDS = 60
CROSS = {"model": tiny_index.RERANKER}


@pytest.fixture(scope="module")
def home(home: Path) -> Path:
    tiny_index.write_reranker(home.parent / "pairs")
    return home


@pytest.fixture(scope="module")
def index(server: Any, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An index that keeps one bit per component of its multi-vectors."""
    cluster, folder = Cluster(server.url), tmp_path_factory.mktemp("corpus")
    tiny_index.write_jsonl(folder / "corpus.jsonl", RECORDS)
    name = f"rerank-{uuid.uuid4().hex[:8]}"
    body = tiny_index.body(encoding="bit")
    profiles = body["mappings"]["_meta"]["multimodal"]["profiles"]
    profiles["reranked"] = {**profiles["hybrid"], "rerank": CROSS | {"depth": 20}}
    cluster.create_index(name, body)
    described = describe(name, cluster.get_index(name))
    tiny_index.ingest_files(cluster, described, folder)
    yield name
    cluster.delete_index(name)


@pytest.fixture
def searcher(cluster: Cluster, index: str) -> Searcher:
    return Searcher(cluster, index)


def test_the_cross_encoder_orders_the_head(searcher: Searcher) -> None:
    plain = searcher.search("alpha beta", profile="hybrid", k=RECORDS)
    result = searcher.search("alpha beta", profile="reranked", k=RECORDS)
    before = [hit.id for hit in plain.hits]
    head, rest = result.hits[:20], result.hits[20:]
    assert {hit.id for hit in head} == set(before[:20])
    assert [hit.id for hit in rest] == before[20:]
    for hit in head:
        expected = tiny_models.pair_score("alpha beta", hit.source["text"])
        assert hit.score == pytest.approx(expected, abs=1e-5)
        assert hit.stages["reranked"] == {"score": hit.score, "rank_before": before.index(hit.id) + 1}
    assert all("reranked" not in hit.stages for hit in rest)
    scores = [hit.score for hit in result.hits]
    assert scores == sorted(scores, reverse=True)
    assert [hit.id for hit in head] != before[:20]
    assert result.timings_ms["rerank"] > 0
    assert result.notes == ()


def test_full_precision_is_what_the_bits_have_lost(searcher: Searcher) -> None:
    overrides = {"rerank": {"type": "maxsim", "field": "multi_vector", "depth": RECORDS}}
    result = searcher.search("beta gamma", profile="hybrid", k=RECORDS, overrides=overrides)
    encoder = load(load_spec(tiny_index.TOKENS))
    [query] = encoder.encode_queries(["beta gamma"])
    exact = maxsim(query, stack(encoder.encode_passages([hit.source["text"] for hit in result.hits])))
    assert [hit.score for hit in result.hits] == pytest.approx(exact.tolist(), abs=1e-5)
    assert np.all(np.diff(exact) <= 1e-5)
    stored = np.array([hit.stages["scores"]["multi_vector"] for hit in result.hits])
    assert np.any(np.diff(stored) > 0.05)  # the bits order them otherwise


def test_full_precision_works_on_a_field_that_no_retriever_scores(searcher: Searcher) -> None:
    overrides = {"rerank": {"type": "maxsim", "field": "multi_vector"}}
    result = searcher.search("beta", profile="bm25", k=5, overrides=overrides)
    assert all(set(hit.stages["scores"]) == {"text"} for hit in result.hits)
    assert all("reranked" in hit.stages for hit in result.hits)
    with_parts = {**overrides, "compose": [{"text": "gamma", "weight": -0.5}]}
    composed = searcher.search("beta", profile="bm25", k=5, overrides=with_parts)
    encoder = load(load_spec(tiny_index.TOKENS))
    wanted, unwanted = encoder.encode_queries(["beta", "gamma"])
    for hit in composed.hits:
        [rows] = encoder.encode_passages([hit.source["text"]])
        expected = float((wanted @ rows.T).max(axis=1).sum() - 0.5 * (unwanted @ rows.T).max(axis=1).sum())
        assert hit.score == pytest.approx(expected, abs=1e-4)


def test_what_the_time_does_not_suffice_for_is_told(searcher: Searcher) -> None:
    late = searcher.search("alpha", profile="reranked", k=10, rerank_until=time.monotonic() - 1)
    assert late.notes == ("reranked 0 of 20: the time was up; the others keep their order",)
    assert [hit.id for hit in late.hits] == [
        hit.id for hit in searcher.search("alpha", profile="hybrid").hits
    ]
    tight = {"rerank": {"budget_ms": 0.001, "batch": 1}}
    assert "the time was up" in searcher.search("alpha", profile="reranked", overrides=tight).notes[0]


def test_reranking_begins_when_the_query_is_encoded(searcher: Searcher) -> None:
    told: list[float] = []
    overrides = {"rerank": {"type": "maxsim", "field": "multi_vector"}}
    began = time.monotonic()
    result = searcher.search(
        "alpha", profile="bm25", overrides=overrides, on_encoded=lambda: told.append(time.monotonic())
    )
    [encoded] = told
    assert encoded < began + result.timings_ms["total"] / 1000
    assert all("reranked" in hit.stages for hit in result.hits)


def test_a_reranker_that_is_not_there_is_an_error_before_the_search(searcher: Searcher) -> None:
    with pytest.raises(InvalidInput, match="there is no 'nobody'"):
        searcher.search("alpha", profile="reranked", overrides={"rerank": {"model": "nobody"}})
    with pytest.raises(InvalidInput, match="of kind dense, not a reranker"):
        searcher.search("alpha", profile="reranked", overrides={"rerank": {"model": tiny_index.DENSE}})


class Redness:
    """A multimodal reranker: how red is the page?"""

    query_inputs = ("text", "image")
    inputs = ("image",)

    def score(self, query: RerankerQuery, contents: Sequence[Content]) -> np.ndarray:
        assert query.text == "alpha"
        pixels = [np.asarray(one.image, dtype=np.float32) for one in contents]
        return np.array([one[..., 0].mean() - one[..., 2].mean() for one in pixels], dtype=np.float32)


def test_a_reranker_of_ones_own_sees_the_page_images(cluster: Cluster, home: Path) -> None:
    name = f"rerank-{uuid.uuid4().hex[:8]}"
    described = tiny_index.create(cluster, name)
    colours = {"blue": (0, 0, 255), "red": (255, 0, 0), "grey": (90, 90, 90), "none": None}
    lines: list[str] = []
    for colour, value in colours.items():
        record: dict[str, Any] = {"document_id": colour, "text": "alpha"}
        if value is not None:
            buffer = io.BytesIO()
            Image.new("RGB", (8, 8), value).save(buffer, "PNG")
            record["image"] = base64.b64encode(buffer.getvalue()).decode()
        lines += [json.dumps({"index": {"_id": colour}}), json.dumps(record)]
    cluster.bulk(name, ("\n".join(lines) + "\n").encode())
    cluster.refresh(name)
    searcher = Searcher(cluster, described, rerankers={"redness": Redness()})
    result = searcher.search("alpha", profile="bm25", overrides={"rerank": {"model": "redness"}})
    assert [hit.id for hit in result.hits] == ["red", "grey", "blue", "none"]
    assert result.notes == ("reranked 3 of 4: 1 have nothing to read; the others keep their order",)
    cluster.delete_index(name)


def test_a_question_that_the_reranker_cannot_read_is_not_reranked(searcher: Searcher) -> None:
    class Blind(Redness):
        query_inputs = ("image",)

    searcher._rerankers["blind"] = Blind()
    result = searcher.search("alpha", profile="bm25", overrides={"rerank": {"model": "blind"}})
    assert result.notes == ("not reranked: 'blind' reads image questions only",)
    assert result.hits


def test_the_command_explains_the_reranking(server: Any, index: str) -> None:
    arguments = ["search", index, "alpha beta", "--profile", "reranked", "-k", "2", "--explain"]
    shown = CliRunner().invoke(main, [*arguments, "--url", server.url])
    assert shown.exit_code == 0, shown.output
    assert "reranked" in shown.stdout
    assert "was " in shown.stdout


def test_the_service_reranks_as_the_library_does(server: Any, searcher: Searcher, index: str) -> None:
    expected = searcher.search("alpha beta", profile="reranked", k=30, preference="same")
    with serving("--url", server.url, "--index", index) as service:
        loaded = {
            model["name"] for model in service.client.get("/v1/models").json()["models"] if model["loaded"]
        }
        assert tiny_index.RERANKER in loaded
        question = {"indices": [index], "query_text": "alpha beta", "profile": "reranked", "k": 30}
        for _ in range(2):
            ranked = service.post("/v1/rank", question | {"preference": "same"})
            assert ranked.status_code == 200, ranked.text
            assert [hit["id"] for hit in ranked.json()["hits"]] == [hit.id for hit in expected.hits]
        found = service.post("/v1/search", question | {"overrides": {"rerank": {"budget_ms": 0.001}}}).json()
        assert "the time was up" in found["notes"][0]
        degraded = service.post("/v1/rank", question | {"on_failure": "bm25", "deadline_ms": 20_000}).json()
        assert degraded["degraded"] is None
