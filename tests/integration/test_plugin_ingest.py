"""The processor multimodal_encode: what it fills in, what it refuses, and how it stands a failing service."""

from __future__ import annotations

import base64
import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bridge import FIELDS, TOKEN, Bridge
from faulty_service import REFUSED, Answer, Call, FaultyService, answer_encode, vector

EXAMPLES = Path(__file__).parents[2] / "ingest" / "pipelines"
IMAGE = base64.b64encode(b"\x89PNG a picture").decode()


def documents(count: int) -> dict[str, dict[str, Any]]:
    """Return so many documents with texts of their own."""
    return {f"d{i}": {"text": f"text number {i}", "title": f"title {i}"} for i in range(count)}


def rejected(status: int, headers: dict[str, str] | None = None) -> Any:
    """Answer with an error of the service."""
    error = {"error": {"type": "busy", "reason": "come back"}}
    return lambda _: Answer(error, status, {"x-multimodal-protocol": "1", **(headers or {})})


@pytest.fixture
def encoding(bridge: Bridge) -> Bridge:
    """The bridge, with an index whose default pipeline encodes."""
    bridge.pipeline("encode")
    bridge.create("t-pages", settings={"default_pipeline": "encode"})
    return bridge


def test_fills_the_fields_that_the_index_describes(encoding: Bridge) -> None:
    items = encoding.bulk(
        "t-pages", {"a": {"text": "alpha", "title": "T"}, "b": {"text": "beta", "image": IMAGE}}
    )
    assert {item["status"] for item in items.values()} == {201}
    found = encoding.sources("t-pages")
    assert found["a"]["dense"] == pytest.approx(vector("alpha"))
    assert "picture" not in found["a"]
    assert found["b"]["picture"] == pytest.approx(vector(IMAGE))
    assert "image" not in found["b"]
    (call,) = encoding.service.calls
    assert call.path == "/v1/encode"
    assert call.body.pop("deadline_ms") == 2_000
    assert call.body == {
        "fields": FIELDS,
        "task": "passage",
        "inputs": [{"text": "alpha", "title": "T"}, {"text": "beta", "image": IMAGE}],
    }
    assert call.headers["x-multimodal-token"] == TOKEN
    assert call.headers["x-multimodal-protocol"] == "1"


def test_a_bulk_goes_in_batches(encoding: Bridge) -> None:
    items = encoding.bulk("t-pages", documents(100))
    assert len(items) == 100
    assert sorted(len(call.body["inputs"]) for call in encoding.service.calls) == [4, 32, 32, 32]
    found = encoding.sources("t-pages")
    assert {key: source["dense"] for key, source in found.items()} == {
        key: pytest.approx(vector(document["text"])) for key, document in documents(100).items()
    }


def test_a_batch_with_many_bytes_goes_in_parts(encoding: Bridge) -> None:
    encoding.configure(service__max_request_size="1kb")
    encoding.bulk("t-pages", {f"d{i}": {"text": f"{i}" * 400} for i in range(6)})
    assert sorted(len(call.body["inputs"]) for call in encoding.service.calls) == [2, 2, 2]
    assert len(encoding.sources("t-pages")) == 6


def test_long_texts_go_in_calls_that_the_service_takes(encoding: Bridge) -> None:
    items = encoding.bulk("t-pages", {f"d{i}": {"text": "a" * 90_000} for i in range(12)})
    assert {item["status"] for item in items.values()} == {201}
    sizes = [sum(len(one["text"]) for one in call.body["inputs"]) for call in encoding.service.calls]
    assert sorted(sizes) == [90_000 * 2, 90_000 * 5, 90_000 * 5]


def test_a_large_batch_goes_in_calls_that_the_service_takes(bridge: Bridge) -> None:
    bridge.pipeline("encode", batch_size=1_024)
    bridge.create("t-pages", settings={"default_pipeline": "encode"})
    items = bridge.bulk("t-pages", documents(600))
    assert {item["status"] for item in items.values()} == {201}
    assert sorted(len(call.body["inputs"]) for call in bridge.service.calls) == [600 - 2 * 256, 256, 256]


