"""``osmm evaluate`` against a real server, on records whose ranks can be told by hand."""

from __future__ import annotations

import base64
import io
import json
import re
from html import unescape
from math import log2
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from PIL import Image

from opensearch_multimodal.cli import main
from opensearch_multimodal.evaluation import html_sources
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
    pages = load_template("pages")["mappings"]["properties"]
    body["mappings"]["properties"] |= {field: pages[field] for field in ("image", "image_uri")}
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


HOSTILE = "<script>alert('oak')</script>"


def _png(colour):
    file = io.BytesIO()
    Image.new("RGB", (300, 400), colour).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")


@pytest.fixture
def pages(server, index):
    """The same index with pages in it: two with an image, one whose image is broken; removed afterwards."""
    from opensearch_multimodal.client import Cluster

    cluster = Cluster(server.url)
    sources = {
        f"p1{HOSTILE}": {"title": HOSTILE, "text": f"Oak and {HOSTILE}", "image": _png("red")},
        "p2": {
            "title": "oak",
            "text": "An oak again.",
            "image": _png("blue"),
            "image_uri": "https://e.org/p2",
        },
        "p3": {"title": "beech", "text": "Oak?", "image": base64.b64encode(b"no image").decode("ascii")},
    }
    for record, source in sources.items():
        path = f"/{index}/_doc/{quote(record, safe='')}"
        cluster.call("PUT", path, {**source, "document_id": "d", "modality": "page"})
    cluster.refresh(index)
    yield list(sources)
    cluster.delete_by_query(index, {"term": {"document_id": "d"}})
    cluster.close()


def _images(text):
    found = re.findall(
        r'<image id="[^"]+" width="240" height="320" href="data:image/jpeg;base64,([^"]+)"', text
    )
    for one in found:
        with Image.open(io.BytesIO(base64.b64decode(one))) as image:
            yield image.convert("RGB").getpixel((5, 5))


def test_the_report_shows_hits_side_by_side_with_page_images(run, pages, tmp_path):
    queries = {"q1": HOSTILE + " oak", "q2": "sing", "free": "unjudged"}
    qrels = [("q1", "p2", 1), ("q1", "pine", 0), ("q2", "whale", 2), ("q2", "sunk", 1)]
    place, runs = tmp_path / "new" / "report.html", tmp_path / "runs"
    result = run(queries, qrels, "--html", str(place), "--json", "--save-runs", str(runs))
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["queries"] == 2
    assert f"Report: {place}" in result.stderr
    assert (runs / "text.run").exists()
    assert [path.name for path in place.parent.iterdir()] == ["report.html"]

    text = place.read_text("utf-8")
    assert "<script" not in text
    assert HOSTILE in unescape(text)
    for part in (
        "OpenSearch 3.6.0",
        "Note:</strong> 1 queries have no relevant record and were left out",
        "Warning:</strong> profile &#39;title&#39; returned nothing for 1 of 2 queries",
        "▼ 1 lost",
        "✕ judged not relevant",
        "Whales sing.",
        "No hits.",
        "not found",
        '<a href="https://e.org/p2" rel="noreferrer noopener">p2</a>',
    ):
        assert part in text, part
    red, blue = sorted(_images(text), reverse=True)
    assert red[0] > 200 > 50 > red[2]
    assert blue[2] > 200 > 50 > blue[0]


def test_a_report_on_one_profile_on_parts_of_records(run, tmp_path):
    place = tmp_path / "report.html"
    result = run({"q1": "oak"}, [("q1", "oak", 1)], "--profile", "text", "--html", str(place))
    assert result.exit_code == 0, result.output
    text = place.read_text("utf-8")
    assert "hits on passages count for their record" in text
    assert re.search(r"best part: oak#c[12]<", text)
    assert "Lowest values" in text


def test_a_report_without_queries_to_show(run, tmp_path):
    place = tmp_path / "report.html"
    result = run({"q1": "oak"}, [("q1", "oak", 1)], "--html", str(place), "--html-queries", "0")
    assert result.exit_code == 0, result.output
    assert "<details" not in place.read_text("utf-8")


def test_page_images_beyond_the_limit_are_left_out_and_that_is_told(run, pages, tmp_path, monkeypatch):
    monkeypatch.setattr(html_sources, "IMAGES_LIMIT", 1_500)
    place = tmp_path / "report.html"
    result = run({"q1": "oak"}, [("q1", "p2", 1)], "--profile", "text", "--html", str(place))
    assert result.exit_code == 0, result.output
    text = place.read_text("utf-8")
    assert len(list(_images(text))) == 1
    assert "page images of the first 1 records only" in text


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
