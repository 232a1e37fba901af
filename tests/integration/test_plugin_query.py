"""The query multimodal and the processor multimodal_query: what they ask, what comes back, what they skip."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bridge import Bridge
from faulty_service import Answer, Call

GOLDEN = Path(__file__).parents[1] / "golden" / "dashboards"
EXAMPLE = Path(__file__).parents[2] / "ingest" / "pipelines" / "multimodal_query.json"
COLOURS = ("red", "green", "blue")
COUNT = 12


def hit(number: int, score: float, index: str = "t-pages") -> dict[str, Any]:
    """Return a hit as the service gives it."""
    return {"index": index, "id": f"d{number}", "score": score}


RANKED = [hit(7, 0.9), hit(2, 0.8), hit(11, 0.5), hit(4, 0.5), hit(0, 0.1)]
IDS = [entry["id"] for entry in RANKED]


def fill(bridge: Bridge, name: str) -> None:
    """Index documents that all say the same words, each on its own day."""
    given = {
        f"d{i}": {
            "title": "a report",
            "text": f"the budget of the committee, part {i}",
            "colour": COLOURS[i % 3],
            "when": f"2026-01-{i + 1:02}T00:00:00Z",
        }
        for i in range(COUNT)
    }
    items = bridge.bulk(name, given)
    assert {item["status"] for item in items.values()} == {201}


@pytest.fixture
def pages(bridge: Bridge) -> Bridge:
    """The bridge, with documents in two shards, and hits that the service will give."""
    bridge.create("t-pages", shards=2)
    fill(bridge, "t-pages")
    bridge.service.hits = RANKED
    return bridge


@pytest.fixture
def bar(pages: Bridge) -> Iterator[Bridge]:
    """The same, with the request processor in the index's default pipeline."""
    pages.done("PUT", "/_search/pipeline/bar", json.loads(EXAMPLE.read_text()))
    pages.done("PUT", "/t-pages/_settings", {"index.search.default_pipeline": "bar"})
    yield pages
    pages.done("PUT", "/t-pages/_settings", {"index.search.default_pipeline": "_none"})
    pages.done("DELETE", "/_search/pipeline/bar")


def ask(
    bridge: Bridge, query: dict[str, Any] | None = None, path: str = "/t-pages/_search", **body: Any
) -> Any:
    """Search with a multimodal query, or with another one."""
    return bridge.ask("POST", path, {"query": query or clause(), **body})


def clause(**more: Any) -> dict[str, Any]:
    """Return a multimodal clause."""
    return {"multimodal": {"query_text": "budget", **more}}


def only_call(bridge: Bridge) -> Call:
    """Return the one call that was made."""
    (call,) = bridge.service.calls
    return call


def test_documents_come_in_the_service_s_order_with_its_scores(pages: Bridge) -> None:
    reply = pages.ask(
        "POST",
        "/t-pages/_search",
        {"query": clause(profile="gqr", overrides={"rerank": {"depth": 5}})},
        authorization="Basic YWJj",
    )
    assert reply.ids == IDS
    assert reply.scores == pytest.approx([0.9, 0.8, 0.5, 0.5, 0.1])
    assert reply.body["hits"]["total"] == {"value": 5, "relation": "eq"}
    assert "Warning" not in reply.headers
    call = only_call(pages)
    assert call.path == "/v1/rank"
    assert call.headers["authorization"] == "Basic YWJj"
    assert 0 < call.body.pop("deadline_ms") <= 3_000
    assert call.body == {
        "indices": ["t-pages"],
        "k": 10,
        "query_text": "budget",
        "profile": "gqr",
        "overrides": {"rerank": {"depth": 5}},
    }


def test_without_credentials_none_are_sent(pages: Bridge) -> None:
    ask(pages)
    assert "authorization" not in only_call(pages).headers


def test_an_image_is_a_query_too(pages: Bridge) -> None:
    reply = pages.ask(
        "POST", "/t-pages/_search?preference=me", {"query": {"multimodal": {"query_image": "AAAA"}}}
    )
    assert reply.ids == IDS
    body = only_call(pages).body
    assert (body["query_image"], body["preference"]) == ("AAAA", "me")
    assert "query_text" not in body