def test_what_is_too_large_together_is_sent_apart(encoding: Bridge) -> None:
    def small_calls_only(call: Call) -> Answer:
        texts = [one["text"] for one in call.body["inputs"]]
        if len(texts) > 3 or "huge" in texts:
            error = {"error": {"type": "too_large", "reason": "inputs: over the limit"}}
            return Answer(error, 413)
        return answer_encode(call)

    with encoding.service.behaving(small_calls_only):
        items = encoding.bulk("t-pages", {**documents(20), "huge": {"text": "huge"}})
    assert {key for key, item in items.items() if item["status"] != 201} == {"huge"}
    assert items["huge"]["status"] == 400
    assert "over the limit" in str(items["huge"]["error"])
    found = encoding.sources("t-pages")
    assert {key: source["dense"] for key, source in found.items()} == {
        key: pytest.approx(vector(document["text"])) for key, document in documents(20).items()
    }


def one_call_at_a_time(service: FaultyService, seconds: float) -> Any:
    """Encode as the service does: a second call waits for the first."""
    place = threading.Lock()

    def behave(call: Call) -> Answer:
        with place:
            time.sleep(seconds)
            return service.answer(call)

    return behave


def test_a_bulk_of_many_batches_is_written(encoding: Bridge) -> None:
    encoding.configure(service__max_encode_in_flight=None, service__encode_timeout="3s")
    with encoding.service.behaving(one_call_at_a_time(encoding.service, 1.0)):
        items = encoding.bulk("t-pages", documents(5 * 32))
    assert {item["status"] for item in items.values()} == {201}
    assert len(encoding.service.calls) == 5, "none took too long"


def test_of_a_bulk_that_takes_too_long_the_rest_is_to_come_again(encoding: Bridge) -> None:
    encoding.configure(
        service__max_encode_in_flight=None, service__encode_timeout="10s", service__max_retry_time="2s"
    )
    left = documents(8 * 32)
    with encoding.service.behaving(one_call_at_a_time(encoding.service, 1.0)):
        items = encoding.bulk("t-pages", left)
        assert {item["status"] for item in items.values()} == {201, 429}
        while left:
            left = {key: left[key] for key, item in items.items() if item["status"] == 429}
            items = encoding.bulk("t-pages", left) if left else {}
    assert all("dense" in source for source in encoding.sources("t-pages").values())
    assert len(encoding.sources("t-pages")) == 8 * 32
    assert len(encoding.service.calls) == 8, "nothing was encoded twice"


def test_an_attempt_that_takes_too_long_is_repeated(encoding: Bridge) -> None:
    encoding.configure(service__encode_timeout="1s")
    with encoding.service.behaving(encoding.service.first(1, encoding.service.hang)):
        assert encoding.ask("PUT", "/t-pages/_doc/1", {"text": "alpha"}).status == 201
    assert [call.body["deadline_ms"] for call in encoding.service.calls] == [1_000, 1_000]


def test_an_image_field_that_no_vectors_are_made_of_is_left_alone(bridge: Bridge) -> None:
    bridge.pipeline("encode")
    bridge.create("t-pages", fields={"dense": FIELDS["dense"]}, settings={"default_pipeline": "encode"})
    given = {"1": {"text": "alpha", "image": IMAGE}, "2": {"text": " ", "image": IMAGE}}
    given["3"] = {"text": "alpha", "colour": "https://example.org/a.png"}
    bridge.bulk("t-pages", given)
    assert {key: source.get("image") for key, source in bridge.sources("t-pages").items()} == {
        "1": IMAGE,
        "2": IMAGE,
        "3": None,
    }
    bridge.pipeline("encode", image_field="colour")
    bridge.bulk("t-pages", {"4": given["3"]})
    assert bridge.sources("t-pages")["4"]["colour"] == "https://example.org/a.png"


def test_one_bulk_may_go_to_several_indices(bridge: Bridge) -> None:
    bridge.pipeline("encode")
    bridge.create("t-one", settings={"default_pipeline": "encode"})
    bridge.create("t-two", settings={"default_pipeline": "encode"}, fields={"dense": FIELDS["dense"]})
    lines = [
        '{"index":{"_index":"t-one","_id":"1"}}\n{"text":"a"}\n',
        '{"index":{"_index":"t-two","_id":"2"}}\n{"text":"b"}\n',
    ]
    assert bridge.done("POST", "/_bulk?refresh=true", "".join(lines))["errors"] is False
    assert sorted(len(call.body["fields"]) for call in bridge.service.calls) == [1, 3]
    assert set(bridge.sources("t-one")["1"]) == {"text", "dense", "tokens"}
    assert set(bridge.sources("t-two")["2"]) == {"text", "dense"}


