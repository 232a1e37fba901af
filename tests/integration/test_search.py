"""Search on the real server: exact scores, the same ranking on 1 and on 3 shards, refusals."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_index
import tiny_models
from PIL import Image

from opensearch_multimodal import wire
from opensearch_multimodal.client import Cluster
from opensearch_multimodal.encoder import load
from opensearch_multimodal.errors import InvalidInput, ModelMismatch
from opensearch_multimodal.models import DraftOptions, draft_spec, load_spec, save_spec
from opensearch_multimodal.search import Searcher, SearchResult, metadata_filter

RECORDS = 120
QUERIES = ("alpha beta", "gamma", "beta gamma query")
PROFILES = ("bm25", "dense", "late_interaction", "hybrid", "gqr")


@pytest.fixture(scope="module")
def indices(server: Any, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, str]]:
    """Number of shards → an index with the same records."""
    cluster = Cluster(server.url)
    files = tmp_path_factory.mktemp("files")
    rows = [
        {"_id": f"r{i}", "title": "", "text": text, "parity": "odd" if i % 2 else "even"}
        for i, text in enumerate(itertools.islice(tiny_index.texts(RECORDS * 5), 0, None, 5))
    ]
    rows.append({"_id": "empty", "title": "", "text": " ", "parity": "none"})
    (files / "corpus.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    names = {}
    for shards in (1, 3):
        name = names[shards] = f"search-{shards}-{uuid.uuid4().hex[:8]}"
        index = tiny_index.create(cluster, name, shards=shards)
        tiny_index.ingest_files(cluster, index, files)
    yield names
    for name in names.values():
        cluster.delete_index(name)


@pytest.fixture
def searcher(cluster: Cluster, indices: dict[int, str]) -> Searcher:
    return Searcher(cluster, indices[1])


def ids(result: SearchResult) -> list[str]:
    return [hit.id for hit in result.hits]


def brute_force(cluster: Cluster, name: str, query: str) -> tuple[dict[str, float], dict[str, float]]:
    """Return every record's inner product and MaxSim, from the stored vectors."""
    records = tiny_index.stored(cluster, name)
    dense = load(load_spec(tiny_index.DENSE)).encode_queries([query])[0]
    tokens = load(load_spec(tiny_index.TOKENS)).encode_queries([query])[0]
    inner = {key: float(np.dot(dense, r["dense"])) for key, r in records.items() if "dense" in r}
    maxsim = {}
    for key, record in records.items():
        if "multi_vector" in record:
            rows = wire.unpack(base64.b64decode(record["multi_vector"]))
            maxsim[key] = sum(max(float(np.dot(q, row)) for row in rows) for q in tokens)
    return inner, maxsim


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("shards", [1, 3])
def test_scores_of_the_union_are_exact(
    cluster: Cluster, indices: dict[int, str], shards: int, query: str
) -> None:
    result = Searcher(cluster, indices[shards]).search(query, profile="hybrid", k=RECORDS)
    inner, maxsim = brute_force(cluster, indices[shards], query)
    assert len(result.hits) == RECORDS
    for hit in result.hits:
        scores = hit.stages["scores"]
        assert scores["dense"] == pytest.approx(inner[hit.id], abs=1e-5)
        assert scores["multi_vector"] == pytest.approx(maxsim[hit.id], abs=1e-4)
        assert scores["text"] is not None