def test_pages_of_results(pages: Bridge) -> None:
    assert ask(pages, **{"from": 1, "size": 2}).ids == IDS[1:3]
    assert pages.service.calls[-1].body["k"] == 10
    assert ask(pages, size=40).ids == IDS
    assert pages.service.calls[-1].body["k"] == 40
    reply = ask(pages, clause(k=20), **{"from": 15, "size": 10})
    assert reply.status == 400
    assert reply.reason == "from + size = 25 is more than k = 20 of [multimodal]: raise [k], or ask for less"
    reply = ask(pages, **{"from": 1_995, "size": 10})
    assert reply.status == 400
    assert reply.reason == "from + size = 2005 is more than the 2000 documents that [multimodal] can rank"


def test_negative_and_equal_scores_keep_their_order(pages: Bridge) -> None:
    pages.service.hits = [hit(7, 1.5), hit(2, -0.5), hit(11, -0.5), hit(4, -2)]
    reply = ask(pages)
    assert reply.ids == ["d7", "d2", "d11", "d4"]
    assert reply.scores == pytest.approx([1.5 + 2, -0.5 + 2, -0.5 + 2, 0])


def test_hits_that_are_not_there_any_more_are_left_out(pages: Bridge) -> None:
    pages.done("DELETE", "/t-pages/_doc/d2?refresh=true")
    pages.service.hits = [*RANKED, hit(99, 0.05), hit(1, 0.01, "t-other")]
    assert ask(pages).ids == ["d7", "d11", "d4", "d0"]


def test_boost_and_name(pages: Bridge) -> None:
    reply = ask(pages, clause(boost=2, _name="mine"))
    assert reply.scores[0] == pytest.approx(2 * 0.9)
    assert reply.body["hits"]["hits"][0]["matched_queries"] == ["mine"]


def test_aggregations_source_and_highlights(pages: Bridge) -> None:
    reply = ask(
        pages,
        aggs={"colours": {"terms": {"field": "colour"}}},
        _source=["colour"],
        highlight={"fields": {"*": {}}},
    )
    buckets = {
        bucket["key"]: bucket["doc_count"] for bucket in reply.body["aggregations"]["colours"]["buckets"]
    }
    assert buckets == {"green": 2, "blue": 2, "red": 1}
    first = reply.body["hits"]["hits"][0]
    assert set(first["_source"]) == {"colour"}
    assert "<em>budget</em>" in first["highlight"]["text"][0]
    assert reply.scores == pytest.approx([0.9, 0.8, 0.5, 0.5, 0.1])


def test_filters_around_the_clause_go_to_the_service(pages: Bridge) -> None:
    colour = {"term": {"colour": "green"}}
    query = {
        "bool": {
            "must": [clause(filter={"exists": {"field": "text"}}), {"exists": {"field": "title"}}],
            "filter": [colour],
            "must_not": [{"term": {"colour": "blue"}}],
        }
    }
    reply = ask(pages, {"bool": {"must": [query]}})
    assert reply.ids == ["d7", "d4"]
    sent = json.dumps(only_call(pages).body["filter"])
    for part in (
        '"exists": {"field": "text"',
        '"exists": {"field": "title"',
        '"green"',
        '"must_not"',
        '"blue"',
    ):
        assert part in sent
    assert "multimodal" not in sent


def test_equal_clauses_each_have_the_filters_around_them(pages: Bridge) -> None:
    def branch(colour: str) -> dict[str, Any]:
        return {"bool": {"must": [clause()], "filter": [{"term": {"colour": colour}}]}}

    reply = ask(pages, {"bool": {"should": [branch("green"), branch("blue")]}})
    assert reply.ids == ["d7", "d2", "d11", "d4"]
    sent = [json.dumps(call.body["filter"]) for call in pages.service.calls]
    assert sorted(("green" in one, "blue" in one) for one in sent) == [(False, True), (True, False)]


def test_beside_other_queries(pages: Bridge) -> None:
    ranked = clause()
    for query in (
        {"dis_max": {"queries": [ranked]}},
        {"function_score": {"query": ranked, "weight": 1}},
        {"constant_score": {"filter": ranked}},
        {"script_score": {"query": ranked, "script": {"source": "_score"}}},
        {"bool": {"should": [ranked, {"term": {"colour": "none"}}]}},
    ):
        reply = ask(pages, query)
        assert set(reply.ids) == set(IDS), query
    near = {"knn": {"dense": {"vector": [1, 2, 3, 4], "k": 5, "filter": ranked}}}
    assert ask(pages, near).status == 200


