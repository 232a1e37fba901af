"""``osmm tune``, and ranking again from kept scores, on a real index."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_index
from click.testing import CliRunner, Result

from opensearch_multimodal.cli import main
from opensearch_multimodal.client import Cluster
from opensearch_multimodal.mappings import describe, parse_profile
from opensearch_multimodal.search import Searcher, rank

QUESTIONS = 30


@pytest.fixture(scope="module")
def index(server: Any, home: Path) -> Iterator[str]:
    """Records that a rare word each tells apart, which BM25 sees and the tiny models do not."""
    cluster, name = Cluster(server.url), f"tune-{uuid.uuid4().hex[:8]}"
    described = tiny_index.create(cluster, name)
    files = home.parent / "files"
    files.mkdir()
    texts = tiny_index.texts(QUESTIONS)
    rows = [{"_id": f"r{i}", "title": "", "text": f"{text} rare{i}x"} for i, text in enumerate(texts)]
    (files / "corpus.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    assert tiny_index.ingest_files(cluster, described, files).written == QUESTIONS
    yield name
    cluster.delete_index(name)
    cluster.close()


@pytest.fixture
def osmm(server: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("OPENSEARCH_URL", server.url)
    # The words that a question shares with other records come from the record before.
    texts = tiny_index.texts(QUESTIONS)
    queries = [{"_id": f"q{i}", "text": f"rare{i}x {texts[i - 1]}"} for i in range(QUESTIONS)]
    (tmp_path / "queries").write_text("\n".join(json.dumps(query) for query in queries))
    (tmp_path / "qrels").write_text("".join(f"q{i} 0 r{i} 1\n" for i in range(QUESTIONS)))
    files = ["--queries", str(tmp_path / "queries"), "--qrels", str(tmp_path / "qrels")]

    def call(name: str, *more: str) -> Result:
        return CliRunner().invoke(main, ["tune", name, *files, *more], env={"COLUMNS": "200"})

    return call


def meta(cluster: Cluster, name: str) -> dict[str, Any]:
    return cluster.get_index(name)[name]["mappings"]["_meta"]["multimodal"]


def refined(primary: str, other: str, share: float) -> dict[str, Any]:
    return {"primary": primary, "complementary": ["text", other], "fused_share": share}


@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize("primary", [None, "dense", "multi_vector"])
def test_ranking_again_is_the_search_that_it_stands_for(cluster, index, home, primary, share):
    searcher = Searcher(cluster, index)
    other = "multi_vector" if primary == "dense" else "dense"
    refine = refined(primary, other, share) if primary else None
    overrides = {"refine": refine}
    base = searcher.index.profile("hybrid").model_dump(exclude_none=True)
    profile = parse_profile("again", {**base, **({"refine": refine} if refine else {})})
    for text in ("rare3x alpha beta", "gamma passage"):
        expected = searcher.search(text, profile="hybrid", overrides=overrides, fetch=False).hits
        question = searcher.score(text, profile="hybrid")
        asked = [copy.deepcopy(one) for one in question.candidates]
        fetched = searcher.fetch_vectors(question, [primary]) if primary else question
        before = [copy.deepcopy(one) for one in fetched.candidates]
        found = rank(searcher.index, fetched, profile)[: len(expected)]
        assert [one.id for one in found] == [hit.id for hit in expected]
        assert [one.score for one in found] == pytest.approx([hit.score for hit in expected], abs=1e-5)
        assert list(question.candidates) == asked
        assert list(fetched.candidates) == before


def test_a_part_of_the_retrievers_ranks_what_it_found_itself(cluster, index, home):
    searcher = Searcher(cluster, index)
    question = searcher.score("rare3x", profile="hybrid")
    for name in ("bm25", "dense"):
        expected = searcher.search("rare3x", profile=name, k=50, fetch=False).hits
        found = rank(searcher.index, question, searcher.index.profile(name))
        assert [one.id for one in found] == [hit.id for hit in expected]
    assert [one.id for one in rank(searcher.index, question, searcher.index.profile("bm25"))] == ["r3"]


def test_a_refinement_is_used_again_for_another_share(cluster, index, home):
    searcher = Searcher(cluster, index)
    question = searcher.fetch_vectors(searcher.score("rare3x alpha beta", profile="gqr"), ["dense"])
    refinements: dict[Any, Any] = {}
    for share in (0.0, 0.5, 0.75):
        base = searcher.index.profile("gqr")
        profile = base.model_copy(update={"refine": base.refine.model_copy(update={"fused_share": share})})
        kept = rank(searcher.index, question, profile, refinements)
        anew = rank(searcher.index, question, profile)
        assert [(one.id, one.score) for one in kept] == [(one.id, one.score) for one in anew]
    assert len(refinements) == 1


def test_a_clear_win_is_written_and_can_be_searched(cluster, index, osmm, home):
    shown = osmm(index, "--dry-run", "--json")
    assert shown.exit_code == 0, shown.output
    assert "tuned" not in meta(cluster, index)["profiles"]
    told = json.loads(shown.stdout)
    rows = {row["name"]: row for row in told["rows"]}
    assert told["better"]
    assert told["present"] == "gqr"
    assert rows["best single retriever: text"]["mean"]["mean"] == 1.0
    assert rows["tuned fusion"]["difference"]["low"] > 0
    assert {"min_max, equal weights", "rrf, equal weights", "tuned gqr"} <= rows.keys()

    result = osmm(index, "--make-default")
    assert result.exit_code == 0, result.output
    assert "Wrote profile 'tuned' into index" in result.stderr
    written = meta(cluster, index)
    assert written["profiles"]["default"] == "tuned"
    assert written["profiles"]["tuned"] == told["profile"]["tuned"]
    assert written["statistics"]["tuned"]["tuned"]["compared_with"] == "gqr"
    assert written["statistics"]["tuned"]["tuned"]["queries"] == QUESTIONS
    assert set(written["profiles"]) == {*describe_profiles(cluster, index), "default"}
    hits = Searcher(cluster, index).search(f"rare7x {tiny_index.texts(QUESTIONS)[6]}").hits
    assert hits[0].id == "r7"
    # Its own profile may be written over; it is now the present one and cannot beat itself.
    again = osmm(index)
    assert again.exit_code == 0, again.output
    assert "nothing is written" in again.stderr


def describe_profiles(cluster: Cluster, name: str) -> list[str]:
    return describe(name, cluster.get_index(name)).profile_names()


def test_a_single_retriever_cannot_beat_itself(cluster, index, osmm, home):
    before = meta(cluster, index)
    result = osmm(index, "--profile", "bm25", "--name", "other")
    assert result.exit_code == 0, result.output
    assert "No setting ranks otherwise than 'bm25', so nothing is written" in result.stderr
    assert meta(cluster, index) == before
    forced = osmm(index, "--profile", "bm25", "--name", "forced", "--force")
    assert forced.exit_code == 0, forced.output
    assert "forced" in meta(cluster, index)["profiles"]
    assert meta(cluster, index)["profiles"] | before["profiles"] == meta(cluster, index)["profiles"]


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--name", "hybrid"], "has a profile 'hybrid' that was not tuned; choose another"),
        (["--name", "default"], "--name: 'default' is no name for the profile"),
        (["--name", " "], "--name: ' ' is no name for the profile"),
        (["--limit", "19"], "queries: 19 with judgements, 5 folds need at least 20"),
        (["--profile", "none"], "has no profile 'none'"),
        (["--metric", "best"], "metric 'best' is unknown"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(cluster, index, osmm, home, more, complaint):
    before = meta(cluster, index)
    result = osmm(index, *more)
    assert result.exit_code == 1
    assert complaint in result.stderr
    assert meta(cluster, index) == before


def test_calibration_keeps_what_tuning_found(cluster, index, osmm, home, tmp_path):
    osmm(index, "--force", "--name", "kept")
    result = CliRunner().invoke(main, ["index", "calibrate", index, "--queries", str(tmp_path / "queries")])
    assert result.exit_code == 0, result.output
    assert "kept" in meta(cluster, index)["statistics"]["tuned"]


def test_what_was_changed_by_hand_is_not_written_over(cluster, index, osmm, home):
    assert osmm(index, "--force", "--name", "mine").exit_code == 0
    assert osmm(index, "--force", "--name", "mine").exit_code == 0  # its own work it may replace

    def change(whole: dict[str, Any]) -> dict[str, Any]:
        whole["multimodal"]["profiles"]["mine"]["retrievers"][0]["k"] = 77
        return whole

    cluster.update_meta(index, change)
    before = meta(cluster, index)
    result = osmm(index, "--force", "--name", "mine")
    assert result.exit_code == 1
    assert f"profile 'mine' of index '{index}' was changed since; choose another" in result.stderr
    assert meta(cluster, index) == before


def test_an_own_default_is_not_lost(cluster, index, osmm, home):
    def change(whole: dict[str, Any]) -> dict[str, Any]:
        profiles = whole["multimodal"]["profiles"]
        profiles["default"] = profiles["hybrid"]
        return whole

    was = meta(cluster, index)["profiles"]["default"]
    cluster.update_meta(index, change)
    before = meta(cluster, index)
    try:
        result = osmm(index, "--force", "--make-default", "--name", "another")
        assert result.exit_code == 1
        assert "has a profile 'default' of its own, which would be lost" in result.stderr
        assert meta(cluster, index) == before
    finally:
        cluster.update_meta(
            index,
            lambda whole: whole["multimodal"]["profiles"].update(default=was) or whole,
        )


def test_several_indices_can_be_looked_at_but_not_written_to(cluster, index, osmm, home):
    other = f"{index}-other"
    tiny_index.create(cluster, other)
    try:
        result = osmm(f"{index},{other}", "--profile", "hybrid", "--name", "new")
        assert result.exit_code == 1
        assert "stands for 2 indices: name one to write to" in result.stderr
    finally:
        cluster.delete_index(other)


def test_a_record_that_went_meanwhile_is_not_refined(cluster, home):
    name = f"tune-{uuid.uuid4().hex[:8]}"
    tiny_index.create(cluster, name)
    files = home.parent / "going"
    files.mkdir()
    tiny_index.write_jsonl(files / "corpus.jsonl", 6)
    try:
        tiny_index.ingest_files(cluster, describe(name, cluster.get_index(name)), files)
        searcher = Searcher(cluster, name)
        question = searcher.score("alpha beta", profile="gqr")
        assert {one.id for one in question.candidates} == {f"r{i}" for i in range(6)}
        cluster.call("DELETE", f"/{name}/_doc/r2", params={"refresh": "true"})
        fetched = searcher.fetch_vectors(question, ["dense"])
        ranked = rank(searcher.index, fetched, searcher.index.profile("gqr"))
        assert {one.id for one in ranked if one.refined is not None} == {f"r{i}" for i in range(6)} - {"r2"}
    finally:
        cluster.delete_index(name)