def test_what_a_retriever_did_not_find_is_scored_all_the_same(
    searcher: Searcher, cluster: Cluster, indices: dict[int, str]
) -> None:
    narrow = [
        {"type": "bm25", "field": "text", "k": 3},
        {"type": "dense", "field": "dense", "k": 3},
        {"type": "fde", "field": "fde", "k": 3},
    ]
    result = searcher.search("alpha beta", profile="hybrid", k=3, overrides={"retrievers": narrow})
    inner, maxsim = brute_force(cluster, indices[1], "alpha beta")
    assert 3 < result.candidates <= 9
    for hit in result.hits:
        assert set(hit.stages["scores"]) == {"text", "dense", "multi_vector"}
        assert hit.stages["scores"]["dense"] == pytest.approx(inner[hit.id], abs=1e-5)
        assert hit.stages["scores"]["multi_vector"] == pytest.approx(maxsim[hit.id], abs=1e-4)
    alone = searcher.search("alpha beta", profile="bm25", k=RECORDS)
    bm25 = {hit.id: hit.stages["scores"]["text"] for hit in alone.hits}
    for hit in result.hits:
        assert hit.stages["scores"]["text"] == pytest.approx(bm25.get(hit.id, 0.0), rel=1e-6)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("query", QUERIES)
def test_one_shard_and_three_rank_alike(
    cluster: Cluster, indices: dict[int, str], profile: str, query: str
) -> None:
    # Everything takes part in the refinement: where its head ends, near-ties may fall on either side.
    overrides = {"refine": {"depth": RECORDS}} if profile == "gqr" else {}
    one, three = (
        Searcher(cluster, indices[shards]).search(query, profile=profile, k=RECORDS, overrides=overrides)
        for shards in (1, 3)
    )
    for first, second in zip(one.hits, one.hits[1:], strict=False):
        if first.score - second.score > 1e-2:
            assert ids(three).index(first.id) < ids(three).index(second.id)
    scores_of_one = {hit.id: hit.score for hit in one.hits}
    scores_of_three = {hit.id: hit.score for hit in three.hits}
    assert scores_of_one.keys() == scores_of_three.keys()
    for key, score in scores_of_one.items():
        assert scores_of_three[key] == pytest.approx(score, abs=2e-3)


def test_dense_ranks_by_inner_product(searcher: Searcher, cluster: Cluster, indices: dict[int, str]) -> None:
    result = searcher.search("alpha beta", profile="dense", k=10)
    inner, _ = brute_force(cluster, indices[1], "alpha beta")
    best = sorted(inner.values(), reverse=True)[:10]
    assert [hit.score for hit in result.hits] == pytest.approx(best, abs=1e-5)


def test_late_interaction_ranks_by_maxsim(
    searcher: Searcher, cluster: Cluster, indices: dict[int, str]
) -> None:
    result = searcher.search("beta gamma query", profile="late_interaction", k=RECORDS)
    _, maxsim = brute_force(cluster, indices[1], "beta gamma query")
    assert [hit.score for hit in result.hits] == pytest.approx(
        sorted(maxsim.values(), reverse=True), abs=1e-4
    )
    assert "empty" not in ids(result)


def test_binary_finds_and_dense_scores(searcher: Searcher, cluster: Cluster, indices: dict[int, str]) -> None:
    overrides = {"retrievers": [{"type": "binary", "field": "binary", "k": 20}]}
    result = searcher.search("alpha beta", profile="dense", k=5, overrides=overrides)
    inner, _ = brute_force(cluster, indices[1], "alpha beta")
    for hit in result.hits:
        assert hit.score == pytest.approx(inner[hit.id], abs=1e-5)
        assert set(hit.stages["first_stage"]) == {"binary"}


def test_refinement_says_before_and_after(searcher: Searcher) -> None:
    depth = 20
    plain = searcher.search("alpha beta", profile="hybrid", k=RECORDS)
    alone = {"refine": {"depth": depth, "fused_share": 0.0}}
    refined = searcher.search("alpha beta", profile="gqr", k=RECORDS, overrides=alone)
    assert len(refined.hits) == RECORDS
    before = {hit.id: hit.stages["scores"] for hit in plain.hits}
    head, rest = refined.hits[:depth], refined.hits[depth:]
    for hit in head:
        stage = hit.stages["refined"]
        assert stage["before"] == pytest.approx(before[hit.id][stage["field"]], abs=1e-4)
        assert hit.score == stage["after"]
    assert any(hit.stages["refined"]["after"] != hit.stages["refined"]["before"] for hit in head)
    assert all("refined" not in hit.stages for hit in rest)
    fused = [hit.stages["fused"] for hit in rest]
    assert fused == sorted(fused, reverse=True)
    assert min(hit.stages["fused"] for hit in head) >= fused[0]
    assert [hit.score for hit in refined.hits] == sorted((h.score for h in refined.hits), reverse=True)