def test_an_alias_and_date_math_lead_to_the_write_index(bridge: Bridge) -> None:
    bridge.pipeline("encode")
    bridge.create("t-old", fields={"tokens": FIELDS["tokens"]})
    bridge.create("t-new", fields={"dense": FIELDS["dense"]})
    actions = [
        {"add": {"index": "t-old", "alias": "t-alias"}},
        {"add": {"index": "t-new", "alias": "t-alias", "is_write_index": True}},
    ]
    bridge.done("POST", "/_aliases", {"actions": actions})
    bridge.done("PUT", "/t-alias/_doc/1?pipeline=encode&refresh=true", {"text": "alpha"})
    assert set(bridge.sources("t-new")["1"]) == {"text", "dense"}
    bridge.create(time.strftime("t-%Y.%m.%d", time.gmtime()))
    bridge.done("PUT", "/%3Ct-%7Bnow%2Fd%7D%3E/_doc/1?pipeline=encode", {"text": "alpha"})


def test_a_data_stream_leads_to_its_write_index(bridge: Bridge) -> None:
    bridge.pipeline("encode")
    template = {
        "index_patterns": ["ts-*"],
        "data_stream": {},
        "template": {
            "settings": {"number_of_replicas": 0, "default_pipeline": "encode"},
            "mappings": {"_meta": {"multimodal": {"version": 1, "fields": {"tokens": FIELDS["tokens"]}}}},
        },
    }
    bridge.done("PUT", "/_index_template/t-streams", template)
    try:
        bridge.done("PUT", "/_data_stream/ts-logs")
        stamped = {"text": "alpha", "@timestamp": "2026-01-01T00:00:00Z"}
        bridge.done("POST", "/ts-logs/_doc?refresh=true", stamped)
        (found,) = bridge.sources("ts-logs").values()
        assert set(found) == {*stamped, "tokens"}
    finally:
        bridge.ask("DELETE", "/_data_stream/ts-logs")
        bridge.done("DELETE", "/_index_template/t-streams")


def test_one_bad_document_fails_alone(encoding: Bridge) -> None:
    given = {**documents(3), "bad": {"text": REFUSED}, "list": {"text": ["a", "b"]}}
    items = encoding.bulk("t-pages", given)
    assert {key: item["status"] for key, item in items.items()} == {
        "d0": 201,
        "d1": 201,
        "d2": 201,
        "bad": 400,
        "list": 400,
    }
    assert "the text has no words" in str(items["bad"]["error"])
    assert "field [text] must be a string" in str(items["list"]["error"])
    assert set(encoding.sources("t-pages")) == {"d0", "d1", "d2"}


@pytest.mark.parametrize(
    "uri",
    ["http://example.org/a.png", "s3://bucket/a.png", "file:///etc/passwd", "data:image/png;base64,AAAA"],
)
def test_an_image_comes_inline_only(encoding: Bridge, uri: str) -> None:
    reply = encoding.ask("PUT", "/t-pages/_doc/1", {"text": "alpha", "image": uri})
    assert reply.status == 400
    assert reply.reason.startswith("field [image] holds a URI")
    assert uri not in str(reply.body)
    assert not encoding.service.calls


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"text": "a", "image": "not base64!"}, "field [image] is not base64"),
        ({"text": "a", "image": ""}, "field [image] is empty"),
        ({"text": "a", "image": [IMAGE]}, "field [image] must be a base64 string, not a list"),
        ({"text": "a" * 1_001}, "field [text] with [title] has 1001 characters, more than 1000"),
        ({"text": "a", "image": "A" * 2_000}, "field [image] has about 1500 bytes, more than 1kb"),
        ({"title": "alone"}, "the document has none of the inputs"),
    ],
)
def test_a_document_out_of_bounds_is_refused(encoding: Bridge, document: dict[str, Any], reason: str) -> None:
    encoding.configure(ingest__max_text_length=1_000, ingest__max_image_size="1kb")
    reply = encoding.ask("PUT", "/t-pages/_doc/1", document)
    assert reply.status == 400
    assert reply.reason.startswith(reason)
    assert not encoding.service.calls


