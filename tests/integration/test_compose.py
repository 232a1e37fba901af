"""Composed questions on the real server: the sum of the parts' scores, by library, command and service."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_index
from click.testing import CliRunner
from PIL import Image
from services import serving

from opensearch_multimodal import wire
from opensearch_multimodal.cli import main
from opensearch_multimodal.client import Cluster
from opensearch_multimodal.encoder import load
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.mappings import describe
from opensearch_multimodal.models import load_spec
from opensearch_multimodal.search import Searcher

RECORDS = 60
PARTS = [
    {"text": "alpha beta"},
    {"text": "gamma", "weight": 0.5},
    {"text": "passage query", "weight": -0.4},
]
COLOURS = ("red", "green", "blue", "yellow")


@pytest.fixture(scope="module")
def home(home: Path) -> Path:
    towers = home.parent / "towers"
    tiny_index.write_towers(towers)
    return home


def fill(cluster: Cluster, name: str, body: dict[str, Any], folder: Path) -> None:
    cluster.create_index(name, body)
    index = describe(name, cluster.get_index(name))
    tiny_index.ingest_files(cluster, index, folder)


@pytest.fixture(scope="module")
def texts(server: Any, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """``stock`` and ``plugin`` → an index of the same texts, scored here or in the cluster."""
    cluster, folder = Cluster(server.url), tmp_path_factory.mktemp("texts")
    tiny_index.write_jsonl(folder / "corpus.jsonl", RECORDS)
    names = {kind: f"compose-{kind}-{uuid.uuid4().hex[:8]}" for kind in ("stock", "plugin")}
    for kind, name in names.items():
        fill(cluster, name, tiny_index.body(plugin=kind == "plugin"), folder)
    yield names
    for name in names.values():
        cluster.delete_index(name)


@pytest.fixture(scope="module")
def pictures(server: Any, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An index of page images by a model with two towers, and the images."""
    cluster, folder = Cluster(server.url), tmp_path_factory.mktemp("pictures")
    for number, colour in enumerate(COLOURS):
        picture = Image.new("RGB", (64, 64), colour)
        picture.paste("white", (0, 0, 8 * number, 32))
        picture.save(folder / f"{colour}.png")
    name = f"compose-{uuid.uuid4().hex[:8]}"
    body = tiny_index.build_body(
        tiny_index.load_template("pages"),
        load_spec,
        models={"dense": "tiny-towers", "multi_vector": tiny_index.TOKENS},
        inputs={"dense": "image"},
    )
    fill(cluster, name, body, folder)
    yield name, folder
    cluster.delete_index(name)


def weights() -> list[float]:
    return [float(part.get("weight", 1)) for part in PARTS]


@pytest.mark.parametrize("kind", ["stock", "plugin"])
def test_scores_are_the_weighted_sums_of_the_parts(
    cluster: Cluster, texts: dict[str, str], kind: str
) -> None:
    result = Searcher(cluster, texts[kind]).search(profile="hybrid", k=RECORDS, overrides={"compose": PARTS})
    asked = [str(part["text"]) for part in PARTS]
    dense = load(load_spec(tiny_index.DENSE)).encode_queries(asked)
    total = sum(weight * vector for weight, vector in zip(weights(), dense, strict=True))
    tokens = load(load_spec(tiny_index.TOKENS)).encode_queries(asked)
    size = (len(tokens[0]) + len(tokens[1])) / 2 / (weights()[0] + weights()[1])
    records = tiny_index.stored(cluster, texts["stock"])
    assert len(result.hits) == RECORDS
    for hit in result.hits:
        rows = wire.unpack(base64.b64decode(records[hit.id]["multi_vector"]))
        by_part = [float((part @ rows.T).max(axis=1).mean()) for part in tokens]
        expected = size * sum(w * value for w, value in zip(weights(), by_part, strict=True))
        assert hit.stages["scores"]["multi_vector"] == pytest.approx(expected, abs=1e-4)
        inner = float(np.dot(total / np.linalg.norm(total), records[hit.id]["dense"]))
        assert hit.stages["scores"]["dense"] == pytest.approx(inner, abs=1e-5)