def test_a_stage_can_be_left_out(searcher: Searcher) -> None:
    result = searcher.search("alpha", profile="gqr", overrides={"refine": None})
    assert all("refined" not in hit.stages for hit in result.hits)
    assert "refine" not in result.timings_ms
    assert result.timings_ms["total"] >= result.timings_ms["first_stage"]


def test_cut_limits_the_hits(searcher: Searcher) -> None:
    assert len(searcher.search("alpha", profile="hybrid", k=10, overrides={"cut": {"size": 4}}).hits) == 4


@pytest.mark.parametrize("profile", PROFILES)
def test_filters_apply_to_every_retriever(searcher: Searcher, profile: str) -> None:
    result = searcher.search(
        "alpha beta", profile=profile, k=RECORDS, filter=metadata_filter({"parity": "odd"})
    )
    assert result.hits
    assert {hit.source["metadata"]["parity"] for hit in result.hits} == {"odd"}


def test_a_filter_that_matches_nothing_gives_nothing(searcher: Searcher) -> None:
    result = searcher.search("alpha", profile="gqr", filter=metadata_filter({"parity": "neither"}))
    assert (result.hits, result.candidates) == ((), 0)


def test_hits_carry_what_a_person_needs(searcher: Searcher) -> None:
    hit = searcher.search("alpha beta", k=1).hits[0]
    assert "alpha" in hit.snippet
    assert hit.source["document_id"] == hit.id
    assert not {"dense", "binary", "fde", "multi_vector", "image"} & set(hit.source)
    assert json.loads(json.dumps(hit.to_json()))["stages"]["scores"]


def test_ranking_without_fetching_gives_the_same_order(searcher: Searcher) -> None:
    whole = searcher.search("alpha beta", k=20)
    bare = searcher.search("alpha beta", k=20, fetch=False)
    assert [(hit.id, hit.score) for hit in bare.hits] == [(hit.id, hit.score) for hit in whole.hits]
    assert all(hit.source == {} and hit.snippet == "" and hit.link is None for hit in bare.hits)
    assert "fetch" not in bare.timings_ms


def test_a_very_long_question_is_answered(searcher: Searcher) -> None:
    question = " ".join(f"alpha{i}" for i in range(1100)) + " alpha beta"
    assert searcher.search(question, profile="hybrid", k=3).hits
    many = " ".join(["alpha", "beta"] * 700)
    assert searcher.search(many, profile="bm25", k=3).hits


def test_a_filter_that_is_no_query_is_the_callers_mistake(searcher: Searcher) -> None:
    with pytest.raises(InvalidInput, match=r"filter: .*unknown query"):
        searcher.search("alpha", filter={"nonsense": {}})


