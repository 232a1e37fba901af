"""``/v1/encode``: both forms, what is refused as a whole, and what fails alone."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import tiny_index
import tiny_models
from PIL import Image
from starlette.testclient import TestClient

from opensearch_multimodal import wire
from opensearch_multimodal.binarize import fit_itq, rotated_codes, sign_codes
from opensearch_multimodal.encoder import IndexEncoders, load
from opensearch_multimodal.ingest.encoding import RecordEncoder
from opensearch_multimodal.mappings import IndexDescription, parse_meta
from opensearch_multimodal.models import (
    DraftOptions,
    draft_spec,
    load_spec,
    save_rotation,
    save_spec,
)
from opensearch_multimodal.service import ServiceLimits
from opensearch_multimodal.sources import Record

VISUAL = "tiny-visual"
Start = Callable[..., TestClient]


def fields() -> dict[str, Any]:
    """Return ``_meta.multimodal.fields`` as an index for the tiny models has it."""
    return tiny_index.body()["mappings"]["_meta"]["multimodal"]["fields"]


def record(text: str, title: str = "") -> Record:
    return Record(
        id="r", document_id="r", page=None, title=title, text=text, modality="passage", metadata={},
        acl=(), content_sha256="0" * 64, image=None, image_uri=None, warnings=(),
    )  # fmt: skip


def png(width: int = 16, height: int = 16, colour: str = "red") -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture
def visual(home: Path, tmp_path: Path) -> str:
    tiny_models.write_image_model(tmp_path / "visual.onnx")
    save_spec(draft_spec(tmp_path, VISUAL, DraftOptions(kind="multi_vector", pooling="none")), tmp_path)
    return VISUAL


def post(client: TestClient, status: int = 200, **request: Any) -> Any:
    answer = client.post("/v1/encode", content=orjson.dumps(request))
    assert answer.status_code == status, answer.text
    return answer.json()


def test_fields_are_filled_exactly_as_ingest_fills_them(client: TestClient) -> None:
    described = fields()
    contents = [("alpha beta", ""), ("gamma", "query"), ("beta " * 300, ""), (" ", "title alone"), ("", "")]
    inputs = [{"text": text, "title": title} for text, title in contents]
    results = post(client, fields=described, task="passage", inputs=inputs)["results"]
    index = IndexDescription("x", (), parse_meta("x", {"version": 1, "fields": described}), {}, {})
    ingested = RecordEncoder(index, IndexEncoders(index)).encode([record(*content) for content in contents])
    for result, encoded in zip(results, ingested, strict=True):
        assert encoded.lines is not None
        stored = orjson.loads(encoded.lines.splitlines()[1])
        assert result["values"] == {name: stored[name] for name in described if name in stored}
    assert set(results[0]["values"]) == {"dense", "multi_vector", "binary", "fde"}
    assert results[3]["values"] == results[4]["values"] == {}


def test_passages_of_a_batch_dependent_model_are_asked_for_twice(client: TestClient, tmp_path: Path) -> None:
    tiny_models.write_text_model(tmp_path / "model.onnx")
    tiny_models.write_tokenizer(tmp_path / "tokenizer.json")
    spec = draft_spec(tmp_path, "dynamic", DraftOptions(pooling="mean"))
    save_spec(spec.model_copy(update={"batch_dependent": True}), tmp_path)
    call = {"model": "dynamic", "inputs": [{"text": "alpha"}]}
    error = post(client, 400, task="passage", **call)["error"]
    assert error["reason"] == (
        "model: vectors of 'dynamic' change with what else is in the call, so what is encoded again differs; "
        '"batch_dependence": "allowed" takes it all the same'
    )
    asked = post(client, task="passage", batch_dependence="allowed", **call)
    assert asked["results"] == post(client, task="query", **call)["results"]


def test_fields_may_be_pooled_cut_and_coded_by_a_learnt_rotation(client: TestClient, tmp_path: Path) -> None:
    tiny_models.write_text_model(tmp_path / "model.onnx")
    tiny_models.write_tokenizer(tmp_path / "tokenizer.json")
    save_spec(draft_spec(tmp_path, "nested", DraftOptions(pooling="mean", mrl_dimensions=[4])), tmp_path)
    spec = load_spec("nested")
    rotation = fit_itq(np.random.default_rng(0).standard_normal((40, 4)))
    saved = save_rotation("turn", rotation, model="nested", source=spec.fingerprint, vectors=40)
    described = fields()
    described["dense"] |= {"model": "nested", "fingerprint": spec.fingerprint, "dimension": 4}
    described["binary"] |= {
        "transform": "itq", "rotation": "turn", "fingerprint": saved.fingerprint, "bits": 4
    }  # fmt: skip
    described["multi_vector"] |= {"pooling": {"factor": 2}}
    texts = ["alpha beta gamma query", "gamma beta"]
    results = post(client, fields=described, inputs=[{"text": text} for text in texts])["results"]
    index = IndexDescription("x", (), parse_meta("x", {"version": 1, "fields": described}), {}, {})
    ingested = RecordEncoder(index, IndexEncoders(index)).encode([record(text) for text in texts])
    for result, encoded in zip(results, ingested, strict=True):
        assert encoded.lines is not None
        stored = orjson.loads(encoded.lines.splitlines()[1])
        assert result["values"] == {name: stored[name] for name in described}
        assert len(result["values"]["dense"]) == 4
        dense = np.array([result["values"]["dense"]], dtype=np.float32)
        assert result["values"]["binary"] == rotated_codes(dense, rotation)[0].tolist()
    assert [len(wire.unpack(base64.b64decode(r["values"]["multi_vector"]))) for r in results] == [3, 2]
    described["binary"]["fingerprint"] = "sha256:" + "0" * 64
    error = post(client, 409, fields=described, inputs=[{"text": "alpha"}])["error"]
    assert error["type"] == "model_mismatch"
    assert saved.fingerprint in error["reason"]


def test_a_bad_input_fails_alone(client: TestClient) -> None:
    good = [{"text": f"alpha {'beta ' * n}"} for n in range(5)]
    bad = {"text": "nan"}  # the tiny model gives no finite vector for it
    inputs = [*good[:2], bad, *good[2:]]
    results = post(client, fields=fields(), inputs=inputs)["results"]
    assert "NaN" in results.pop(2)["error"]["reason"]
    assert results == post(client, fields=fields(), inputs=good)["results"]


def test_another_model_is_refused_as_a_whole(client: TestClient) -> None:
    described = fields()
    described["dense"]["fingerprint"] = "sha256:" + "0" * 64
    error = post(client, 409, fields=described, inputs=[{"text": "alpha"}])["error"]
    assert error["type"] == "model_mismatch"
    assert load_spec(tiny_index.DENSE).fingerprint in error["reason"]
    post(client, 409, model=tiny_index.DENSE, fingerprint="sha256:0", task="query", inputs=[])
    del described["dense"]["fingerprint"]
    assert "osmm index stamp" in post(client, 409, fields=described, inputs=[])["error"]["reason"]


@pytest.mark.parametrize("task", ["query", "passage"])
def test_one_model_gives_its_own_kind_of_vector(client: TestClient, task: str) -> None:
    texts = ["alpha beta", "gamma"]
    inputs = [{"text": text} for text in texts]
    for name, output in ((tiny_index.DENSE, "dense"), (tiny_index.TOKENS, "multi_vector")):
        spec = load_spec(name)
        answer = post(client, model=name, fingerprint=spec.fingerprint, task=task, inputs=inputs)
        assert answer["fingerprint"] == spec.fingerprint
        encoder = load(spec)
        expected = encoder.encode_queries(texts) if task == "query" else encoder.encode_passages(texts)
        for result, vectors in zip(answer["results"], expected, strict=True):
            given = result[output]
            if output == "multi_vector":
                given = wire.unpack(base64.b64decode(given))
            np.testing.assert_allclose(given, vectors, rtol=0, atol=1e-6)


def test_sign_codes_and_packings_on_request(client: TestClient) -> None:
    result = post(
        client, model=tiny_index.DENSE, task="query", outputs=["dense", "binary"], inputs=[{"text": "alpha"}]
    )["results"][0]
    assert result["binary"] == sign_codes(np.array([result["dense"]], dtype=np.float32))[0].tolist()
    packed = post(client, model=tiny_index.TOKENS, task="query", encoding="int8", inputs=[{"text": "alpha"}])[
        "results"
    ][0]["multi_vector"]
    assert base64.b64decode(packed)[3] == 2  # the header's byte for int8


def test_pages_and_images_as_queries(client: TestClient, visual: str) -> None:
    inputs = [{"image": png()}, {"image": png(20, 9, "blue")}]
    pages = post(client, model=visual, task="page", inputs=inputs)["results"]
    expected = load(load_spec(visual)).encode_pages(
        [Image.new("RGB", (16, 16), "red"), Image.new("RGB", (20, 9), "blue")]
    )
    for result, vectors in zip(pages, expected, strict=True):
        np.testing.assert_allclose(
            wire.unpack(base64.b64decode(result["multi_vector"])), vectors, rtol=0, atol=1e-6
        )
    assert post(client, model=visual, task="query", inputs=inputs)["results"] == pages


def test_images_and_texts_in_one_call_each_get_what_is_theirs(client: TestClient, visual: str) -> None:
    described = fields() | {
        "page_vectors": {
            "model": visual, "input": "image", "encoding": "int8", "fingerprint": load_spec(visual).fingerprint  # noqa: E501
        }
    }  # fmt: skip
    inputs = [{"text": "alpha"}, {"image": png()}, {"text": "beta", "image": png()}, {"image": "!"}]
    values = post(client, fields=described, inputs=[*inputs, *inputs])["results"]
    assert [set(one.get("values", one)) for one in values[:4]] == [
        {"dense", "multi_vector", "binary", "fde"},
        {"page_vectors"},
        {"dense", "multi_vector", "binary", "fde", "page_vectors"},
        {"error"},
    ]
    assert values[4:] == values[:4]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"outputs": ["fde"]}, "needs parameters"),
        ({"outputs": ["multi_vector"]}, "no output 'multi_vector'"),
        ({"model": "unknown"}, "there is no 'unknown'"),
        ({"model": "../../etc/passwd"}, "model name"),
        ({"task": "hypothesis"}, "task"),
        ({"inputs": "alpha"}, "inputs"),
        ({"inputs": [{"txt": "alpha"}]}, "inputs.0.txt"),
        ({"inputs": [{"text": 7}]}, "inputs.0.text"),
        ({"deadline_ms": True}, "deadline_ms"),
        ({"deadline_ms": 0}, "deadline_ms"),
        ({"more": 1}, "more"),
    ],
)
def test_a_wrong_call_is_told(client: TestClient, change: dict[str, Any], reason: str) -> None:
    call = {"model": tiny_index.DENSE, "task": "query", "inputs": [{"text": "alpha"}], **change}
    error = post(client, 400, **call)["error"]
    assert error["type"] == "invalid_input"
    assert reason in error["reason"]


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("fde", {"repetitions": 1000, "simhash_bits": 8}, "an index takes 16000"),
        ("fde", {"derived_from": "dense"}, "is not a multi-vector field"),
        ("fde", {"derived_from": "nothing"}, "is not a multi-vector field"),
        ("binary", {"derived_from": "multi_vector"}, "is not a single-vector field"),
        ("binary", {"transform": "itq"}, "needs a rotation"),
        ("binary", {"transform": "itq", "rotation": "none-such"}, "there is no 'none-such'"),
        ("dense", {"dimension": 4}, "was not trained to have its vectors cut"),
        ("multi_vector", {"pooling": {"factor": 100}}, "pooling.factor"),
        ("binary", {"transform": "cosine"}, "fields.binary.transform"),
        ("dense", {"model": "unknown"}, "there is no 'unknown'"),
        ("dense", {"colour": "red"}, "fields.dense.colour"),
    ],
)
def test_fields_that_no_index_has_are_refused(
    client: TestClient, name: str, change: dict[str, Any], reason: str
) -> None:
    described = fields()
    described[name] |= change
    message = post(client, 400, fields=described, inputs=[{"text": "alpha"}])["error"]["reason"]
    assert reason in message


def test_limits_name_what_is_over_them(start: Start, visual: str) -> None:
    limits = ServiceLimits(body_bytes=2000, inputs=3, text_chars=10, call_chars=25, pixels=100)
    client = start(limits=limits)
    call: dict[str, Any] = {"model": tiny_index.DENSE, "task": "query"}
    over = post(client, 413, **call, inputs=[{"text": "alpha"}] * 4)["error"]
    assert (over["type"], over["reason"]) == ("too_large", "inputs: 4 are over the limit of 3")
    assert "26 characters" in post(client, 413, **call, inputs=[{"text": "a" * 13}] * 2)["error"]["reason"]
    alone = post(client, **call, inputs=[{"text": "a" * 11}, {"text": "alpha"}])["results"]
    assert alone[0]["error"] == {"type": "too_large", "reason": "text: 11 characters, the limit is 10"}
    assert "dense" in alone[1]
    assert "2000 bytes" in post(client, 413, **call, inputs=[{"text": "a" * 3000}])["error"]["reason"]
    page = post(client, model=visual, task="page", inputs=[{"image": png(11, 10)}])["results"][0]
    assert "110 pixels are over the limit of 100" in page["error"]["reason"]


def test_a_body_of_unknown_length_is_read_no_further_than_the_limit(start: Start) -> None:
    client = start(limits=ServiceLimits(body_bytes=2000))
    sent = []

    def parts() -> Any:
        for number in range(100):
            sent.append(number)
            yield b" " * 1000

    answer = client.post("/v1/encode", content=parts())
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"


def test_a_deadline_that_has_passed(client: TestClient) -> None:
    inputs = [{"text": " ".join(["alpha"] * 8000)}] * 10
    error = post(client, 504, fields=fields(), inputs=inputs, deadline_ms=1)["error"]
    assert error["type"] == "timed_out"


def test_a_damaged_model_says_so_in_the_log_only(client: TestClient, home: Path) -> None:
    (home / "artifacts" / tiny_index.DENSE / "model.onnx").write_bytes(b"no model")
    error = post(client, 500, fields=fields(), inputs=[{"text": "alpha"}])["error"]
    assert error == {"type": "internal", "reason": "a model cannot be loaded; the service's log says why"}
