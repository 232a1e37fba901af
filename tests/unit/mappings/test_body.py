"""Index bodies: the shipped ones are complete, and fit the models they name."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.mappings import SourceField, build_body, load_template, parse_meta, stamp
from opensearch_multimodal.mappings.profile_check import check_profiles
from opensearch_multimodal.models import load_spec

SHIPPED = ("pages", "passages")
PROFILES = {"bm25", "dense", "late_interaction", "hybrid", "gqr"}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_bodies_fit_the_default_models(name: str) -> None:
    template = load_template(name)
    before = copy.deepcopy(template)
    body = build_body(template, load_spec)
    assert template == before
    properties = body["mappings"]["properties"]
    meta = parse_meta(name, body["mappings"]["_meta"]["multimodal"])
    dense = load_spec("bge-small-en-v1.5")
    assert properties["dense"]["dimension"] == dense.dimension == 384
    assert properties["binary"]["dimension"] == 384
    fde = meta.fields["fde"]
    tokens = load_spec("all-minilm-l6-v2-tokens")
    assert properties["fde"]["dimension"] == fde.repetitions * 2**fde.simhash_bits * (
        fde.projection or tokens.dimension
    )
    assert properties["fde"]["dimension"] <= 16_000
    assert isinstance(meta.fields["dense"], SourceField)
    assert meta.fields["dense"].fingerprint == dense.fingerprint
    assert set(meta.profiles) >= PROFILES
    assert all(p["method"]["engine"] == "lucene" for p in properties.values() if p["type"] == "knn_vector")


def test_what_is_shipped_is_valid_as_it_is() -> None:
    """The dimensions in the files are those of the default models, so that they can be PUT by hand."""
    for name in SHIPPED:
        template = load_template(name)
        built = build_body(template, load_spec)
        for field, definition in template["mappings"]["properties"].items():
            assert definition == built["mappings"]["properties"][field]


def test_passages_are_pages_without_the_image() -> None:
    pages, passages = load_template("pages"), load_template("passages")
    assert set(pages["mappings"]["properties"]) - set(passages["mappings"]["properties"]) == {"image"}
    assert pages["mappings"]["_meta"] == passages["mappings"]["_meta"]


def test_mixed_is_pages_with_images_by_a_model_of_ones_own(tmp_path: Path) -> None:
    pages, mixed = load_template("pages"), load_template("mixed")
    assert set(mixed["mappings"]["properties"]) - set(pages["mappings"]["properties"]) == {"image_dense"}
    meta = parse_meta("mixed", mixed["mappings"]["_meta"]["multimodal"])
    assert set(meta.fields) - set(parse_meta("pages", pages["mappings"]["_meta"]["multimodal"]).fields) == {
        "image_dense"
    }
    fusion = meta.profiles["text_image"].fusion
    assert (fusion.normalization, fusion.combination, fusion.missing) == (
        "collection",
        "arithmetic_mean",
        "skip",
    )
    with pytest.raises(InvalidInput, match="there is no 'your-image-model'"):
        build_body(mixed, load_spec)


def test_images_is_mixed_without_the_vectors_of_texts() -> None:
    mixed, images = (load_template(name)["mappings"] for name in ("mixed", "images"))
    gone = set(mixed["properties"]) - set(images["properties"])
    assert gone == {"dense", "binary", "multi_vector", "fde"}
    assert all(mixed["properties"][name] == value for name, value in images["properties"].items())
    theirs = images["_meta"]["multimodal"]["fields"]
    assert theirs == {"image_dense": mixed["_meta"]["multimodal"]["fields"]["image_dense"]}
    meta = parse_meta("images", images["_meta"]["multimodal"])
    assert meta.profiles["default"] == "image"
    check_profiles(meta, images["properties"])


def test_options_change_what_they_name() -> None:
    body = build_body(
        load_template("pages"), load_spec, shards=3, replicas=2, engine="faiss", analyzer="german"
    )
    assert body["settings"]["index"]["number_of_shards"] == 3
    assert body["settings"]["index"]["number_of_replicas"] == 2
    assert "auto_expand_replicas" not in body["settings"]["index"]
    properties = body["mappings"]["properties"]
    assert properties["dense"]["method"]["engine"] == "faiss"
    assert properties["text"]["analyzer"] == properties["title"]["analyzer"] == "german"


def test_model_that_does_not_fit_is_refused_by_name() -> None:
    with pytest.raises(
        InvalidInput, match=r"'dense' takes a dense model, 'all-minilm-l6-v2-tokens' is multi_vector"
    ):
        build_body(load_template("pages"), load_spec, models={"dense": "all-minilm-l6-v2-tokens"})
    with pytest.raises(InvalidInput, match=r"'bge-small-en-v1.5' reads text, not image"):
        build_body(load_template("pages"), load_spec, inputs={"dense": "image"})
    with pytest.raises(InvalidInput, match="'colour' is not a vector field"):
        build_body(load_template("pages"), load_spec, models={"colour": "bge-small-en-v1.5"})
    with pytest.raises(InvalidInput, match="no-such-model"):
        build_body(load_template("pages"), load_spec, models={"dense": "no-such-model"})


def test_stamp_fills_fingerprints_in_and_nothing_else() -> None:
    meta = parse_meta("pages", load_template("pages")["mappings"]["_meta"]["multimodal"])
    stamped = stamp(meta, load_spec)
    assert stamped.profiles == meta.profiles
    changed = {name for name in meta.fields if meta.fields[name] != stamped.fields[name]}
    assert changed == {"dense", "multi_vector"}
    assert stamp(stamped, load_spec) == stamped


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ('{"mappings": {}}', "it needs mappings.properties"),
        ('{"mappings": {"_meta": {"multimodal": {"version": 2, "fields": {}}}}}', "version"),
    ],
)
def test_bad_body_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(content)
    with pytest.raises(InvalidInput, match=message):
        load_template(str(path))


def test_missing_body_file_is_refused() -> None:
    with pytest.raises(InvalidInput, match="neither pages nor passages nor mixed nor images nor a JSON file"):
        load_template("pagez")


def test_field_described_but_not_mapped_is_refused() -> None:
    template = load_template("pages")
    del template["mappings"]["properties"]["fde"]
    with pytest.raises(InvalidInput, match="'fde' is described"):
        build_body(template, load_spec)


def test_body_survives_json() -> None:
    body = build_body(load_template("pages"), load_spec)
    assert json.loads(json.dumps(body)) == body


def profiles(**changed: Any) -> dict[str, Any]:
    template = load_template("pages")
    template["mappings"]["_meta"]["multimodal"]["profiles"] |= changed
    return template


BM25 = {"type": "bm25", "field": "text"}
DENSE = {"type": "dense", "field": "dense"}
LATE = {"type": "late_interaction", "field": "multi_vector"}


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"retrievers": [BM25, {"type": "dense", "field": "text"}]}, "'text' is not a field for a dense"),
        ({"retrievers": [{"type": "bm25", "field": "body"}]}, "'mine': 'body' is not a text field"),
        ({"retrievers": [BM25, DENSE]}, "'mine': several retrievers need 'fusion'"),
        ({"retrievers": [LATE]}, "late_interaction only scores what others find: add a retriever"),
        (
            {
                "retrievers": [BM25, DENSE],
                "fusion": {"normalization": "z_score", "combination": "dempster_shafer"},
            },
            "z_score.*dempster_shafer|dempster_shafer.*z_score",
        ),
        ("nobody", "'mine': it stands for 'nobody', which is not among"),
        ("mine", "'mine': mine → mine goes round in a circle"),
    ],
)
def test_an_index_that_could_not_be_searched_is_not_made(profile: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        build_body(profiles(mine=profile), load_spec)


def test_documents_need_the_field_that_names_them() -> None:
    template = profiles(mine={"retrievers": [BM25], "documents": {"method": "max"}})
    build_body(template, load_spec)
    del template["mappings"]["properties"]["document_id"]
    with pytest.raises(InvalidInput, match="'mine': documents: the index has no keyword field 'document_id'"):
        build_body(template, load_spec)


@pytest.mark.parametrize(
    ("field", "source", "kind"),
    [
        ("fde", "dense", "multi"),
        ("binary", "multi_vector", "single"),
        ("binary", "fde", "single"),
        ("binary", "nothing", "single"),
    ],
)
def test_what_a_field_is_derived_from_is_of_the_right_kind(field: str, source: str, kind: str) -> None:
    template = load_template("pages")
    template["mappings"]["_meta"]["multimodal"]["fields"][field]["derived_from"] = source
    message = f"field '{field}': derived_from: '{source}' is not a {kind}-vector field with a model"
    with pytest.raises(InvalidInput, match=message):
        build_body(template, load_spec)
