"""The report as a browser reads it: what is escaped, what is told, what is not there."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from PIL import Image

from opensearch_multimodal.evaluation import HtmlReport, Measured, evaluate, render_html
from opensearch_multimodal.evaluation.comparison import choose_duels, view_query
from opensearch_multimodal.evaluation.html import ShownRecord, safe_link
from opensearch_multimodal.evaluation.html_sources import thumbnail

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&{{ 7*7 }}"
VOID = {"meta", "img"}
URL_ATTRIBUTES = {"href", "src", "action", "formaction", "xlink:href", "poster", "data"}


class Reader(HTMLParser):
    """Elements as (tag, attributes, text inside), in the order in which they end."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self._open = [], []
        self.feed(text)
        self.close()
        assert not self._open, f"left open: {[tag for tag, _, _ in self._open]}"

    def handle_starttag(self, tag, attrs):
        if tag in VOID:
            self.handle_startendtag(tag, attrs)
        else:
            self._open.append((tag, dict(attrs), []))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), ""))

    def handle_endtag(self, tag):
        opened, attributes, parts = self._open.pop()
        assert opened == tag, f"<{opened}> is closed by </{tag}>"
        text = "".join(parts)
        self.elements.append((tag, attributes, " ".join(text.split())))
        if self._open:
            self._open[-1][2].append(text)

    def handle_data(self, data):
        if self._open:
            self._open[-1][2].append(data)

    def all(self, tag, **wanted):
        return [
            (attributes, text)
            for name, attributes, text in self.elements
            if name == tag and all(attributes.get(key) == value for key, value in wanted.items())
        ]

    def texts(self, tag, **wanted):
        return [text for _, text in self.all(tag, **wanted)]


def _page(
    runs, qrels, *, texts=None, records=None, thumbnails=None, notes=(), most=10, index="manuals", **options
):
    report = evaluate(runs, qrels, ["mrr@10", "recall@10"], samples=50, **options)
    duels = choose_duels(report, "mrr@10", most)
    views = {
        (duel.profile, query): view_query(
            query,
            list(dict.fromkeys([report.baseline, duel.profile])),
            runs=runs,
            qrels=qrels,
            report=report,
            metric="mrr@10",
        )
        for duel in duels
        for query in (*duel.gains, *duel.losses)
    }
    return HtmlReport(
        index=index,
        k=10,
        made=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        versions=["OpenSearch 3.6.0"],
        notes=notes,
        report=report,
        measured={
            name: Measured(run, [10.0 + i, 20.0 + i], {"encode": [1.0], "total": [12.0]})
            for i, (name, run) in enumerate(runs.items())
        },
        metric="mrr@10",
        texts=texts or {query: f"text of {query}" for query in qrels},
        duels=duels,
        views=views,
        records={query: records or {} for query in qrels},
        thumbnails=thumbnails or {},
    )


QRELS = {"q1": {"a": 2, "y": 0}, "q2": {"a": 1}}
RUNS = {
    "bm25": {"q1": {"x": 3.0, "y": 2.0, "a": 1.0}, "q2": {"a": 1.0}},
    "gqr": {"q1": {"a": 2.0, "x": 1.0}, "q2": {"x": 2.0, "a": 1.0}},
}
RECORDS = {
    "a": ShownRecord("Pump manual", "Turn the valve.", "https://docs.example/a?b=1&c=2#page=3"),
    "x": ShownRecord("", "Nothing of use.", None),
}