def test_a_blank_text_has_no_vectors(encoding: Bridge) -> None:
    encoding.bulk("t-pages", {"1": {"text": " ", "dense": [1, 2, 3, 4]}})
    assert encoding.sources("t-pages") == {"1": {"text": " "}}
    assert not encoding.service.calls


def test_missing_inputs_pass_where_the_pipeline_says(bridge: Bridge) -> None:
    bridge.pipeline("encode", ignore_missing=True, keep_image=True)
    bridge.create("t-pages")
    bridge.bulk("t-pages", {"1": {"colour": "red"}, "2": {"image": IMAGE}}, "&pipeline=encode")
    found = bridge.sources("t-pages")
    assert found["1"] == {"colour": "red"}
    assert set(found["2"]) == {"image", "picture"}


def test_other_names_and_chosen_fields(bridge: Bridge) -> None:
    derived = {"derived_from": "dense", "transform": "sign"}
    bridge.pipeline("encode", text_field="colour", fields=["picture"], image_field="error")
    bridge.create("t-pages", fields={**FIELDS, "binary": derived})
    bridge.bulk("t-pages", {"1": {"colour": "red", "error": IMAGE}}, "&pipeline=encode")
    assert set(bridge.sources("t-pages")["1"]) == {"colour", "picture"}
    bridge.pipeline("encode", fields=["nothing"])
    reply = bridge.ask("PUT", "/t-pages/_doc/2?pipeline=encode", {"text": "a"})
    assert reply.status == 400
    assert reply.reason == "_meta.multimodal of index [t-pages] does not describe field [nothing]"


def test_a_field_that_is_only_needed_for_another_is_not_set(bridge: Bridge) -> None:
    bridge.pipeline("encode", fields=["tokens"])
    described = {"dense": FIELDS["dense"], "tokens": {"derived_from": "dense", "transform": "sign"}}
    bridge.create("t-pages", fields=described)

    def answer(call: Call) -> Answer:
        return Answer({"results": [{"values": {"dense": [1, 2, 3, 4], "tokens": "AAAA"}}]})

    with bridge.service.behaving(answer):
        bridge.bulk("t-pages", {"1": {"text": "a"}}, "&pipeline=encode")
    assert bridge.service.calls[0].body["fields"] == described
    assert bridge.sources("t-pages") == {"1": {"text": "a", "tokens": "AAAA"}}


def test_an_update_makes_the_text_s_vectors_anew_and_keeps_the_image_s(encoding: Bridge) -> None:
    encoding.bulk("t-pages", {"1": {"text": "alpha", "image": IMAGE}})
    encoding.done("POST", "/t-pages/_update/1?refresh=true", {"doc": {"text": "omega"}})
    found = encoding.sources("t-pages")["1"]
    assert found["dense"] == pytest.approx(vector("omega"))
    assert found["picture"] == pytest.approx(vector(IMAGE))


def test_partial_updates_in_a_bulk(encoding: Bridge) -> None:
    encoding.bulk("t-pages", {"1": {"text": "alpha"}})

    def update(document: dict[str, Any], **more: Any) -> int:
        lines = [{"update": {"_id": "1"}}, {"doc": document, **more}]
        body = "".join(json.dumps(line) + "\n" for line in lines)
        (item,) = encoding.done("POST", "/t-pages/_bulk?refresh=true", body)["items"]
        (result,) = item.values()
        return int(result["status"])

    assert update({"colour": "red"}) == 200
    assert update({"text": "omega"}) == 200
    found = encoding.sources("t-pages")["1"]
    assert (found["text"], found["dense"]) == ("omega", pytest.approx(vector("alpha"))), "OpenSearch's rule"
    assert update({"text": "omega"}, doc_as_upsert=True) == 200
    assert encoding.sources("t-pages")["1"]["dense"] == pytest.approx(vector("omega"))
    assert update({"colour": "blue"}, doc_as_upsert=True) == 400