def test_with_hybrid(pages: Bridge) -> None:
    pipeline = {"phase_results_processors": [{"normalization-processor": {}}]}
    query = {"hybrid": {"queries": [clause(), {"term": {"colour": "green"}}]}}
    reply = pages.ask("POST", "/t-pages/_search", {"query": query, "search_pipeline": pipeline, "size": 1})
    assert reply.status == 200, reply.body
    assert reply.ids == ["d7"]


def test_post_filter_collapse_rescore_and_sorting(pages: Bridge) -> None:
    assert ask(pages, post_filter={"term": {"colour": "green"}}).ids == ["d7", "d4"]
    assert ask(pages, collapse={"field": "colour"}).ids == ["d7", "d2", "d0"]
    boosted = {
        "window_size": 5,
        "query": {"rescore_query": {"ids": {"values": ["d0"]}}, "rescore_query_weight": 10},
    }
    assert ask(pages, rescore=boosted).ids[0] == "d0"
    assert ask(pages, sort=[{"when": "asc"}]).ids == ["d0", "d2", "d4", "d7", "d11"]


def test_point_in_time_and_search_after(pages: Bridge) -> None:
    pit = pages.done("POST", "/t-pages/_search/point_in_time?keep_alive=1m")["pit_id"]
    body = {"pit": {"id": pit}, "size": 2, "sort": [{"_score": "desc"}, {"when": "asc"}]}
    first = pages.ask("POST", "/_search", {"query": clause(), **body})
    assert first.ids == IDS[:2]
    assert only_call(pages).body["indices"] == ["t-pages"]
    after = first.body["hits"]["hits"][-1]["sort"]
    second = pages.ask("POST", "/_search", {"query": clause(), "search_after": after, **body})
    assert second.ids == IDS[2:4]
    pages.done("DELETE", "/_search/point_in_time", {"pit_id": [pit]})


def test_aliases_go_on_as_the_caller_wrote_them(pages: Bridge) -> None:
    green = {"index": "t-pages", "alias": "t-green", "filter": {"term": {"colour": "green"}}}
    pages.done("POST", "/_aliases", {"actions": [{"add": green}]})
    assert ask(pages, path="/t-green/_search").ids == ["d7", "d4"]
    assert only_call(pages).body["indices"] == ["t-green"]
    ask(pages, path="/t-p*/_search")
    assert pages.service.calls[-1].body["indices"] == ["t-p*"]
    ask(pages, path="/_search")
    assert pages.service.calls[-1].body["indices"] == ["_all"]


def test_explain_validate_count_and_msearch(pages: Bridge) -> None:
    assert pages.done("POST", "/t-pages/_validate/query", {"query": clause()})["valid"]
    assert not pages.service.calls
    explained = pages.done("POST", "/t-pages/_explain/d7", {"query": clause()})
    assert explained["explanation"]["value"] == pytest.approx(0.9)
    assert pages.done("POST", "/t-pages/_count", {"query": clause()})["count"] == 5
    line = json.dumps({"query": clause()})
    replies = pages.done("POST", "/t-pages/_msearch", f"{{}}\n{line}\n{{}}\n{line}\n")["responses"]
    assert [len(reply["hits"]["hits"]) for reply in replies] == [5, 5]
    assert len(pages.service.calls) == 4


def test_equal_clauses_make_one_call(pages: Bridge) -> None:
    again = {"window_size": 5, "query": {"rescore_query": clause()}}
    reply = ask(
        pages,
        {"bool": {"must": [clause()], "filter": [{"exists": {"field": "text"}}]}},
        rescore=again,
        aggs={"mine": {"filter": clause()}},
    )
    assert reply.body["aggregations"]["mine"]["doc_count"] == 5
    assert reply.scores[0] == pytest.approx(2 * 0.9)
    only_call(pages)


