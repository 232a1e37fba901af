"""``osmm index calibrate``, fusion by what it learns, and cuts, on an index of pages and passages."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_index
from click.testing import CliRunner, Result
from PIL import Image

from opensearch_multimodal.cli import main
from opensearch_multimodal.client import Cluster
from opensearch_multimodal.encoder import IndexEncoders
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.evaluation.settings import fusion_settings
from opensearch_multimodal.mappings import build_body, describe, load_template
from opensearch_multimodal.models import load_spec
from opensearch_multimodal.search import (
    Question,
    Searcher,
    learn_scores,
    questions_from,
    rank,
    sample_records,
)

PICTURES, TEXTS = 40, 60
FIELDS = {"text", "dense", "multi_vector", "image_dense"}


def body(folder: Path) -> dict[str, Any]:
    """Return the shipped body for text and images, for tiny models."""
    tiny_index.write_towers(folder)
    template = load_template("mixed")
    template["mappings"]["_meta"]["multimodal"]["fields"]["fde"] |= tiny_index.FDE
    models = {"dense": tiny_index.DENSE, "multi_vector": tiny_index.TOKENS, "image_dense": "tiny-towers"}
    return build_body(template, load_spec, models=models)


def write_files(folder: Path) -> None:
    """Write pages that are images, and texts."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(PICTURES):
        pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 64)).save(folder / f"picture{number}.png")
    rows = [
        {"_id": f"r{i}", "title": "", "text": f"{text} {text} alpha."}
        for i, text in enumerate(tiny_index.texts(TEXTS))
    ]
    (folder / "corpus.jsonl").write_text("\n".join(json.dumps(row) for row in rows))


@pytest.fixture(scope="module")
def index(server: Any, home: Path) -> Iterator[str]:
    cluster, name = Cluster(server.url), f"calibrate-{uuid.uuid4().hex[:8]}"
    cluster.create_index(name, body(home.parent / "towers"))
    write_files(home.parent / "files")
    described = describe(name, cluster.get_index(name))
    report = tiny_index.ingest_files(cluster, described, home.parent / "files")
    assert report.written == PICTURES + TEXTS
    yield name
    cluster.delete_index(name)
    cluster.close()