def test_vectors_that_a_client_sends_are_replaced(encoding: Bridge) -> None:
    encoding.bulk("t-pages", {"1": {"text": "alpha", "dense": [9, 9, 9, 9]}})
    assert encoding.sources("t-pages")["1"]["dense"] == pytest.approx(vector("alpha"))


def test_an_index_must_exist_and_describe_itself(bridge: Bridge) -> None:
    bridge.pipeline("encode")
    bridge.create("t-plain", fields=None)
    reply = bridge.ask("PUT", "/t-plain/_doc/1?pipeline=encode", {"text": "a"})
    assert reply.status == 400
    assert "osmm index create" in reply.reason
    assert "osmm index stamp" in reply.reason
    reply = bridge.ask("PUT", "/t-absent/_doc/1?pipeline=encode", {"text": "a"})
    assert reply.status == 400
    assert reply.reason.startswith("index [t-absent] does not exist")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"batch_size": 0}, "batch size must be a positive integer"),
        ({"batch_size": 2_000}, "must be at most 1024"),
        ({"fields": []}, "must be a list of names"),
        ({"timeout": "soon"}, "must be a time such as 30s"),
        ({"timeout": "2d"}, "must be from 10ms to 1h"),
        ({"url": "http://elsewhere"}, "doesn't support one or more provided configuration parameters [url]"),
    ],
)
def test_a_pipeline_with_wrong_options_is_refused(
    bridge: Bridge, options: dict[str, Any], reason: str
) -> None:
    reply = bridge.ask("PUT", "/_ingest/pipeline/wrong", {"processors": [{"multimodal_encode": options}]})
    assert reply.status == 400
    assert reason in str(reply.body)


def test_the_example_is_taken(bridge: Bridge) -> None:
    bridge.done(
        "PUT", "/_ingest/pipeline/example", json.loads((EXAMPLES / "multimodal_encode.json").read_text())
    )
    bridge.create("t-pages")
    bridge.done("PUT", "/t-pages/_doc/1?pipeline=example&refresh=true", {"text": "alpha"})
    assert "dense" in bridge.sources("t-pages")["1"]


def test_simulate(encoding: Bridge) -> None:
    docs = [
        {"_index": "t-pages", "_source": {"text": "alpha"}},
        {"_index": "t-pages", "_source": {"text": REFUSED}},
    ]
    for verbose in ("", "?verbose=true"):
        good, bad = encoding.done("POST", f"/_ingest/pipeline/encode/_simulate{verbose}", {"docs": docs})[
            "docs"
        ]
        assert "dense" in str(good)
        assert "the text has no words" in str(bad)


def test_statistics_count_documents_and_failures(encoding: Bridge) -> None:
    def counts() -> tuple[int, int]:
        (node,) = encoding.done("GET", "/_nodes/stats/ingest")["nodes"].values()
        (processor,) = node["ingest"]["pipelines"]["encode"]["processors"]
        stats = processor["multimodal_encode"]["stats"]
        return stats["count"], stats["failed"]

    before = counts()
    encoding.bulk("t-pages", {**documents(4), "bad": {"text": REFUSED}})
    count, failed = counts()
    assert (count - before[0], failed - before[1]) == (5, 1)


def test_a_processor_with_a_condition_encodes_too(bridge: Bridge) -> None:
    bridge.pipeline("encode", **{"if": "ctx.colour == 'red'"})
    bridge.create("t-pages")
    given = {"1": {"text": "a", "colour": "red"}, "2": {"text": "b", "colour": "blue"}}
    bridge.bulk("t-pages", given, "&pipeline=encode")
    found = bridge.sources("t-pages")
    assert "dense" in found["1"]
    assert "dense" not in found["2"]


def test_another_model_fails_the_whole_call(encoding: Bridge) -> None:
    reason = "the index has fingerprint f1, the service f9"
    mismatch = Answer({"error": {"type": "model_mismatch", "reason": reason}}, 409)
    with encoding.service.behaving(lambda _: mismatch):
        items = encoding.bulk("t-pages", documents(3))
    # 400 and not 409, which a reindex with conflicts=proceed would pass over
    assert {item["status"] for item in items.values()} == {400}
    assert all(reason in str(item["error"]) for item in items.values())
    assert len(encoding.service.calls) == 1