def test_words_that_nothing_holds_still_find_by_vectors(searcher: Searcher) -> None:
    assert searcher.search("zzzzz", profile="bm25").hits == ()
    assert searcher.search("zzzzz", profile="hybrid").hits


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"query_text": ""}, "query_text: is empty"),
        ({"query_text": "x" * 10_001}, "10001 characters"),
        ({}, "give query_text, query_image or both"),
        ({"query_text": "alpha", "k": 0}, "k: 0"),
        ({"query_text": "alpha", "profile": "best"}, "no profile 'best'"),
        ({"query_text": "alpha", "overrides": {"refined": {}}}, "refined"),
        ({"query_text": "alpha", "overrides": {"refine": {"steps": -1}}, "profile": "gqr"}, "refine.steps"),
        ({"query_text": "alpha", "filter": {"term": {}, "match": {}}}, "one query clause"),
    ],
)
def test_bad_requests_are_refused(searcher: Searcher, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        searcher.search(**arguments)


def test_an_image_finds_nothing_in_an_index_of_texts(searcher: Searcher) -> None:
    with pytest.raises(InvalidInput, match="no retriever of this profile reads image queries"):
        searcher.search(query_image=Image.new("RGB", (32, 32)))


def test_another_model_is_refused(
    cluster: Cluster, indices: dict[int, str], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    shutil.copytree(home, other)
    monkeypatch.setenv("OSMM_HOME", str(other))
    folder = tmp_path / "changed"
    folder.mkdir()
    tiny_models.write_text_model(folder / "model.onnx")
    tiny_models.write_tokenizer(folder / "tokenizer.json")
    options = DraftOptions(kind="dense", pooling="cls")
    save_spec(draft_spec(folder, tiny_index.DENSE, options), folder, force=True)
    with pytest.raises(ModelMismatch, match=r"field 'dense' holds vectors of model fingerprint sha256:"):
        Searcher(cluster, indices[1]).search("alpha", profile="dense")
    assert Searcher(cluster, indices[1]).search("alpha", profile="bm25").hits


def test_an_index_without_fingerprints_is_refused_until_it_is_stamped(cluster: Cluster, home: Path) -> None:
    name = f"search-{uuid.uuid4().hex[:8]}"
    body = tiny_index.body()
    for field in ("dense", "multi_vector"):
        del body["mappings"]["_meta"]["multimodal"]["fields"][field]["fingerprint"]
    cluster.create_index(name, body)
    with pytest.raises(ModelMismatch, match=f"osmm index stamp {name}"):
        Searcher(cluster, name).search("alpha", profile="dense")
    cluster.delete_index(name)


def test_several_indices_are_searched_as_one(cluster: Cluster, indices: dict[int, str]) -> None:
    result = Searcher(cluster, ",".join(indices.values())).search(
        "alpha beta", profile="hybrid", k=2 * RECORDS
    )
    found = {(hit.index, hit.id) for hit in result.hits}
    assert len(found) == len(result.hits) == 2 * RECORDS


def image_index(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return an index whose dense field holds page images, by a model with two towers."""
    monkeypatch.setenv("OSMM_HOME", str(tmp_path / "home"))
    folder = tmp_path / "towers"
    tiny_index.write_models(tmp_path / "exported")
    tiny_index.write_towers(folder)
    body = tiny_index.body()
    template = tiny_index.load_template("pages")
    body = tiny_index.build_body(
        template,
        load_spec,
        models={"dense": "tiny-towers", "multi_vector": tiny_index.TOKENS},
        inputs={"dense": "image"},
    )
    name = f"search-{uuid.uuid4().hex[:8]}"
    cluster.create_index(name, body)
    return name


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, colour in enumerate(["red", "green", "blue", "yellow", "black"]):
        picture = Image.new("RGB", (64, 64), colour)
        picture.paste("white", (0, 0, 8 * number, 32))
        picture.save(folder / f"{colour}.png")
    return folder


def test_an_image_finds_its_page(
    cluster: Cluster, tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = image_index(cluster, tmp_path, monkeypatch)
    described = Searcher(cluster, name).index
    report = tiny_index.ingest_files(cluster, described, pictures)
    assert report.written == 5
    searcher = Searcher(cluster, name)
    for colour in ("red", "blue", "yellow"):
        with Image.open(pictures / f"{colour}.png") as picture:
            result = searcher.search(query_image=picture.convert("RGB"), profile="gqr", k=3)
        assert result.hits[0].id == f"{colour}#p1"
        assert result.hits[0].stages["scores"]["dense"] == pytest.approx(1.0, abs=1e-4)
    assert any("takes no part" in note for note in result.notes)
    by_text = searcher.search("alpha", profile="dense")
    assert len(by_text.hits) == 5
    cluster.delete_index(name)
