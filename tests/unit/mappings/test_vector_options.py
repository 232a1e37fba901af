"""Dimensions, pooling, rotations and FDE parameters: chosen at creation, checked ever after."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_index
import tiny_models
from homes import home, tiny_home  # noqa: F401

from opensearch_multimodal.binarize import Rotation
from opensearch_multimodal.errors import InvalidInput, ModelMismatch
from opensearch_multimodal.mappings import (
    IndexDescription,
    build_body,
    describe,
    fde_parameters,
    load_template,
    parse_meta,
    stamp,
)
from opensearch_multimodal.models import (
    DraftOptions,
    ModelSpec,
    RotationSpec,
    draft_spec,
    load_rotation_spec,
    load_spec,
    save_rotation,
    save_spec,
)

NESTED = "tiny-nested"


@pytest.fixture
def nested(home: Path, tmp_path: Path) -> ModelSpec:  # noqa: F811
    """A dense model whose vectors may be cut to 3 or 5 of 8 components."""
    folder = tmp_path / "nested"
    folder.mkdir()
    tiny_models.write_text_model(folder / "model.onnx")
    tiny_models.write_tokenizer(folder / "tokenizer.json")
    options = DraftOptions(kind="dense", pooling="mean", mrl_dimensions=[3, 5])
    save_spec(draft_spec(folder, NESTED, options), folder)
    return load_spec(NESTED)


def rotation(spec: ModelSpec, *, dimension: int = 8, bits: int = 8, seed: int = 0) -> RotationSpec:
    matrix = np.random.default_rng(seed).standard_normal((dimension, bits)).astype(np.float32)
    return save_rotation(
        f"turn-{dimension}-{bits}-{seed}",
        Rotation(matrix, *np.zeros((2, bits), dtype=np.float32)),
        model=spec.name,
        source=spec.fingerprint,
        vectors=50,
    )


def built(**options: Any) -> dict[str, Any]:
    template = load_template("pages")
    template["mappings"]["_meta"]["multimodal"]["fields"]["fde"] |= tiny_index.FDE
    models = {"dense": NESTED, "multi_vector": tiny_index.TOKENS}
    return build_body(template, load_spec, models=models, **options)


def fields(body: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = body["mappings"]["_meta"]["multimodal"]["fields"]
    return described


def test_a_batch_dependent_model_is_taken_only_where_it_is_asked_for(nested: ModelSpec) -> None:
    def specs(name: str) -> ModelSpec:
        return load_spec(name).model_copy(update={"batch_dependent": name == NESTED})

    template = load_template("pages")
    models = {"dense": NESTED, "multi_vector": tiny_index.TOKENS}
    template["mappings"]["_meta"]["multimodal"]["fields"]["fde"] |= tiny_index.FDE
    with pytest.raises(InvalidInput, match=r"field 'dense'.*create --allow-batch-dependence"):
        build_body(template, specs, models=models)
    taken = fields(build_body(template, specs, models=models, allow_batch_dependence=True))
    assert taken["dense"]["batch_dependence"] == "allowed"
    assert "batch_dependence" not in taken["multi_vector"]
    plain = fields(built(allow_batch_dependence=True))
    assert "batch_dependence" not in plain["dense"]
    with pytest.raises(InvalidInput, match="batch_dependence"):
        parse_meta("i", {"version": 1, "fields": {"dense": plain["dense"] | {"batch_dependence": True}}})


def described(body: dict[str, Any]) -> IndexDescription:
    return describe("i", {"i": {"mappings": body["mappings"], "settings": {"index": {}}}})


def test_a_chosen_dimension_is_that_of_the_mapping_and_of_what_is_derived(nested: ModelSpec) -> None:
    body = built(dimensions={"dense": 5})
    assert fields(body)["dense"]["dimension"] == 5
    assert fields(body)["dense"]["fingerprint"] == nested.fingerprint
    properties = body["mappings"]["properties"]
    assert properties["dense"]["dimension"] == 5
    assert properties["binary"]["dimension"] == 8  # 5 bits, in whole bytes
    described(body).check_model("dense", nested)
    properties["dense"]["dimension"] = 8
    with pytest.raises(InvalidInput, match=r"'dense' of index 'i' has dimension 8, .* gives 5"):
        described(body).check_model("dense", nested)


def test_dimensions_that_the_model_was_not_trained_for_are_refused(nested: ModelSpec) -> None:
    with pytest.raises(InvalidInput, match="cannot be cut to 4, only to 3, 5, 8"):
        built(dimensions={"dense": 4})
    with pytest.raises(InvalidInput, match=r"'tiny-tokens' was not trained to have its vectors cut"):
        built(dimensions={"multi_vector": 4})
    with pytest.raises(InvalidInput, match="dimension: 'binary' is not a vector field with a model"):
        built(dimensions={"binary": 4})
    body = built(dimensions={"dense": 5})
    fields(body)["dense"]["dimension"] = 4
    with pytest.raises(InvalidInput, match="cannot be cut to 4"):
        described(body).check_model("dense", nested)


def test_pooling_is_part_of_the_field(nested: ModelSpec) -> None:
    body = built(pooling={"multi_vector": 3})
    assert fields(body)["multi_vector"]["pooling"] == {"factor": 3}
    assert "pooling" not in fields(built(pooling={"multi_vector": 1}))["multi_vector"]
    assert "pooling" not in fields(built())["multi_vector"]
    plain = built()
    pair = {
        name: {"mappings": one["mappings"], "settings": {"index": {}}}
        for name, one in (("pooled", body), ("plain", plain))
    }
    with pytest.raises(ModelMismatch, match=r"field 'multi_vector'.*\"factor\":3.*index 'plain'"):
        describe("both", pair)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": {"dense": 2}}, "pooling: 'dense' is not a multi-vector field"),
        ({"pooling": {"multi_vector": 9}}, "pooling.factor"),
        ({"rotations": {"dense": "x"}}, "rotation: 'dense' is not a binary field"),
        ({"rotations": {"binary": "x"}}, "there is no 'x'"),
        ({"fde": {"colour": 1}}, "fields.fde.colour"),
        ({"fde": {"final_dimension": 10_000}}, "fde final_dimension: 10000 of 128 dimensions"),
    ],
)
def test_options_that_fit_nothing_are_refused(
    nested: ModelSpec, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        built(**options)


def test_fde_parameters_change_the_encoding(nested: ModelSpec) -> None:
    body = built(fde={"repetitions": 5, "fill_empty": False, "final_dimension": 40})
    meta = parse_meta("m", body["mappings"]["_meta"]["multimodal"])
    parameters = fde_parameters(meta.fields["fde"])  # type: ignore[arg-type]
    assert (parameters.repetitions, parameters.simhash_bits, parameters.projection) == (5, 2, 4)
    assert (parameters.fill_empty, parameters.final_dimension) == (False, 40)
    assert body["mappings"]["properties"]["fde"]["dimension"] == 40
    template = load_template("pages")
    del template["mappings"]["_meta"]["multimodal"]["fields"]["fde"]
    with pytest.raises(InvalidInput, match="0 FDE fields, expected 1"):
        build_body(template, load_spec, fde={"repetitions": 5})


def test_a_rotation_is_stamped_and_checked(nested: ModelSpec) -> None:
    turn = rotation(nested, bits=4)
    body = built(rotations={"binary": turn.name})
    assert fields(body)["binary"] == {
        "derived_from": "dense",
        "transform": "itq",
        "rotation": turn.name,
        "fingerprint": turn.fingerprint,
        "bits": 4,
    }
    assert body["mappings"]["properties"]["binary"]["dimension"] == 8
    described(body).check_rotation("binary", turn)
    with pytest.raises(ModelMismatch, match=r"'binary' holds .* use the rotation 'turn-8-4-1' as it was"):
        described(body).check_rotation("binary", rotation(nested, bits=4, seed=1))
    unstamped = copy.deepcopy(body)
    del fields(unstamped)["binary"]["fingerprint"]
    with pytest.raises(ModelMismatch, match="osmm index stamp i"):
        described(unstamped).check_rotation("binary", turn)
    meta = stamp(described(unstamped).meta, load_spec)
    assert meta.fields["binary"] == described(body).meta.fields["binary"]
    fields(body)["binary"]["bits"] = 8
    with pytest.raises(InvalidInput, match="has bits 8, rotation 'turn-8-4-0' gives 4"):
        described(body).check_rotation("binary", turn)


def test_a_rotation_of_other_vectors_is_refused(nested: ModelSpec) -> None:
    foreign = rotation(load_spec(tiny_index.TOKENS))
    with pytest.raises(InvalidInput, match="was learnt from 8 components of model 'tiny-tokens'"):
        built(rotations={"binary": foreign.name})
    cut = rotation(nested, dimension=5, bits=5)
    with pytest.raises(InvalidInput, match=r"5 components of .* its vectors are 8 of"):
        built(rotations={"binary": cut.name})
    body = built(rotations={"binary": cut.name}, dimensions={"dense": 5})
    assert fields(body)["binary"]["fingerprint"] == load_rotation_spec(cut.name).fingerprint


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("binary", {"transform": "itq"}, "needs a rotation"),
        ("binary", {"rotation": "x"}, "'sign' takes no rotation"),
        ("dense", {"pooling": {"factor": 2}}, "pooling is for multi-vectors"),
        ("multi_vector", {"pooling": {"factor": 1}}, "pooling.factor"),
        ("dense", {"dimension": 0}, "dense.dimension"),
    ],
)
def test_descriptions_that_say_nothing_sensible(
    nested: ModelSpec, field: str, change: dict[str, Any], message: str
) -> None:
    body = built()
    fields(body)[field] |= change
    with pytest.raises(InvalidInput, match=message):
        described(body)