def test_the_parts_of_the_report():
    reader = Reader(render_html(_page(RUNS, QRELS, records=RECORDS)))
    assert reader.texts("h1") == ["Evaluation of manuals"]
    assert reader.texts("h2")[:3] == ["Quality", "Latency against quality", "gqr against bm25"]
    assert "Evaluation of manuals" in reader.texts("title")
    assert {"mrr@10", "recall@10", "Largest wins (1 of 1)", "Largest losses (1 of 1)"} <= set(
        reader.texts("h3")
    )
    assert reader.all("html")[0][0]["lang"] == "en"
    assert len(reader.all("table")) == 2 + 1 + 2 * 2  # metrics, times, the hits of two queries twice
    assert reader.texts("time") == ["2026-01-02 03:04 UTC"]
    ids = [attributes["id"] for _, attributes, _ in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    anchors = {link["href"][1:] for link, _ in reader.all("a") if link["href"].startswith("#")}
    assert anchors
    assert anchors <= set(ids)


def test_headings_do_not_skip_a_level():
    text = render_html(_page(RUNS, QRELS))
    levels = [int(level) for level in re.findall(r"<h([1-6])[ >]", text)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_numbers_of_a_query_and_marks_of_its_hits():
    reader = Reader(render_html(_page(RUNS, QRELS, records=RECORDS)))
    first, second = reader.all("details")
    assert "open" in first[0]
    assert "open" not in second[0]
    summary = reader.texts("summary")
    assert summary[0] == "+0.667 text of q1 0.333 → 1.000"
    assert summary[1] == "−0.500 text of q2 1.000 → 0.500"
    hits = reader.texts("table", **{"class": "hits"})[0]
    assert "○ unjudged" in hits
    assert "✕ judged not relevant" in hits
    assert "✓ relevant, grade 2" in hits
    rows = reader.texts("tr", **{"class": "relevant"})
    assert any("Pump manual" in row and "Turn the valve." in row for row in rows)
    assert "▲2" in rows[0]


def test_one_verdict_per_difference_in_words():
    qrels = {f"q{i}": {"a": 1} for i in range(8)}
    good = {query: {"a": 2.0, "x": 1.0} for query in qrels}
    bad = {query: {"x": 2.0, "a": 1.0} for query in qrels}
    half = {query: (good if i % 2 else bad)[query] for i, query in enumerate(qrels)}
    text = render_html(_page({"half": half, "good": good, "bad": bad}, qrels))
    assert Reader(text).texts("span", **{"class": "verdict better"}) == ["▲ better"]
    assert Reader(text).texts("span", **{"class": "verdict worse"}) == ["▼ worse"]
    assert Reader(text).texts("span", **{"class": "verdict unclear"}) == ["◇ unclear"] * 2  # recall is equal


def test_what_the_index_and_the_queries_hold_stays_text():
    runs = {
        HOSTILE: {"q": {f"{HOSTILE}1": 2.0, f"{HOSTILE}2": 1.0}},
        f"{HOSTILE}b": {"q": {f"{HOSTILE}2": 2.0, f"{HOSTILE}1": 1.0}},
    }
    qrels = {"q": {f"{HOSTILE}2": 1, f"{HOSTILE}3": 1}}
    records = {
        f"{HOSTILE}{i}": ShownRecord(HOSTILE, HOSTILE, f"javascript:alert('{i}')") for i in range(1, 4)
    }
    image = thumbnail(Image.new("RGB", (60, 90), "red"))
    page = _page(
        runs,
        qrels,
        texts={"q": HOSTILE},
        records=records,
        thumbnails=dict.fromkeys(records, image),
        notes=[("warning", HOSTILE)],
        index=HOSTILE,
    )
    text = render_html(page)
    plain = render_html(
        _page({"a": {"q": {"1": 2.0, "2": 1.0}}, "b": {"q": {"2": 2.0, "1": 1.0}}}, {"q": {"2": 1}})
    )
    reader = Reader(text)
    assert {tag for tag, _, _ in reader.elements} - {"a", "image", "use", "defs", "ul", "li"} <= {
        tag for tag, _, _ in Reader(plain).elements
    }
    assert not reader.all("script")
    assert not reader.all("img")
    assert "49" not in reader.texts("h1")[0]
    assert reader.texts("h1") == [f"Evaluation of {HOSTILE}"]
    for _, attributes, _ in reader.elements:
        assert not [name for name in attributes if name.startswith("on") or name in {"style", "srcdoc"}]
        for name in URL_ATTRIBUTES & attributes.keys():
            assert attributes[name].startswith(("#", "data:image/jpeg;base64,"))
    assert any(HOSTILE in title for title in reader.texts("span", **{"class": "title"}))
    assert any(HOSTILE in snippet for snippet in reader.texts("p", **{"class": "snippet"}))


def test_the_file_forbids_scripts_and_the_network_and_allows_its_own_style():
    text = render_html(_page(RUNS, QRELS))
    reader = Reader(text)
    (policy,) = [
        a["content"] for a, _ in reader.all("meta") if a.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert rules["style-src"] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "script-src" not in rules
    assert "url(" not in style
    assert "@import" not in style
    assert text.index("Content-Security-Policy") < text.index("<style>")


@pytest.mark.parametrize(
    "link",
    [
        "https://docs.example/a.pdf#page=3",
        "http://10.0.0.1:8080/x?y=1&z=%20",
        "pages/manual.pdf#page=2",
        "manual.pdf",
    ],
)
def test_links_that_can_be_followed(link):
    assert safe_link(link) == link


@pytest.mark.parametrize(
    "link",
    [
        None,
        "",
        17,
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)",
        " javascript:alert(1)",
        "\x01javascript:alert(1)",
        "data:text/html,<script>1</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "//evil.example/x",
        "\\\\evil.example\\x",
        "https:\\\\evil.example",
        "https:evil",
        "http://[::1",
        "x:y",
        "/etc/passwd",
        "https://a b",
    ],
)
def test_links_that_stay_text(link):
    assert safe_link(link) is None


def test_a_safe_link_is_one_and_another_is_not():
    records = {"a": RECORDS["a"], "x": ShownRecord("t", "s", "javascript:alert(1)")}
    links = [a["href"] for a, _ in Reader(render_html(_page(RUNS, QRELS, records=records))).all("a")]
    assert set(links) - {"#quality", "#latency", "#queries-1"} == {"https://docs.example/a?b=1&c=2#page=3"}


def test_a_record_that_is_gone_and_one_without_title():
    text = " ".join(Reader(render_html(_page(RUNS, QRELS, records={"x": RECORDS["x"]}))).texts("td"))
    assert "This record is no longer in the index." in text
    assert "Nothing of use." in text


def test_a_query_without_hits():
    runs = {"bm25": {"q": {}}, "gqr": {"q": {"a": 1.0}}}
    reader = Reader(render_html(_page(runs, {"q": {"a": 1}})))
    assert "No hits." in reader.texts("td")
    assert "not found" in reader.texts("table", **{"class": "missed"})[0]


def test_identical_profiles_have_neither_wins_nor_details():
    reader = Reader(render_html(_page({"bm25": RUNS["bm25"], "copy": RUNS["bm25"]}, QRELS)))
    assert not reader.all("details")
    assert "Both have the same mrr@10 for every query." in reader.texts("p")
    assert "▲ 0 won = 2 tied ▼ 0 lost of 2 queries, by mrr@10" in reader.texts("p")


def test_a_profile_alone_shows_its_lowest_values_in_one_column():
    reader = Reader(render_html(_page({"bm25": RUNS["bm25"]}, QRELS, records=RECORDS)))
    assert "Query by query" in reader.texts("h2")
    assert "Lowest values" in reader.texts("h3")
    assert len(reader.all("table", **{"class": "hits"})) == 2
    assert reader.texts("summary")[0] == "0.333 text of q1"
    assert "baseline" not in reader.texts("body")[0].lower()


def test_a_single_query():
    reader = Reader(render_html(_page({"bm25": {"q": {"a": 1.0}}}, {"q": {"a": 1}})))
    assert len(reader.all("details")) == 1


def test_a_thousand_queries_are_drawn_and_only_some_shown():
    qrels = {f"q{i}": {"a": 1} for i in range(1000)}
    low = {query: {f"x{n}": 20.0 - n for n in range(i % 9)} | {"a": 1.0} for i, query in enumerate(qrels)}
    high = {query: {f"x{n}": 20.0 - n for n in range(i % 7)} | {"a": 1.0} for i, query in enumerate(qrels)}
    page = _page({"low": low, "high": high}, qrels, most=3)
    text = render_html(page)
    reader = Reader(text)
    assert len(reader.all("details")) == 3 + 3
    bars = [a for a, _ in reader.all("path") if a.get("class", "").startswith("bar")]
    (duel,) = page.duels
    assert [bar["d"].count("M") for bar in bars] == [duel.won, duel.lost]
    assert f"Largest wins (3 of {duel.won})" in reader.texts("h3")


def test_a_page_image_is_there_once_however_often_it_is_shown():
    image = thumbnail(Image.new("RGB", (600, 900), "white"))
    text = render_html(_page(RUNS, QRELS, records=RECORDS, thumbnails={"a": image}))
    reader = Reader(text)
    (stored,) = reader.all("image")
    assert stored[0]["href"] == image.uri
    assert (stored[0]["width"], stored[0]["height"]) == ("240", "360")
    uses = [a["href"] for a, _ in reader.all("use")]
    assert uses == [f"#{stored[0]['id']}"] * 4
    named = [
        a["aria-label"] for a, _ in reader.all("svg", role="img") if "Page image" in a.get("aria-label", "")
    ]
    assert named == ["Page image of a; press to enlarge"] * 4


def test_notes_are_told_and_long_texts_cut_where_they_only_lead():
    query = "word " * 100
    reader = Reader(
        render_html(
            _page(RUNS, QRELS, texts={"q1": query, "q2": "short"}, notes=[("note", "1 query was left out")])
        )
    )
    assert reader.texts("li", **{"class": "note"}) == ["Note: 1 query was left out"]
    assert len(reader.texts("span", **{"class": "text"})[0]) == 180
    assert f"query q1 {query.strip()}" in reader.texts("p", **{"class": "question"})


def test_parts_that_count_for_their_record_are_named():
    runs = {"bm25": {"q": {"x": 2.0, "a#c2": 1.0}}, "gqr": {"q": {"a#c3": 1.0}}}
    reader = Reader(render_html(_page(runs, {"q": {"a": 1}}, records={"a#c3": RECORDS["a"]})))
    parts = reader.texts("span", **{"class": "part"})
    assert parts == ["best part: a#c2", "best part: a#c3"]