NOT_PLAIN = "[multimodal]: [filter] takes no [multimodal] and no [wrapper] query"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({}, "[multimodal] needs [query_text] or [query_image]"),
        ({"query_text": " "}, "[multimodal] needs [query_text] or [query_image]"),
        ({"query_text": "a", "k": 0}, "[multimodal]: [k] must be from 1 to 2000, not 0"),
        ({"query_text": "a", "on_failure": "hope"}, "[multimodal]: [on_failure] must be error or bm25"),
        ({"query_image": "AAAA", "on_failure": "bm25"}, "[multimodal]: [on_failure] bm25 needs [query_text]"),
        ({"query_text": "a", "url": "http://elsewhere"}, "[multimodal] does not take [url] as VALUE_STRING"),
        ({"query_text": "a", "filter": {"bool": {"must": [clause()]}}}, NOT_PLAIN),
        ({"query_text": "a", "filter": {"wrapper": {"query": "eyJtYXRjaF9hbGwiOnt9fQ=="}}}, NOT_PLAIN),
        ({"query_text": ["a"]}, "[multimodal] does not take [query_text] as START_ARRAY"),
    ],
)
def test_a_wrong_clause_is_refused(pages: Bridge, query: dict[str, Any], reason: str) -> None:
    reply = ask(pages, {"multimodal": query})
    assert reply.status == 400
    assert reply.reason == reason
    assert not pages.service.calls


def test_an_image_is_bounded_as_those_of_documents_are(pages: Bridge) -> None:
    pages.configure(ingest__max_image_size="1kb")
    reply = ask(pages, {"multimodal": {"query_image": "A" * 2_000}})
    assert reply.status == 400
    assert reply.reason == (
        "[multimodal]: [query_image] has about 1500 bytes, more than 1kb, "
        "the limit of [multimodal.ingest.max_image_size]"
    )
    assert not pages.service.calls


def test_the_service_is_told_that_bm25_will_do(pages: Bridge) -> None:
    ask(pages, clause(on_failure="bm25"))
    ask(pages, clause(on_failure="error"))
    assert [call.body.get("on_failure") for call in pages.service.calls] == ["bm25", None]


def test_what_it_becomes_cannot_be_asked_for(pages: Bridge) -> None:
    reply = ask(pages, {"multimodal_ranked_documents": {"documents": 1}})
    assert reply.status == 400
    assert "cannot be asked for" in reply.reason


def test_it_works_in_searches_only(pages: Bridge) -> None:
    stored = {"actions": [{"add": {"index": "t-pages", "alias": "t-filtered", "filter": clause()}}]}
    reply = pages.ask("POST", "/_aliases", stored)
    assert reply.status == 400
    assert not pages.service.calls


def refusal(status: int, kind: str = "x") -> Any:
    """Answer with an error of the service."""
    error = {"error": {"type": kind, "reason": "as I said"}}
    return lambda _: Answer(error, status)


@pytest.mark.parametrize(
    ("status", "seen"),
    [
        (400, 400),
        (401, 401),
        (403, 403),
        (409, 409),
        (413, 400),
        (429, 429),
        (500, 502),
        (502, 502),
        (503, 503),
        (504, 504),
    ],
)
def test_the_service_s_errors_are_told(pages: Bridge, status: int, seen: int) -> None:
    with pages.service.behaving(refusal(status)):
        reply = ask(pages)
    assert reply.status == seen
    assert "as I said" in reply.reason
    assert "budget" not in str(reply.body)


WRONG = {
    "garbage": Answer(b"<html>"),
    "other protocol": Answer({"hits": []}, headers={"x-multimodal-protocol": "2"}),
    "no protocol": Answer({"hits": []}, headers={}),
    "no hits": Answer({}),
    "no scores": Answer({"hits": [{"index": "t-pages", "id": "d1"}]}),
    "not in order": Answer({"hits": [hit(1, 0.1), hit(2, 0.2)]}),
    "more than asked for": Answer({"hits": [hit(i, -i) for i in range(11)]}),
}


@pytest.mark.parametrize("answer", WRONG)
def test_a_wrong_answer_is_an_error(pages: Bridge, answer: str) -> None:
    with pages.service.behaving(lambda _: WRONG[answer]):
        reply = ask(pages)
    assert reply.status == 502
    assert reply.reason.startswith("the multimodal service cannot be understood")


def test_a_service_that_hangs_does_not_hold_a_search_for_ever(pages: Bridge) -> None:
    pages.configure(service__timeout="500ms")
    with pages.service.behaving(pages.service.hang):
        reply = ask(pages)
        assert reply.status == 504
        replies: list[Any] = []
        searches = [threading.Thread(target=lambda: replies.append(ask(pages))) for _ in range(16)]
        for search in searches:
            search.start()
        plain = pages.ask("POST", "/t-pages/_search", {"query": {"match": {"text": "budget"}}})
        assert len(plain.ids) == 10
        for search in searches:
            search.join()
    assert {reply.status for reply in replies} <= {504, 429}
    assert len(replies) == 16


