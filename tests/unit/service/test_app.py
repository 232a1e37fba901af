"""What holds for every route: tokens, protocol, metrics, the OpenAPI document, silence about content."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import tiny_index
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from starlette.testclient import TestClient

from opensearch_multimodal.service import ClusterAccess, ServiceLimits, ServiceSettings
from opensearch_multimodal.service.encoding import EncodeService
from opensearch_multimodal.service.lanes import Job

Start = Callable[..., TestClient]

TOKEN = "0123456789abcdef"
NOWHERE = ClusterAccess("http://127.0.0.1:9")
SECRET = "Geheimnis"
POSTS = ("/v1/encode", "/v1/rank", "/v1/search")
GETS = ("/v1/models", "/health/live", "/health/ready", "/metrics", "/openapi.json")


def encode(text: str) -> dict[str, Any]:
    return {"model": tiny_index.DENSE, "task": "query", "inputs": [{"text": text}]}


def test_everything_but_health_asks_for_the_token(start: Start) -> None:
    client = start(tokens=(TOKEN,))
    for path in (*POSTS, *GETS):
        send = client.post if path in POSTS else client.get
        open_to_all = path.startswith("/health/")
        anonymous = send(path)
        assert (anonymous.status_code == 401) is not open_to_all, path
        assert send(path, headers={"X-Multimodal-Token": "x" * 16}).status_code == anonymous.status_code
        for headers in ({"X-Multimodal-Token": TOKEN}, {"Authorization": f"Bearer {TOKEN}"}):
            assert send(path, headers=headers).status_code != 401, path
    assert anonymous.headers["www-authenticate"] == "Bearer"


def test_a_search_without_the_callers_own_authorization(start: Start) -> None:
    client = start(tokens=(TOKEN,), cluster=NOWHERE, require_authorization=True)
    question = {"indices": ["manuals"], "query_text": "alpha"}
    for path in ("/v1/rank", "/v1/search"):
        for headers in ({"X-Multimodal-Token": TOKEN}, {"Authorization": f"Bearer {TOKEN}"}):
            answer = client.post(path, json=question, headers=headers)
            assert answer.status_code == 401
            assert "caller's Authorization" in answer.json()["error"]["reason"]
        both = {"X-Multimodal-Token": TOKEN, "Authorization": "Basic dTpw"}
        assert client.post(path, json=question, headers=both).status_code == 502


def test_every_answer_speaks_the_protocol_and_another_one_is_refused(client: TestClient) -> None:
    for path in GETS:
        assert client.get(path).headers["x-multimodal-protocol"] == "1", path
    for path in (*POSTS, "/nowhere"):
        assert client.post(path, content=b"{").headers["x-multimodal-protocol"] == "1", path
    for version, status in (("1", 200), ("2", 400), ("", 400)):
        answer = client.post("/v1/encode", json=encode("alpha"), headers={"X-Multimodal-Protocol": version})
        assert answer.status_code == status
    assert client.get("/health/live", headers={"X-Multimodal-Protocol": "2"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/v1/encode", 405), ("DELETE", "/v1/rank", 405), ("POST", "/metrics", 405)],
)
def test_other_addresses_get_the_same_shape(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]["type"] == "invalid_input"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON (line 1"),
        (b"[1]", "a JSON object is needed"),
        (b'{"inputs": NaN}', "not valid JSON"),
        (b'{"inputs": "\\ud800"}', "not valid JSON"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
def test_bodies_that_are_no_request(client: TestClient, body: bytes, reason: str) -> None:
    answer = client.post("/v1/encode", content=body)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]["reason"]


def test_compressed_bodies_are_refused_before_they_grow(client: TestClient) -> None:
    answer = client.post("/v1/encode", content=b"{}", headers={"Content-Encoding": "gzip"})
    assert "must not be compressed" in answer.json()["error"]["reason"]


def test_without_a_cluster_nothing_is_searched(client: TestClient) -> None:
    answer = client.post("/v1/rank", json={"indices": ["x"], "query_text": "y"})
    assert answer.status_code == 400
    assert "only encodes" in answer.json()["error"]["reason"]


def test_ready_says_what_is_missing(start: Start) -> None:
    assert start(models=(tiny_index.DENSE,)).get("/health/ready").json() == {"status": "ready", "checks": {}}
    answer = start(models=("bge-small-en-v1.5", "unknown"), cluster=NOWHERE).get("/health/ready")
    assert answer.status_code == 503
    checks = answer.json()["checks"]
    assert "osmm models pull bge-small-en-v1.5" in checks["model bge-small-en-v1.5"]
    assert "cannot be read" in checks["model unknown"]
    assert "ClusterUnreachable" in checks["cluster"]


def test_too_many_calls_at_a_time(start: Start) -> None:
    client = start(limits=ServiceLimits(in_flight=1))
    client.app._service.in_flight = 1  # type: ignore[attr-defined]
    answer = client.post("/v1/encode", json=encode("alpha"))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert client.get("/health/live").status_code == 200


def test_metrics_count_answers_stages_and_errors(client: TestClient) -> None:
    for text in ("alpha", "beta"):
        client.post("/v1/encode", json=encode(text))
    client.post("/v1/encode", json=encode(" "))
    client.post("/v1/encode", json={})
    client.get("/some/other/path")
    page = client.get("/metrics").text.splitlines()
    for line in (
        'osmm_requests_total{route="/v1/encode",status="200"} 3.0',
        'osmm_requests_total{route="/v1/encode",status="400"} 1.0',
        'osmm_requests_total{route="other",status="404"} 1.0',
        'osmm_request_seconds_count{route="/v1/encode"} 4.0',
        'osmm_stage_seconds_count{route="encode",stage="encode"} 3.0',
        'osmm_stage_seconds_count{route="encode",stage="queue"} 3.0',
        'osmm_encode_inputs_sum{task="query"} 3.0',
        'osmm_errors_total{route="/v1/encode",type="invalid_input"} 1.0',
        'osmm_failed_inputs_total{type="invalid_input"} 1.0',
        'osmm_lane_running{lane="query"} 0.0',
        'osmm_lane_waiting{lane="query"} 0.0',
        "osmm_requests_in_flight 1.0",
    ):
        assert line in page, line


def test_models_are_told(client: TestClient) -> None:
    client.post("/v1/encode", json=encode("alpha"))
    models = {model["name"]: model for model in client.get("/v1/models").json()["models"]}
    assert (models[tiny_index.DENSE]["present"], models[tiny_index.DENSE]["loaded"]) == (True, True)
    assert (models[tiny_index.TOKENS]["present"], models[tiny_index.TOKENS]["loaded"]) == (True, False)
    assert models["bge-small-en-v1.5"]["present"] is False


def test_the_openapi_document_is_valid_and_names_every_route(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    validate(document, cls=OpenAPIV31SpecValidator)
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    app = client.app._app  # type: ignore[attr-defined]
    served = {(method, route.path) for route in app.routes for method in route.methods - {"HEAD"}}
    assert described == served


def schema(document: dict[str, Any], method: str, path: str, status: str) -> OAS31Validator:
    content = document["paths"][path][method]["responses"][status]["content"]
    return OAS31Validator(content["application/json"]["schema"] | {"components": document["components"]})


def test_answers_are_what_the_document_says(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    described = tiny_index.body()["mappings"]["_meta"]["multimodal"]["fields"]
    inputs = [{"text": "alpha"}, {"text": "nan"}, {"text": ""}]
    for request in (
        {"fields": described, "task": "passage", "inputs": inputs},
        {"model": tiny_index.DENSE, "task": "query", "outputs": ["dense", "binary"], "inputs": inputs},
        {"model": tiny_index.TOKENS, "task": "passage", "inputs": inputs},
        {"model": tiny_index.TOKENS},
    ):
        answer = client.post("/v1/encode", content=orjson.dumps(request))
        schema(document, "post", "/v1/encode", str(answer.status_code)).validate(answer.json())
    for path in ("/v1/models", "/health/live", "/health/ready"):
        schema(document, "get", path, "200").validate(client.get(path).json())


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.just(SECRET) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_FIELD = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from([tiny_index.DENSE, tiny_index.TOKENS]),
        "input": st.sampled_from(["text", "image"]),
        "fingerprint": st.none() | st.just(SECRET),
        "encoding": st.sampled_from(["int8", "bit", None]),
        "derived_from": st.sampled_from(["a", "b", SECRET]),
        "transform": st.just("sign"),
        "repetitions": st.integers(0, 4),
        "simhash_bits": st.integers(0, 3),
        "seed": st.integers(-1, 3),
    },
)
_INPUT = st.fixed_dictionaries({}, optional=dict.fromkeys(("text", "title", "image"), _JSON))
_ENCODE = st.fixed_dictionaries(
    {},
    optional={
        "fields": st.dictionaries(st.sampled_from(["a", "b", "c"]), _FIELD, max_size=3) | _JSON,
        "model": st.sampled_from([tiny_index.DENSE, tiny_index.TOKENS]) | _JSON,
        "task": st.sampled_from(["query", "passage", "page"]) | _JSON,
        "outputs": st.lists(st.sampled_from(["dense", "multi_vector", "binary", "fde"])) | _JSON,
        "encoding": st.sampled_from(["bit", "float16"]) | _JSON,
        "inputs": st.lists(_INPUT | _JSON, max_size=3) | _JSON,
        "deadline_ms": st.integers(1000, 9000) | _JSON,
    },
)
_RANK = st.fixed_dictionaries(
    {"indices": st.lists(st.sampled_from(["x", "_all", "a/b", "-x", "*"]), max_size=2) | _JSON},
    optional=dict.fromkeys(
        ("query_text", "query_image", "profile", "k", "filter", "overrides", "preference"), _JSON
    ),
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, *HealthCheck]
)
@given(_ENCODE | _JSON)
def test_no_encode_call_makes_the_service_fail(client: TestClient, call: Any) -> None:
    answer = client.post("/v1/encode", content=json.dumps(call))
    assert answer.status_code in (200, 400, 409, 413), answer.text


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, *HealthCheck]
)
@given(_RANK)
def test_no_question_makes_the_service_fail(unreachable: TestClient, question: Any) -> None:
    answer = unreachable.post("/v1/rank", content=json.dumps(question))
    assert answer.status_code in (400, 502), answer.text


@pytest.mark.parametrize(
    "clause",
    [
        {"multimodal": {"query_text": "alpha"}},
        {"wrapper": {"query": "e30="}},
        {"bool": {"filter": [{"nested": {"path": "a", "query": {"multimodal_ranked_documents": {}}}}]}},
        {"knn": {"dense": {"vector": [1], "filter": {"multimodal": {"query_text": "alpha"}}}}},
    ],
)
@pytest.mark.parametrize("path", ["/v1/rank", "/v1/search"])
def test_a_filter_that_would_ask_this_service_again_is_refused(
    unreachable: TestClient, path: str, clause: dict[str, Any]
) -> None:
    answer = unreachable.post(path, json={"indices": ["a"], "query_text": "alpha", "filter": clause})
    assert answer.status_code == 400
    assert answer.json()["error"]["reason"].endswith("cannot be part of it")
    assert answer.json()["error"]["reason"].startswith("filter: a query '")


def test_fields_may_have_the_names_of_queries(unreachable: TestClient) -> None:
    clause = {"bool": {"filter": [{"match": {"wrapper": {"query": "a"}}}, {"term": {"multimodal": "b"}}]}}
    question = {"indices": ["a"], "query_text": "alpha", "filter": clause}
    assert unreachable.post("/v1/rank", json=question).status_code == 502, "it went on to the cluster"


@pytest.mark.parametrize(
    ("asked", "most", "given"), [(None, 3_600, 60), (None, 30, 30), (900_000, 3_600, 900), (900_000, 60, 60)]
)
def test_how_long_an_encode_call_may_take(
    start: Start, monkeypatch: pytest.MonkeyPatch, asked: int | None, most: float, given: float
) -> None:
    seen: list[float] = []
    run = EncodeService.run

    def look(self: EncodeService, request: Any, job: Job) -> Any:
        seen.append(job.deadline - job.started)
        return run(self, request, job)

    monkeypatch.setattr(EncodeService, "run", look)
    client = start(limits=ServiceLimits(encode_seconds=most))
    assert client.post("/v1/encode", json={**encode("alpha"), "deadline_ms": asked}).status_code == 200
    assert seen == pytest.approx([given])


@pytest.fixture
def unreachable(start: Start) -> TestClient:
    return start(cluster=NOWHERE)


def test_nothing_that_was_sent_is_logged_or_sent_back(
    unreachable: TestClient, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [
        unreachable.post("/v1/encode", content=body)
        for body in (
            orjson.dumps(encode(SECRET) | {"outputs": ["fde"]}),
            orjson.dumps(encode(f"{SECRET} nan")),
            orjson.dumps(encode(SECRET) | {"inputs": [{"text": [SECRET]}]}),
            orjson.dumps(encode(SECRET) | {"inputs": [{"image": SECRET}]}),
            f'{{"text": "{SECRET}'.encode(),
        )
    ]
    question = {"indices": ["x"], "query_text": SECRET, "filter": {"term": {"acl": SECRET}}}
    answers += [unreachable.post(path, json=question) for path in ("/v1/rank", "/v1/search")]
    answers.append(unreachable.post("/v1/rank", json=question | {"query_image": SECRET}))
    answers.append(unreachable.get(f"/v1/models/{SECRET}?q={SECRET}"))
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("opensearch")]
    written = capfd.readouterr()
    assert SECRET not in "".join([*ours, *(answer.text for answer in answers), written.out, written.err])


def call_app(start: Start, receive: Callable[[], Any], **options: Any) -> tuple[int, dict[str, Any]]:
    """Send a call to the ASGI application itself; return status and error."""
    app = start(**options).app
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/encode", "headers": [], "query_string": b"",
        "http_version": "1.1", "scheme": "http",
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], orjson.loads(body)["error"] if body else {}


def test_a_body_that_does_not_come(start: Start) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    status, error = call_app(start, never, limits=ServiceLimits(body_seconds=0.05))
    assert (status, error["type"]) == (408, "timed_out")


def test_a_caller_that_goes_before_the_body_has_come(start: Start) -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    assert call_app(start, gone)[0] == 499


def test_an_unforeseen_failure_is_logged_without_its_message(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(client.app._service.encoding, "run", fail)  # type: ignore[attr-defined]
    answer = client.post("/v1/encode", json=encode("alpha"))
    assert answer.status_code == 500
    assert "RuntimeError" in answer.text
    assert "RuntimeError at fail" in caplog.text
    assert SECRET not in answer.text + caplog.text


def test_settings_show_no_secrets() -> None:
    settings = ServiceSettings(tokens=(TOKEN,), cluster=ClusterAccess("http://x", "me", "hidden"))
    assert TOKEN not in repr(settings)
    assert "hidden" not in repr(settings)
