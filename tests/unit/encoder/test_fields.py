"""The vector fields of an index: pooled, cut and coded as it says, for records and for queries."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_index
import tiny_models
from homes import home, tiny_home  # noqa: F401

from opensearch_multimodal import fde, wire
from opensearch_multimodal.binarize import Rotation, fit_itq, rotated_codes, rotated_query_codes, sign_codes
from opensearch_multimodal.encoder import DerivedFields, FieldEncoder, IndexEncoders
from opensearch_multimodal.errors import EnvironmentProblem, InvalidInput, ModelMismatch
from opensearch_multimodal.mappings import IndexDescription, fde_parameters, parse_meta
from opensearch_multimodal.models import DraftOptions, draft_spec, load_spec, save_rotation, save_spec
from opensearch_multimodal.token_pooling import pool_tokens

TEXTS = ["alpha beta gamma", "gamma query passage alpha beta : gamma", "beta"]
NESTED = "tiny-nested"


@dataclass
class Text:
    text: str
    title: str = ""
    image: Any = None


def index(**changes: dict[str, Any]) -> IndexDescription:
    """Describe an index for the tiny models; ``changes`` are merged into its fields."""
    fields = tiny_index.body()["mappings"]["_meta"]["multimodal"]["fields"]
    for name, change in changes.items():
        fields[name] = {**fields[name], **change}
    return IndexDescription("i", (), parse_meta("i", {"version": 1, "fields": fields}), {}, {})


@pytest.fixture
def nested(home: Path, tmp_path: Path) -> dict[str, Any]:  # noqa: F811
    """What to change so that the dense field holds 4 of 8 components."""
    folder = tmp_path / "nested"
    folder.mkdir()
    tiny_models.write_text_model(folder / "model.onnx")
    tiny_models.write_tokenizer(folder / "tokenizer.json")
    save_spec(draft_spec(folder, NESTED, DraftOptions(pooling="mean", mrl_dimensions=[4])), folder)
    return {"model": NESTED, "fingerprint": load_spec(NESTED).fingerprint, "dimension": 4}


def test_vectors_that_would_differ_again_are_refused(home: Path, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "dynamic"
    folder.mkdir()
    tiny_models.write_text_model(folder / "model.onnx")
    tiny_models.write_tokenizer(folder / "tokenizer.json")
    spec = draft_spec(folder, "dynamic", DraftOptions(pooling="mean"))
    save_spec(spec.model_copy(update={"batch_dependent": True}), folder)
    field = {"model": "dynamic", "fingerprint": spec.fingerprint}
    refused = index(dense=field)
    with pytest.raises(
        InvalidInput, match=r"field 'dense': vectors of model 'dynamic' change with what else"
    ):
        FieldEncoder(refused, IndexEncoders(refused))
    assert IndexEncoders(refused).get("dense").encode_queries(TEXTS).shape[0] == len(TEXTS)
    assert len(encoded(index(dense=field | {"batch_dependence": "allowed"}))) == len(TEXTS)


def encoded(described: IndexDescription) -> list[dict[str, Any]]:
    encoder = FieldEncoder(described, IndexEncoders(described))
    return [encoder.values(vectors) for vectors in encoder.encode([Text(text) for text in TEXTS])]


def test_records_are_pooled_and_queries_are_not(home: Path) -> None:  # noqa: F811
    plain = index(multi_vector={"encoding": "float32"})
    pooled = index(multi_vector={"encoding": "float32", "pooling": {"factor": 2}})
    parameters = fde_parameters(pooled.meta.fields["fde"])  # type: ignore[arg-type]
    for before, after in zip(encoded(plain), encoded(pooled), strict=True):
        rows = wire.unpack(base64.b64decode(before["multi_vector"]))
        expected = pool_tokens(rows, 2)
        assert len(expected) == max(1, len(rows) // 2)
        stored = wire.unpack(base64.b64decode(after["multi_vector"]))
        np.testing.assert_allclose(stored, expected, atol=1e-6)
        # What is derived is derived from what is stored.
        from_pooled = fde.quantize_document(fde.encode_document(expected, parameters))
        np.testing.assert_array_equal(after["fde"], from_pooled)
        np.testing.assert_array_equal(before["dense"], after["dense"])
    queries = [IndexEncoders(one).get("multi_vector").encode_queries(TEXTS) for one in (plain, pooled)]
    for one, other in zip(*queries, strict=True):
        np.testing.assert_array_equal(one, other)


def test_vectors_are_cut_and_have_unit_length_again(nested: dict[str, Any]) -> None:
    whole, cut = index(), index(dense=nested)
    encoders = [IndexEncoders(one).get("dense") for one in (whole, cut)]
    assert [encoder.dimension for encoder in encoders] == [8, 4]
    assert encoders[1].fingerprint == nested["fingerprint"]
    for task in ("encode_queries", "encode_passages"):
        full, short = (getattr(encoder, task)(TEXTS) for encoder in encoders)
        first = full[:, :4]
        np.testing.assert_allclose(short, first / np.linalg.norm(first, axis=1)[:, None], atol=1e-6)
    for values, short in zip(encoded(cut), encoders[1].encode_passages(TEXTS), strict=True):
        np.testing.assert_allclose(values["dense"], short, atol=1e-6)
        np.testing.assert_array_equal(values["binary"], sign_codes(short[None])[0])


def test_multi_vectors_can_be_cut_too(home: Path, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "tokens"
    folder.mkdir()
    tiny_models.write_text_model(folder / "model.onnx")
    tiny_models.write_tokenizer(folder / "tokenizer.json")
    options = DraftOptions(kind="multi_vector", pooling="none", mrl_dimensions=[4])
    save_spec(draft_spec(folder, "short-tokens", options), folder)
    change = {"model": "short-tokens", "fingerprint": load_spec("short-tokens").fingerprint, "dimension": 4}
    encoder = IndexEncoders(index(multi_vector=change)).get("multi_vector")
    whole = IndexEncoders(index()).get("multi_vector").encode_queries(TEXTS)
    for rows, full in zip(encoder.encode_queries(TEXTS), whole, strict=True):
        np.testing.assert_allclose(
            rows, full[:, :4] / np.linalg.norm(full[:, :4], axis=1)[:, None], atol=1e-6
        )


def test_a_dimension_that_the_model_lacks_is_refused(nested: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="cannot be cut to 5, only to 4, 8"):
        encoded(index(dense={**nested, "dimension": 5}))


def turned(bits: int = 6) -> tuple[Rotation, dict[str, Any]]:
    """Learn and save a rotation; return it and what the binary field says of it."""
    spec = load_spec(tiny_index.DENSE)
    vectors = np.random.default_rng(0).standard_normal((60, 8))
    rotation = fit_itq(vectors, vectors[:20] + 0.5, bits=bits)
    saved = save_rotation("turn", rotation, model=spec.name, source=spec.fingerprint, vectors=60, force=True)
    described = {"transform": "itq", "rotation": "turn", "fingerprint": saved.fingerprint, "bits": bits}
    return rotation, described


def test_codes_are_those_of_the_learnt_rotation(home: Path) -> None:  # noqa: F811
    rotation, binary = turned()
    described = index(binary=binary)
    values = encoded(described)
    assert any((one["binary"] != sign_codes(one["dense"][None])[0]).any() for one in values)
    derived = DerivedFields(described, IndexEncoders(described))
    for one in values:
        dense = one["dense"][None]
        np.testing.assert_array_equal(one["binary"], rotated_codes(dense, rotation)[0])
        asked = derived.of_query("binary", one["dense"])
        np.testing.assert_array_equal(asked, rotated_query_codes(dense, rotation)[0])


def test_another_rotation_is_refused_by_records_and_queries(home: Path) -> None:  # noqa: F811
    _, binary = turned()
    described = index(binary=binary)
    saved = load_spec(tiny_index.DENSE)
    other = fit_itq(np.random.default_rng(1).standard_normal((60, 8)), bits=6)
    save_rotation("turn", other, model=saved.name, source=saved.fingerprint, vectors=60, force=True)
    with pytest.raises(ModelMismatch, match=r"field 'binary'.*use the rotation 'turn' as it was"):
        FieldEncoder(described, IndexEncoders(described))
    with pytest.raises(ModelMismatch, match="field 'binary'"):
        DerivedFields(described, IndexEncoders(described)).of_query("binary", np.ones(8, np.float32))


def test_a_rotation_that_is_gone_or_damaged_is_named(home: Path) -> None:  # noqa: F811
    _, binary = turned()
    (home / "rotations" / "turn" / "rotation.npy").write_bytes(b"no array")
    described = index(binary=binary)
    with pytest.raises(EnvironmentProblem, match="rotation 'turn'"):
        FieldEncoder(described, IndexEncoders(described))
    with pytest.raises(InvalidInput, match="there is no 'gone'"):
        FieldEncoder(
            index(binary={**binary, "rotation": "gone"}),
            IndexEncoders(index(binary={**binary, "rotation": "gone"})),
        )
    with pytest.raises(InvalidInput, match="'dense' has no learnt rotation"):
        IndexEncoders(described).rotation("dense")