def test_many_searches_at_once_are_not_mixed_up(pages: Bridge) -> None:
    def own(call: Call) -> Answer:
        time.sleep(0.02)
        return Answer({"hits": [hit(int(call.body["query_text"]) % COUNT, 1.0)]})

    seen: dict[int, list[str]] = {}

    def search(number: int) -> None:
        seen[number] = ask(pages, {"multimodal": {"query_text": str(number)}}).ids

    with pages.service.behaving(own):
        searches = [threading.Thread(target=search, args=(number,)) for number in range(32)]
        for each in searches:
            each.start()
        for each in searches:
            each.join()
    assert seen == {number: [f"d{number % COUNT}"] for number in range(32)}


def test_ingest_does_not_starve_search(pages: Bridge) -> None:
    pages.pipeline("encode")
    pages.create("t-more", settings={"default_pipeline": "encode"})

    def behave(call: Call) -> Answer | None:
        return pages.service.hang(call) if call.path == "/v1/encode" else pages.service.answer(call)

    with pages.service.behaving(behave):
        writer = threading.Thread(
            target=lambda: pages.bulk("t-more", {f"d{i}": {"text": "a"} for i in range(300)})
        )
        writer.start()
        time.sleep(0.3)
        assert ask(pages).ids == IDS
        writer.join()


def test_bm25_instead_of_an_error(pages: Bridge) -> None:
    pages.service.stop()
    try:
        assert ask(pages).status == 503
        reply = ask(pages, clause(on_failure="bm25", filter={"term": {"colour": "green"}}), size=3)
    finally:
        pages.service.start()
    assert reply.status == 200
    assert reply.headers["Warning"].startswith("299 ")
    assert "ranked by BM25" in reply.headers["Warning"]
    assert set(reply.ids) <= {"d1", "d4", "d7", "d10"}
    assert len(reply.ids) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 409])
def test_bm25_does_not_hide_a_mistake(pages: Bridge, status: int) -> None:
    with pages.service.behaving(refusal(status)):
        assert ask(pages, clause(on_failure="bm25")).status == status


def test_a_degraded_answer_is_marked(pages: Bridge) -> None:
    pages.service.degraded = "bm25"
    reply = ask(pages)
    assert reply.ids == IDS
    assert reply.headers["Warning"].startswith("299 ")


FIXTURES = sorted(path.stem for path in GOLDEN.glob("*.json"))


@pytest.mark.parametrize("name", FIXTURES)
def test_dashboards_requests_are_answered(bar: Bridge, name: str) -> None:
    fixture = json.loads((GOLDEN / f"{name}.json").read_text())
    plain = bar.ask("POST", "/t-pages/_search?search_pipeline=_none", fixture["body"])
    assert not bar.service.calls
    reply = bar.ask("POST", "/t-pages/_search", fixture["body"])
    assert reply.status == plain.status == 200
    assert set(reply.body) == set(plain.body)
    assert set(reply.body["hits"]) == set(plain.body["hits"])
    assert set(reply.body.get("aggregations", {})) == set(plain.body.get("aggregations", {}))
    expected = fixture["expected"]
    if expected is None:
        assert not bar.service.calls
        assert reply.ids == plain.ids
        return
    body = only_call(bar).body
    assert body["query_text"] == expected["query_text"]
    assert body["k"] == max(50, fixture["body"].get("size", 10))
    assert reply.ids == expected["ids"]
    keys = set(plain.body["hits"]["hits"][0]) - {"highlight"}
    assert all(set(each) - {"highlight"} == keys for each in reply.body["hits"]["hits"])
    if "highlight" in fixture["body"]:
        assert "field@budget@" in reply.body["hits"]["hits"][0]["highlight"]["text"][0]


SEARCHES = {
    "words": {"query": {"match": {"text": "the budget"}}},
    "words, best first": {"sort": ["_score"], "query": {"match": {"text": "the budget"}}},
    "words, best first, then newest": {
        "sort": ["_score", {"when": "desc"}],
        "query": {"match": {"text": "the budget"}},
    },
    "words, the long way": {"query": {"bool": {"must": [{"query_string": {"query": "the budget?"}}]}}},
}


@pytest.mark.parametrize("name", SEARCHES)
def test_one_search_is_one_call(bar: Bridge, name: str) -> None:
    assert bar.ask("POST", "/t-pages/_search", SEARCHES[name]).ids == IDS
    only_call(bar)