def test_positive_parts_are_scored_in_the_cluster_too(cluster: Cluster, texts: dict[str, str]) -> None:
    by_kind = {
        kind: {
            hit.id: hit.score
            for hit in Searcher(cluster, name)
            .search(profile="late_interaction", k=RECORDS, overrides={"compose": PARTS[:2]}, fetch=False)
            .hits
        }
        for kind, name in texts.items()
    }
    assert len(by_kind["stock"]) == RECORDS
    assert by_kind["plugin"] == pytest.approx(by_kind["stock"], abs=1e-4)


def test_bm25_adds_the_positive_texts(cluster: Cluster, texts: dict[str, str]) -> None:
    searcher = Searcher(cluster, texts["stock"])

    def scores(**question: Any) -> dict[str, float]:
        found = searcher.search(profile="bm25", k=RECORDS, **question)
        return {hit.id: hit.score for hit in found.hits}

    first, second = scores(query_text="alpha beta"), scores(query_text="gamma")
    composed = scores(overrides={"compose": PARTS})
    assert composed.keys() == first.keys() | second.keys()
    for key, score in composed.items():
        assert score == pytest.approx(first.get(key, 0) + 0.5 * second.get(key, 0), rel=1e-5)


def test_what_is_subtracted_sinks_and_is_not_refined(cluster: Cluster, texts: dict[str, str]) -> None:
    searcher = Searcher(cluster, texts["stock"])
    plain = searcher.search("alpha beta", profile="late_interaction", k=RECORDS)
    without = searcher.search(
        "alpha beta",
        profile="late_interaction",
        k=RECORDS,
        overrides={"compose": [{"text": "gamma", "weight": -0.9}]},
    )

    def mean_rank(hits: Any) -> float:
        return float(np.mean([rank for rank, hit in enumerate(hits) if "gamma" in hit.source["text"]]))

    assert mean_rank(without.hits) > mean_rank(plain.hits)
    refine = {"primary": "multi_vector", "complementary": ["text"]}
    result = searcher.search("alpha", profile="gqr", overrides={"compose": PARTS, "refine": refine})
    assert "not refined: no query of 'multi_vector' alone subtracts a part" in result.notes
    refined = searcher.search("alpha", profile="gqr", overrides={"compose": PARTS})
    assert any("refined" in hit.stages for hit in refined.hits)


def test_the_composition_is_told(cluster: Cluster, texts: dict[str, str]) -> None:
    result = Searcher(cluster, texts["stock"]).search(
        "beta", profile="hybrid", k=1, overrides={"compose": PARTS[1:]}
    )
    assert result.composition is not None
    assert [(part["part"], part["weight"]) for part in result.composition] == [
        ("beta", 1.0),
        ("gamma", 0.5),
        ("passage query", -0.4),
    ]
    assert set(result.composition[1]["fields"]) == {"text", "dense", "multi_vector"}
    assert set(result.composition[2]["fields"]) == {"dense", "multi_vector"}
    assert json.loads(json.dumps(result.to_json()))["composition"][2]["fields"]["multi_vector"]["scale"] < 0
    assert Searcher(cluster, texts["stock"]).search("beta", k=1).composition is None


def test_an_image_with_words_moves_towards_the_words(cluster: Cluster, pictures: tuple[str, Path]) -> None:
    name, folder = pictures
    encoder = load(load_spec("tiny-towers"))
    with Image.open(folder / "red.png") as opened:
        red = opened.convert("RGB")
    [image], (target, source) = encoder.encode_pages([red]), encoder.encode_queries(["alpha", "beta"])
    moved = image + 0.6 * (target - source)
    result = Searcher(cluster, name).search(
        query_image=red,
        profile="dense",
        k=len(COLOURS),
        overrides={"compose": [{"text": "alpha", "weight": 0.6}, {"text": "beta", "weight": -0.6}]},
    )
    records = tiny_index.stored(cluster, name)
    expected = {
        key: float(np.dot(moved / np.linalg.norm(moved), record["dense"])) for key, record in records.items()
    }
    assert {hit.id: hit.score for hit in result.hits} == pytest.approx(expected, abs=1e-4)


