"""``osmm evaluate`` against a real server, on records whose ranks can be told by hand."""

from __future__ import annotations

import json
from math import log2

import pytest
from click.testing import CliRunner

from opensearch_multimodal.cli import main
from opensearch_multimodal.mappings import load_template

RECORDS = {
    "oak#c1": {"title": "trees", "text": "The oak is a tree."},
    "oak#c2": {"title": "trees", "text": "Acorns grow on the oak, and the oak grows on."},
    "pine": {
        "title": "oak",
        "text": "The pine is green in winter, unlike an oak, a beech, a birch or an elm.",
    },
    "whale": {"title": "sea", "text": "Whales sing."},
}
"""For "oak", BM25 on the text finds the parts of oak before pine; on the title it finds pine alone."""


def _profile(field):
    return {"retrievers": [{"type": "bm25", "field": field, "k": 10}]}


@pytest.fixture(scope="module")
def index(server):
    from opensearch_multimodal.client import Cluster

    cluster = Cluster(server.url)
    body = load_template("passages")
    body["mappings"]["_meta"]["multimodal"]["profiles"] = {
        "default": "text",
        "text": _profile("text"),
        "title": _profile("title"),
    }
    body["mappings"]["properties"]["title"].pop("copy_to", None)
    name = "evaluate-me"
    cluster.create_index(name, body)
    for record, source in RECORDS.items():
        path = f"/{name}/_doc/{record.replace('#', '%23')}"
        cluster.call("PUT", path, {**source, "document_id": record, "modality": "passage"})
    cluster.refresh(name)
    yield name
    cluster.delete_index(name)
    cluster.close()


@pytest.fixture
def run(server, index, tmp_path):
    """Call the command; queries and judgements as dictionaries."""

    def call(queries, qrels, *more):
        lines = [json.dumps({"_id": key, "text": text}) for key, text in queries.items()]
        (tmp_path / "q").write_text("\n".join(lines))
        (tmp_path / "r").write_text("".join(f"{q} 0 {record} {g}\n" for q, record, g in qrels))
        files = ["--queries", str(tmp_path / "q"), "--qrels", str(tmp_path / "r")]
        return CliRunner().invoke(main, ["evaluate", index, *files, "--url", server.url, *more])

    return call


def test_numbers_told_by_hand(run, tmp_path):
    queries = {"q1": "oak", "q2": "sing", "q3": "nobody judged this"}
    qrels = [("q1", "oak", 2), ("q1", "pine", 1), ("q2", "whale", 1), ("q9", "whale", 1)]
    runs = tmp_path / "runs"
    result = run(queries, qrels, "--json", "--save-runs", str(runs))
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)

    assert list(values["profiles"]) == ["text", "title"]
    assert values["queries"] == 2
    assert values["skipped"] == {"without_judgements": 1, "without_text": 1}
    assert values["rolled_up"] is True
    text, title = (values["profiles"][name]["metrics"] for name in ("text", "title"))
    # By text: oak (its parts rolled up), then pine: ideal. By title: pine alone, and nothing for q2.
    assert text["ndcg@10"]["mean"] == text["recall@100"]["mean"] == text["mrr@10"]["mean"] == 1
    ideal = 2 / log2(1 + 1) + 1 / log2(2 + 1)
    assert title["ndcg@10"]["mean"] == pytest.approx((1 / ideal + 0) / 2)
    assert title["recall@100"]["mean"] == pytest.approx((1 / 2 + 0) / 2)
    difference = values["differences"]["title"]["recall@100"]
    assert difference["mean"] == pytest.approx((-1 / 2 - 1) / 2)
    assert difference["excludes_zero"] is True
    assert values["baseline"] == "text"

    for name in ("text", "title"):
        latency = values["profiles"][name]["latency_ms"]
        assert 0 < latency["p50"] <= latency["p95"]
        assert {"first_stage", "total"} <= set(values["profiles"][name]["stages_ms"])
    ranked = [line.split()[2] for line in (runs / "text.run").read_text().splitlines()]
    assert set(ranked[:2]) == {"oak#c1", "oak#c2"}
    assert ranked[2:] == ["pine", "whale"]
    assert "returned nothing for 1 of 2 queries" in result.stderr


def test_the_tables_show_means_differences_and_time(run):
    result = run(
        {"q1": "oak"}, [("q1", "oak", 1)], "--profile", "title", "--profile", "text", "--metric", "mrr@3"
    )
    assert result.exit_code == 0, result.output
    assert "difference to title" in result.stdout
    assert "+1.000 (+1.000 – +1.000)" in result.stdout
    assert "better" in result.stdout
    assert "Time to rank 3 hits in ms" in result.stdout


def test_judged_parts_are_not_rolled_up(run):
    result = run({"q1": "acorns"}, [("q1", "oak#c2", 1)], "--profile", "text", "--json")
    values = json.loads(result.stdout)
    assert values["rolled_up"] is False
    assert values["profiles"]["text"]["metrics"]["mrr@10"]["mean"] == 1


def test_limit_takes_the_first_judged_queries(run):
    queries = {"free": "tree", "q1": "oak", "q2": "sing"}
    result = run(
        queries, [("q2", "whale", 1), ("q1", "oak", 1)], "--limit", "1", "--profile", "text", "--json"
    )
    assert json.loads(result.stdout)["queries"] == 1


def test_another_id_scheme_is_noticed(run):
    result = run({"q1": "oak"}, [("q1", "forest/oak.txt", 1)], "--profile", "text")
    assert result.exit_code == 0
    assert "judged ids look like 'forest/oak.txt', returned ones like 'oak'" in result.stderr.replace(
        "\n", " "
    )


def test_an_unknown_profile_and_an_unknown_index_are_refused(run, server, tmp_path):
    result = run({"q1": "oak"}, [("q1", "oak", 1)], "--profile", "colbert")
    assert result.exit_code == 1
    assert "has no profile 'colbert'" in result.stderr
    result = run({"q1": "oak"}, [("q1", "oak", 1)], "--profile", "text", "--baseline", "title")
    assert result.exit_code == 1
    assert "--baseline 'title' is not among the profiles evaluated: text" in result.stderr
    files = ["--queries", str(tmp_path / "q"), "--qrels", str(tmp_path / "r"), "--url", server.url]
    result = CliRunner().invoke(main, ["evaluate", "no-such-index", *files])
    assert result.exit_code != 0
    assert "no-such-index" in result.stderr


def test_records_are_looked_up_in_all_indices_behind_a_name(server, index):
    from opensearch_multimodal.client import Cluster
    from opensearch_multimodal.mappings import describe
    from opensearch_multimodal.search import look_up

    cluster = Cluster(server.url)
    cluster.create_index("evaluate-me-too", load_template("passages"))
    try:
        for record in ("pine", "larch"):
            source = {"text": f"{record}. " * 100, "document_id": record, "modality": "passage"}
            cluster.call("PUT", f"/evaluate-me-too/_doc/{record}", {**source, "title": None})
        cluster.refresh("evaluate-me-too")
        both = describe("evaluate-me*", cluster.get_index("evaluate-me*"))
        first, second, third = look_up(
            cluster, both, [("larch", ["pine", "larch", "whale"]), ("whales", ["whale"]), ("none", [])]
        )
    finally:
        cluster.delete_index("evaluate-me-too")
        cluster.close()
    assert set(first) == {"pine", "larch", "whale"}
    assert first["larch"].index == "evaluate-me-too"
    assert first["larch"].snippet.startswith("larch. larch.")
    assert len(first["larch"].snippet) < 300
    assert second["whale"].source["title"] == "sea"
    assert third == {}