UNTOUCHED = {
    "operators": {"query": {"query_string": {"query": "budget AND committee"}}},
    "a wildcard": {"query": {"query_string": {"query": "budg*"}}},
    "a field": {"query": {"query_string": {"query": "colour:red"}}},
    "a phrase": {"query": {"multi_match": {"query": "the budget", "type": "phrase", "lenient": True}}},
    "chosen fields": {"query": {"multi_match": {"query": "the budget", "fields": ["title"]}}},
    "an operator option": {"query": {"match": {"text": {"query": "the budget", "operator": "and"}}}},
    "another field": {"query": {"match": {"title": "report"}}},
    "optional words": {
        "query": {"bool": {"should": [{"multi_match": {"query": "budget", "lenient": True}}]}}
    },
    "words not wanted": {"query": {"bool": {"must_not": [{"multi_match": {"query": "nothing"}}]}}},
    "two texts": {
        "query": {"bool": {"filter": [{"multi_match": {"query": "a"}}, {"multi_match": {"query": "the"}}]}}
    },
    "another query": {"query": {"function_score": {"query": {"match": {"text": "budget"}}}}},
    "everything": {"query": {"match_all": {}}},
    "no query": {"aggs": {"colours": {"terms": {"field": "colour"}}}},
    "no hits": {"size": 0, "query": {"match": {"text": "budget"}}},
    "index order": {"sort": ["_doc"], "query": {"match": {"text": "budget"}}},
    "oldest first": {"sort": [{"when": "asc"}], "query": {"match": {"text": "budget"}}},
    "newest first, with a tie-breaker": {
        "sort": [{"when": "desc"}, {"colour": "asc"}],
        "query": {"match": {"text": "budget"}},
    },
    "another order": {
        "sort": [{"colour": "asc"}, {"when": "asc"}],
        "query": {"match": {"text": "budget"}},
    },
    "worst first": {"sort": [{"_score": "asc"}, {"when": "asc"}], "query": {"match": {"text": "budget"}}},
    "a lowest score": {"min_score": 0.001, "query": {"match": {"text": "budget"}}},
    "a slice of others": {
        "query": {"match": {"text": "budget"}},
        "rescore": {"query": {"rescore_query": {"match_all": {}}}},
    },
}


@pytest.mark.parametrize("name", UNTOUCHED)
def test_what_it_does_not_understand_passes(bar: Bridge, name: str) -> None:
    reply = bar.ask("POST", "/t-pages/_search", UNTOUCHED[name])
    plain = bar.ask("POST", "/t-pages/_search?search_pipeline=_none", UNTOUCHED[name])
    assert reply.status == 200
    assert {**reply.body, "took": 0} == {**plain.body, "took": 0}
    assert not bar.service.calls


def test_nothing_by_query_is_touched(bar: Bridge) -> None:
    bar.service.hits = [hit(0, 1.0)]
    green = {"query": {"bool": {"filter": [{"match": {"text": "budget"}}, {"term": {"colour": "green"}}]}}}
    assert bar.done("POST", "/t-pages/_count", green)["count"] == 4
    bar.create("t-copy")
    source = {"index": "t-pages", **green}
    copied = bar.done("POST", "/_reindex?refresh=true", {"source": source, "dest": {"index": "t-copy"}})
    assert copied["created"] == 4
    few = bar.done(
        "POST", "/_reindex?refresh=true&max_docs=2", {"source": source, "dest": {"index": "t-copy"}}
    )
    assert few["updated"] == 2
    assert bar.done("POST", "/t-pages/_update_by_query?refresh=true", green)["updated"] == 4
    assert bar.done("POST", "/t-pages/_delete_by_query?refresh=true&slices=2", green)["deleted"] == 4
    assert set(bar.sources("t-pages")) == {f"d{i}" for i in range(COUNT) if i % 3 != 1}
    assert not bar.service.calls


def test_scrolls_are_not_touched(bar: Bridge) -> None:
    body = {"size": 5, "query": {"match": {"text": "budget"}}}
    page = bar.done("POST", "/t-pages/_search?scroll=1m", body)
    seen: list[str] = []
    while page["hits"]["hits"]:
        seen += [each["_id"] for each in page["hits"]["hits"]]
        page = bar.done("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": page["_scroll_id"]})
    assert sorted(seen) == sorted(f"d{i}" for i in range(COUNT))
    assert not bar.service.calls


def test_an_explicit_clause_is_asked_once_and_kept(bar: Bridge) -> None:
    assert ask(bar).ids == IDS
    assert "filter" not in only_call(bar).body