def test_a_field_that_cannot_read_a_part_says_so(cluster: Cluster, texts: dict[str, str]) -> None:
    searcher = Searcher(cluster, texts["stock"])
    image = {"image": Image.new("RGB", (16, 16)), "weight": 0.5}
    result = searcher.search("alpha", profile="dense", overrides={"compose": [image]})
    assert "field 'dense' reads 1 of 2 parts: its model reads text only" in result.notes
    assert [hit.score for hit in result.hits] == pytest.approx(
        [hit.score for hit in searcher.search("alpha", profile="dense").hits], abs=1e-5
    )
    with pytest.raises(InvalidInput, match="no retriever of this profile reads image queries"):
        searcher.search(profile="dense", overrides={"compose": [image]})


def test_the_command_reads_parts_from_a_file(server: Any, pictures: tuple[str, Path]) -> None:
    name, folder = pictures
    parts = folder.parent / "parts.json"
    parts.write_text(json.dumps([{"image": f"{folder.name}/blue.png"}, {"text": "alpha", "weight": -0.01}]))
    arguments = ["search", name, "--compose", str(parts), "--profile", "dense", "--url", server.url]
    shown = CliRunner().invoke(main, [*arguments, "--explain"])
    assert shown.exit_code == 0, shown.output
    assert "blue#p1" in shown.stdout.splitlines()[0]
    assert "part +1 × image, 64 × 64 (dense: cosine 1)" in shown.stdout
    assert "part -0.01 × alpha (dense: cosine" in shown.stdout
    parts.write_text('[{"image": "no.png"}]')
    assert "--compose: no.png cannot be read" in CliRunner().invoke(main, arguments).stderr
    parts.write_text('{"text": "a"}')
    assert "holds no list of parts" in CliRunner().invoke(main, arguments).stderr


def test_the_service_composes_within_its_limits(
    server: Any, cluster: Cluster, texts: dict[str, str], pictures: tuple[str, Path]
) -> None:
    name, folder = pictures
    blue = base64.b64encode((folder / "blue.png").read_bytes()).decode()
    with serving("--url", server.url, "--max-pixels", str(2 * 64 * 64)) as service:
        request = {"indices": [texts["stock"]], "profile": "hybrid", "k": 20, "preference": "same"}
        overrides = {"compose": PARTS}
        answer = service.post("/v1/search", request | {"overrides": overrides})
        assert answer.status_code == 200, answer.text
        expected = Searcher(cluster, texts["stock"]).search(
            profile="hybrid", k=20, overrides=overrides, preference="same"
        )
        assert [hit["id"] for hit in answer.json()["hits"]] == [hit.id for hit in expected.hits]
        assert answer.json()["composition"] == [dict(part) for part in expected.composition or ()]
        ranked = service.post("/v1/rank", request | {"overrides": overrides, "query_text": "alpha"})
        assert len(ranked.json()["hits"]) == 20

        def images(count: int) -> Any:
            parts = [{"image": blue}] * count
            question = {"indices": [name], "profile": "dense", "overrides": {"compose": parts}}
            return service.post("/v1/rank", question)

        assert images(2).json()["hits"][0]["id"] == "blue#p1"
        for count, problem in [(3, "compose[2].image: all images together"), (5, "compose: 5 images")]:
            refused = images(count)
            assert refused.status_code == 400
            assert problem in refused.json()["error"]["reason"]
        bad = service.post("/v1/rank", request | {"overrides": {"compose": [{"image": "??"}]}})
        assert bad.status_code == 400
        assert "compose[0].image: not base64" in bad.json()["error"]["reason"]


def test_a_degraded_answer_still_adds_the_positive_texts(
    server: Any, cluster: Cluster, texts: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSMM_HOME", str(home.parent / "elsewhere"))
    specs = home.parent / "elsewhere" / "specs"
    specs.mkdir(parents=True)
    for spec in (home / "specs").iterdir():
        (specs / spec.name).write_bytes(spec.read_bytes())  # the models' files are missing
    with serving("--url", server.url) as service:
        question = {"indices": [texts["stock"]], "query_text": "alpha", "profile": "hybrid", "k": 50}
        overrides = {"compose": [{"text": "gamma"}]}
        answer = service.post("/v1/rank", question | {"overrides": overrides, "on_failure": "bm25"}).json()
    assert answer["degraded"] == "bm25"
    both = Searcher(cluster, texts["stock"]).search(
        "alpha", profile="bm25", k=50, overrides=overrides, fetch=False
    )
    assert {hit["id"] for hit in answer["hits"]} == {hit.id for hit in both.hits}