@pytest.fixture
def osmm(server: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("OPENSEARCH_URL", server.url)

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(main, list(arguments))
        assert result.exit_code == code, result.output + result.stderr
        return result

    return run


@pytest.fixture
def untouched(cluster: Cluster, index: str) -> Iterator[dict[str, Any]]:
    """Give the index's ``_meta`` as it is, and put it back."""
    before = cluster.get_index(index)[index]["mappings"]["_meta"]
    yield copy.deepcopy(before)
    cluster.update_meta(index, lambda _: before)


def meta(cluster: Cluster, index: str) -> dict[str, Any]:
    return cluster.get_index(index)[index]["mappings"]["_meta"]


def write_topics(folder: Path, count: int = 12) -> list[str]:
    """Write questions that each repeat a record's text, and which record that is."""
    texts = tiny_index.texts(TEXTS)[:count]
    lines = [json.dumps({"_id": f"q{i}", "text": text}) for i, text in enumerate(texts)]
    (folder / "q.jsonl").write_text("\n".join(lines))
    (folder / "q.tsv").write_text("".join(f"q{i} 0 r{i} 1\n" for i in range(count)))
    return ["--queries", str(folder / "q.jsonl"), "--qrels", str(folder / "q.tsv")]


def test_a_dry_run_shows_what_is_learnt_and_writes_nothing(
    osmm: Callable[..., Result], cluster: Cluster, index: str, untouched: dict[str, Any], tmp_path: Path
) -> None:
    topics = write_topics(tmp_path)
    shown = osmm("index", "calibrate", index, *topics, "--dry-run", "--json")
    learnt = json.loads(shown.stdout)
    assert set(learnt["scores"]) == FIELDS
    assert set(learnt["scores"]["image_dense"]) == {"page"}
    assert set(learnt["scores"]["dense"]) == {"passage"}
    assert set(learnt["relevance"]) == {"hybrid"}
    assert "Nothing was written" in shown.stderr
    assert meta(cluster, index) == untouched


def test_every_setting_of_a_mixed_index_ranks_again_as_its_search_does(
    cluster: Cluster, index: str, home: Path
) -> None:
    """Pages have no text, which a search can tell by the vectors of its own profile only."""
    described = describe(index, cluster.get_index(index))
    base = described.profile("hybrid")
    fields = FIELDS
    settings = [one for one in fusion_settings(described, base, fields) if one.profile.fusion][::5]
    settings += [
        one for one in fusion_settings(described, base, fields) if set(one.fields) == {"text", "image_dense"}
    ]
    profiles = {str(number): one.profile for number, one in enumerate(settings)}
    trying = replace(
        described, meta=described.meta.model_copy(update={"profiles": {"all": base, **profiles}})
    )
    searcher = Searcher(cluster, trying)
    question = searcher.score("alpha beta gamma", profile="all", k=20)
    assert question.candidates
    for name, profile in profiles.items():
        hits = searcher.search("alpha beta gamma", profile=name, k=20, fetch=False).hits
        found = rank(trying, question, profile)[:20]
        assert [one.score for one in found] == pytest.approx([hit.score for hit in hits], abs=1e-5), name
        apart = {hit.id: hit.score for hit in hits}
        assert all(one.score == pytest.approx(apart.get(one.id, hits[-1].score), abs=1e-5) for one in found)


def test_means_are_those_of_the_best_exact_scores(cluster: Cluster, index: str, home: Path) -> None:
    described = describe(index, cluster.get_index(index))
    asked = [
        (f"{text} gamma", source) for text, source in (("alpha beta", "r3"), ("beta", "r9"), ("query", None))
    ]
    learnt = learn_scores(cluster, described, [Question(text, source) for text, source in asked])
    stored = tiny_index.stored(cluster, index)
    for field, modality, share in (("dense", "passage", TEXTS), ("image_dense", "page", PICTURES)):
        depth = round(20 * share / (TEXTS + PICTURES))
        encoder = IndexEncoders(described).get(field)
        best: list[float] = []
        for text, source in asked:
            query = encoder.encode_queries([text])[0]
            exact = [
                float(np.dot(query, r[field])) for key, r in stored.items() if field in r and key != source
            ]
            best += sorted(exact, reverse=True)[:depth]
        if len(best) < 30:
            assert field not in learnt
            continue
        moments = learnt[field][modality]
        assert moments.count == len(best)
        assert moments.mean == pytest.approx(np.mean(best), abs=1e-5)
        assert moments.deviation == pytest.approx(np.std(best, ddof=1), abs=1e-5)
    assert learnt["dense"]["passage"].count == 3 * round(20 * TEXTS / (TEXTS + PICTURES))


def test_a_sample_is_the_same_again_and_its_sentences_are_its_own(cluster: Cluster, index: str) -> None:
    described = describe(index, cluster.get_index(index))
    records = sample_records(cluster, described, 10, seed=3)
    assert records == sample_records(cluster, described, 10, seed=3)
    assert records != sample_records(cluster, described, 10, seed=4)
    assert {record.modality for record in records} == {"page", "passage"}
    questions = questions_from(records, 4)
    assert len(questions) == 4
    texts = {record.id: record.text for record in records}
    for question in questions:
        assert question.text in texts[question.source]


def test_fusion_by_what_was_learnt(
    osmm: Callable[..., Result], cluster: Cluster, index: str, untouched: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput, match=r"no statistics of field '\w+'.*osmm index calibrate"):
        Searcher(cluster, index).search("alpha beta", profile="text_image")
    told = osmm("index", "calibrate", index, "--sample", "20")
    assert "give real questions with --queries" in " ".join(told.stderr.split())
    written = meta(cluster, index)
    assert {**written["multimodal"], "statistics": 0} == {**untouched["multimodal"], "statistics": 0}
    scores = written["multimodal"]["statistics"]["scores"]
    result = Searcher(cluster, index).search("alpha beta", profile="text_image", k=PICTURES + TEXTS)
    assert {hit.stages["modality"] for hit in result.hits} == {"page", "passage"}
    for hit in result.hits:
        modality = hit.stages["modality"]
        known = {field: score for field, score in hit.stages["scores"].items() if score is not None}
        assert set(known) == ({"image_dense"} if modality == "page" else FIELDS - {"image_dense"})
        values = [
            (score - scores[field][modality]["mean"]) / scores[field][modality]["deviation"]
            for field, score in known.items()
        ]
        assert hit.score == pytest.approx(sum(values) / len(values), abs=1e-4)


def test_relevance_learnt_from_judgements_cuts(
    osmm: Callable[..., Result], cluster: Cluster, index: str, untouched: dict[str, Any], tmp_path: Path
) -> None:
    cut = {"cut": {"method": "relevance"}}
    with pytest.raises(InvalidInput, match=f"osmm index calibrate {index} --profile hybrid"):
        Searcher(cluster, index).search("alpha", profile="hybrid", overrides=cut)
    topics = write_topics(tmp_path)
    osmm("index", "calibrate", index, *topics, "--profile", "hybrid")
    result = Searcher(cluster, index).search("alpha alpha", profile="hybrid", k=20, overrides=cut)
    assert result.cut is not None
    assert len(result.hits) == result.cut.size < result.cut.of
    assert result.to_json()["cut"]["method"] == "relevance"
    explained = osmm("search", index, "alpha alpha", "--override", json.dumps(cut), "--explain").stdout
    assert "cut by relevance: " in explained
    assert "relevant results are expected among" in explained
    other = {**cut, "retrievers": [{"type": "bm25", "field": "text"}], "fusion": None}
    uncut = Searcher(cluster, index).search("alpha alpha", profile="hybrid", overrides=other)
    assert uncut.cut is None
    assert any("not cut: relevance was learnt from scores of" in note for note in uncut.notes)
    again = osmm("index", "calibrate", index, "--sample", "5")
    assert "the relevance learnt for 'hybrid'" in " ".join(again.stderr.split())


def test_the_score_curve_needs_nothing_learnt(cluster: Cluster, index: str) -> None:
    whole = Searcher(cluster, index).search("alpha beta", profile="dense", k=20)
    cut = Searcher(cluster, index).search(
        "alpha beta", profile="dense", k=20, overrides={"cut": {"method": "score_curve", "min": 2, "max": 10}}
    )
    assert cut.cut is not None
    assert 2 <= cut.cut.size == len(cut.hits) <= 10
    assert [hit.id for hit in cut.hits] == [hit.id for hit in whole.hits[: cut.cut.size]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--qrels", "q.tsv"], "--qrels: needs --queries"),
        (["--profile", "hybrid"], "--profile: relevance is learnt from judgements"),
    ],
)
def test_options_that_do_not_go_together(
    osmm: Callable[..., Result], index: str, arguments: list[str], message: str
) -> None:
    assert message in " ".join(osmm("index", "calibrate", index, *arguments, code=1).stderr.split())


def test_an_empty_index_has_nothing_to_learn_from(
    osmm: Callable[..., Result], cluster: Cluster, home: Path
) -> None:
    name = f"calibrate-{uuid.uuid4().hex[:8]}"
    tiny_index.create(cluster, name)
    refused = osmm("index", "calibrate", name, code=1)
    assert "holds no records to learn from" in " ".join(refused.stderr.split())
    cluster.delete_index(name)