def test_what_else_is_demanded_goes_along(bar: Bridge) -> None:
    deep = {
        "bool": {
            "filter": [{"multi_match": {"query": "the budget", "type": "best_fields", "lenient": True}}],
            "should": [{"term": {"colour": "none"}}],
        }
    }
    query = {
        "bool": {"filter": [deep, {"term": {"colour": "green"}}], "must_not": [{"term": {"title": "x"}}]}
    }
    assert ask(bar, query).ids == ["d7", "d4"]
    sent = json.dumps(only_call(bar).body["filter"])
    assert '"green"' in sent
    assert "the budget" not in sent


def test_pages_of_a_search_sorted_by_date(bar: Bridge) -> None:
    body: dict[str, Any] = {"size": 2, "query": {"match": {"text": "budget"}}, "sort": [{"when": "desc"}]}
    first = bar.ask("POST", "/t-pages/_search", body)
    assert first.ids == IDS[:2]
    after = first.body["hits"]["hits"][-1]["sort"]
    assert bar.ask("POST", "/t-pages/_search", {**body, "search_after": after}).ids == IDS[2:4]
    dates = bar.ask("POST", "/t-pages/_search", {**body, "search_after": after[1:]})
    assert dates.ids == ["d1", "d0"]
    assert len(bar.service.calls) == 2


@pytest.mark.parametrize("sort", [["_score", {"when": "asc"}], [{"when": "desc"}]])
def test_what_reads_a_point_in_time_gets_every_match(bar: Bridge, sort: Any) -> None:
    pit = bar.done("POST", "/t-pages/_search/point_in_time?keep_alive=1m")["pit_id"]
    body = {"pit": {"id": pit}, "size": 5, "query": {"match": {"text": "budget"}}, "sort": sort}
    seen: list[str] = []
    page = bar.done("POST", "/_search?search_pipeline=bar", body)["hits"]["hits"]
    while page:
        seen += [each["_id"] for each in page]
        after = {**body, "search_after": page[-1]["sort"]}
        page = bar.done("POST", "/_search?search_pipeline=bar", after)["hits"]["hits"]
    bar.done("DELETE", "/_search/point_in_time", {"pit_id": [pit]})
    assert sorted(seen) == sorted(f"d{i}" for i in range(COUNT))
    assert not bar.service.calls


def test_an_export_by_search_after_gets_every_match(bar: Bridge) -> None:
    body: dict[str, Any] = {
        "size": 5,
        "query": {"match": {"text": "budget"}},
        "sort": [{"colour": "asc"}, {"when": "asc"}],
    }
    seen: list[str] = []
    page = bar.done("POST", "/t-pages/_search", body)["hits"]["hits"]
    while page:
        seen += [each["_id"] for each in page]
        after = {**body, "search_after": page[-1]["sort"]}
        page = bar.done("POST", "/t-pages/_search", after)["hits"]["hits"]
    assert sorted(seen) == sorted(f"d{i}" for i in range(COUNT))
    assert not bar.service.calls


def test_options_of_the_processor(pages: Bridge) -> None:
    options = {"profile": "fast", "k": 7, "on_failure": "bm25", "fields": ["title"], "sort_by_score": False}
    pipeline = {"request_processors": [{"multimodal_query": options}]}
    body = {
        "search_pipeline": pipeline,
        "size": 3,
        "sort": [{"when": "desc"}],
        "query": {"match": {"title": "report"}},
    }
    assert pages.ask("POST", "/t-pages/_search", body).ids == ["d11", "d7", "d4"]
    assert only_call(pages).body["k"] == 7
    assert only_call(pages).body["profile"] == "fast"
    pages.service.stop()
    try:
        reply = pages.ask("POST", "/t-pages/_search", body)
    finally:
        pages.service.start()
    assert reply.status == 200
    assert "ranked by BM25" in reply.headers["Warning"]


@pytest.mark.parametrize(
    "options", [{"k": 0}, {"k": 20_000}, {"on_failure": "hope"}, {"fields": [1]}, {"url": "http://elsewhere"}]
)
def test_a_pipeline_with_wrong_options_is_refused(bridge: Bridge, options: dict[str, Any]) -> None:
    pipeline = {"request_processors": [{"multimodal_query": options}]}
    assert bridge.ask("PUT", "/_search/pipeline/wrong", pipeline).status == 400