FAULTS = {
    "garbage": (lambda _: Answer(b"<html>"), 502),
    "no object": (lambda _: Answer(b"[]"), 502),
    "wrong shape": (lambda _: Answer({"results": []}), 502),
    "no values": (lambda call: Answer({"results": [{} for _ in call.body["inputs"]]}), 502),
    "not a number": (
        lambda call: Answer(
            (
                '{"results":[' + ",".join(['{"values":{"dense":[NaN]}}'] * len(call.body["inputs"])) + "]}"
            ).encode()
        ),
        502,
    ),
    "a field nobody asked for": (
        lambda call: Answer({"results": [{"values": {"_id": "AAAA"}} for _ in call.body["inputs"]]}),
        502,
    ),
    "other protocol": (
        lambda call: replace(answer_encode(call), headers={"x-multimodal-protocol": "2"}),
        502,
    ),
    "no protocol": (lambda call: replace(answer_encode(call), headers={}), 502),
    "huge": (lambda _: Answer(b" " * 2_000_000), 502),
    "refused": (rejected(400), 400),
    "unauthorized": (rejected(401), 401),
    "broken inside": (rejected(500), 502),
    "redirect": (
        lambda _: Answer({}, 302, {"location": "http://127.0.0.1:1/", "x-multimodal-protocol": "1"}),
        502,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_answer_fails_the_documents_at_once(encoding: Bridge, fault: str) -> None:
    encoding.configure(service__max_response_size="1mb")
    behaviour, status = FAULTS[fault]
    with encoding.service.behaving(behaviour):
        items = encoding.bulk("t-pages", documents(40))
    assert {item["status"] for item in items.values()} == {status}
    assert "text number" not in str(items)
    assert len(encoding.service.calls) == 2, "one call for each batch, none repeated"
    assert encoding.sources("t-pages") == {}


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_retried(encoding: Bridge, status: int) -> None:
    with encoding.service.behaving(encoding.service.first(5, rejected(status))):
        items = encoding.bulk("t-pages", documents(100))
    assert {item["status"] for item in items.values()} == {201}
    assert all("dense" in source for source in encoding.sources("t-pages").values())
    assert len(encoding.service.calls) == 4 + 5


def test_a_lost_connection_is_retried(encoding: Bridge) -> None:
    with encoding.service.behaving(encoding.service.first(3, lambda _: None)):
        items = encoding.bulk("t-pages", documents(50))
    assert {item["status"] for item in items.values()} == {201}
    assert len(encoding.service.calls) == 2 + 3


def test_retry_after_is_honoured(encoding: Bridge) -> None:
    arrived: list[float] = []

    def busy(call: Call) -> Answer:
        arrived.append(time.monotonic())
        if len(arrived) == 1:
            answer: Answer = rejected(429, {"retry-after": "2"})(call)
            return answer
        return encoding.service.answer(call)

    with encoding.service.behaving(busy):
        assert encoding.ask("PUT", "/t-pages/_doc/1", {"text": "a"}).status == 201
    assert arrived[1] - arrived[0] >= 2


def test_a_service_that_stays_busy_makes_clients_back_off(encoding: Bridge) -> None:
    with encoding.service.behaving(rejected(429, {"retry-after": "60"})):
        items = encoding.bulk("t-pages", documents(40))
    assert {item["status"] for item in items.values()} == {429}
    assert len(encoding.service.calls) == 2, "the pause asked for does not fit the time allowed"


def test_a_killed_service(encoding: Bridge) -> None:
    encoding.service.stop()
    try:
        items = encoding.bulk("t-pages", documents(40))
        assert {item["status"] for item in items.values()} == {503}
        back = threading.Timer(1.5, encoding.service.start)
        back.start()
        items = encoding.bulk("t-pages", documents(300))
        back.join()
    finally:
        encoding.service.stop()
        encoding.service.start()
    assert {item["status"] for item in items.values()} == {201}
    assert all("dense" in source for source in encoding.sources("t-pages").values())


def test_a_service_that_hangs_holds_neither_threads_nor_places(encoding: Bridge) -> None:
    encoding.bulk("t-pages", documents(40))
    encoding.done("DELETE", "/t-pages")
    encoding.create("t-pages", settings={"default_pipeline": "encode"})
    threads = encoding.threads()
    results: list[dict[str, Any]] = []
    with encoding.service.behaving(encoding.service.hang):
        clients = [
            threading.Thread(target=lambda: results.append(encoding.bulk("t-pages", documents(300))))
            for _ in range(6)
        ]
        for client in clients:
            client.start()
        time.sleep(1)
        assert encoding.service.peak == 4
        assert encoding.threads() <= threads + 30
        assert encoding.done("GET", "/_cluster/health?timeout=2s")["status"] in ("green", "yellow")
        assert encoding.done("POST", "/t-pages/_search", {"query": {"match_all": {}}})["hits"]["hits"] == []
        for client in clients:
            client.join()
    statuses = {item["status"] for result in results for item in result.values()}
    assert sum(len(result) for result in results) == 6 * 300
    assert statuses <= {504, 429}
    assert encoding.sources("t-pages") == {}
    encoding.service.released.set()
    items = encoding.bulk("t-pages", documents(300))
    assert {item["status"] for item in items.values()} == {201}


def test_a_slow_service_gets_no_more_than_it_may(encoding: Bridge) -> None:
    with encoding.service.behaving(encoding.service.slow(0.2)):
        items = encoding.bulk("t-pages", documents(320))
    assert {item["status"] for item in items.values()} == {201}
    assert 2 <= encoding.service.peak <= 4
    assert all("dense" in source for source in encoding.sources("t-pages").values())


def test_a_full_queue_rejects_like_any_other(encoding: Bridge) -> None:
    encoding.configure(service__max_encode_in_flight=1, service__max_queue=2)
    with encoding.service.behaving(encoding.service.slow(0.5)):
        items = encoding.bulk("t-pages", documents(320))
    statuses = [item["status"] for item in items.values()]
    assert (statuses.count(201), statuses.count(429)) == (3 * 32, 7 * 32)
    (types,) = {item["error"]["type"] for item in items.values() if item["status"] == 429}
    assert "rejected" in types
    assert len(encoding.sources("t-pages")) == 96


def test_ignore_failure_lets_documents_pass_without_stale_vectors(bridge: Bridge) -> None:
    bridge.pipeline("encode", ignore_failure=True)
    bridge.create("t-pages")
    bridge.bulk("t-pages", {"1": {"text": "alpha"}}, "&pipeline=encode")
    with bridge.service.behaving(rejected(500)):
        items = bridge.bulk("t-pages", {"1": {"text": "omega", "dense": [1, 2, 3, 4]}}, "&pipeline=encode")
    assert items["1"]["status"] == 200
    assert bridge.sources("t-pages") == {"1": {"text": "omega"}}


def test_on_failure_tells_why(bridge: Bridge) -> None:
    keep = [{"set": {"field": "error", "value": "{{_ingest.on_failure_message}}"}}]
    bridge.pipeline("encode", on_failure=keep)
    bridge.create("t-pages")
    given = {**documents(40), "bad": {"text": REFUSED}}
    items = bridge.bulk("t-pages", given, "&pipeline=encode")
    assert {item["status"] for item in items.values()} == {201}
    found = bridge.sources("t-pages")
    assert found["bad"] == {
        "text": REFUSED,
        "error": "the multimodal service refused the document: the text has no words",
    }
    assert all("dense" in found[key] for key in documents(40))


def test_a_processor_s_own_time_limit(bridge: Bridge) -> None:
    bridge.pipeline("encode", timeout="200ms")
    bridge.create("t-pages")
    with bridge.service.behaving(bridge.service.slow(1)):
        reply = bridge.ask("PUT", "/t-pages/_doc/1?pipeline=encode", {"text": "a"})
    assert reply.status == 504
    assert "did not answer within 200ms" in reply.reason


def test_the_log_holds_nothing_of_documents(encoding: Bridge) -> None:
    for fault in FAULTS.values():
        with encoding.service.behaving(fault[0]):
            encoding.bulk("t-pages", {"1": {"text": "unmistakable-secret", "title": "unmistakable-secret"}})
    log = (encoding.server.data / "logs" / "opensearch-multimodal.log").read_text()
    assert "unmistakable-secret" not in log
    assert TOKEN not in log
    assert "calls to [http://localhost" in log
