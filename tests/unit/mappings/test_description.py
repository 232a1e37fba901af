"""A live index's description: typing errors are errors, and two vector spaces never mix."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from opensearch_multimodal.errors import InvalidInput, ModelMismatch
from opensearch_multimodal.mappings import IndexDescription, Profile, build_body, describe, load_template
from opensearch_multimodal.models import load_spec

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def body() -> dict[str, Any]:
    return build_body(load_template("pages"), load_spec)


def response(body: dict[str, Any], change: Change | None = None) -> dict[str, Any]:
    copied = copy.deepcopy(body)
    if change:
        change(copied["mappings"]["_meta"]["multimodal"])
    return {"mappings": copied["mappings"], "settings": {"index": {"number_of_shards": "3"}}}


def described(body: dict[str, Any], change: Change | None = None) -> IndexDescription:
    return describe("manuals", {"manuals": response(body, change)})


def test_shipped_body_reads_back(body: dict[str, Any]) -> None:
    index = described(body)
    assert index.indices == ("manuals",)
    assert index.settings["manuals"]["number_of_shards"] == "3"
    for name in index.profile_names():
        assert isinstance(index.profile(name), Profile)
    assert index.profile("default") == index.profile("gqr")
    assert "default" not in index.profile_names()


def test_derived_fields_are_scored_by_their_source(body: dict[str, Any]) -> None:
    index = described(body)
    assert [index.scored_field(name) for name in ("text", "dense", "binary", "fde", "multi_vector")] == [
        "text",
        "dense",
        "dense",
        "multi_vector",
        "multi_vector",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(extra=1), "extra"),
        (lambda m: m.update(version=2), "version"),
        (lambda m: m["fields"]["dense"].update(inptu="text"), "fields.dense.inptu"),
        (lambda m: m["fields"].update(dense=None), "fields.dense"),
        (lambda m: m["fields"]["fde"].update(simhash_bits=99), "fields.fde.simhash_bits"),
        (lambda m: m["profiles"]["gqr"].update(rerank={}), "profiles.gqr.rerank"),
        (lambda m: m["profiles"]["bm25"]["retrievers"][0].update(k=0), "retrievers.0.k"),
        (lambda m: m["profiles"]["bm25"].update(retrievers=[]), "profiles.bm25.retrievers"),
    ],
)
def test_unknown_and_wrong_keys_are_named(body: dict[str, Any], change: Change, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        described(body, change)


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"retrievers": [{"type": "bm25", "field": "dense"}]}, "'dense' is not a text field"),
        ({"retrievers": [{"type": "dense", "field": "binary"}]}, "not a field for a dense retriever"),
        ({"retrievers": [{"type": "dense", "field": "multi_vector"}]}, "not a field for a dense retriever"),
        ({"retrievers": [{"type": "fde", "field": "nowhere"}]}, "not a field for a fde retriever"),
        (
            {"retrievers": [{"type": "bm25", "field": "text"}, {"type": "dense", "field": "dense"}]},
            "need 'fusion'",
        ),
        (
            {
                "retrievers": [{"type": "dense", "field": "dense"}],
                "refine": {"primary": "dense", "complementary": ["text"]},
            },
            "which no retriever scores",
        ),
        (
            {
                "retrievers": [{"type": "dense", "field": "dense"}],
                "refine": {"primary": "dense", "complementary": ["dense"]},
            },
            "cannot complement itself",
        ),
        (
            {
                "retrievers": [{"type": "bm25", "field": "text"}, {"type": "dense", "field": "dense"}],
                "fusion": {"combination": "rrf", "normalization": "min_max"},
            },
            "rrf",
        ),
    ],
)
def test_profiles_that_cannot_work_are_refused(body: dict[str, Any], profile: object, message: str) -> None:
    index = described(body, lambda m: m["profiles"].update(mine=profile))
    with pytest.raises(InvalidInput, match=message):
        index.profile("mine")


def test_unknown_profile_lists_the_known(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"no profile 'mine' \(it has: bm25, default, dense, gqr"):
        described(body).profile("mine")


def test_profile_names_that_point_in_a_circle_are_refused(body: dict[str, Any]) -> None:
    index = described(body, lambda m: m["profiles"].update(a="b", b="a"))
    with pytest.raises(InvalidInput, match="no profile 'a'"):
        index.profile("a")


def test_index_that_does_not_describe_itself_is_refused() -> None:
    with pytest.raises(InvalidInput, match="does not describe its vectors"):
        describe("logs", {"logs": {"mappings": {}, "settings": {}}})
    with pytest.raises(InvalidInput, match="nothing matches"):
        describe("no*", {})


def test_indices_of_different_models_do_not_mix(body: dict[str, Any]) -> None:
    other = "sha256:" + "0" * 64
    pair = {
        "old": response(body),
        "new": response(body, lambda m: m["fields"]["dense"].update(fingerprint=other)),
    }
    with pytest.raises(ModelMismatch, match=r"field 'dense'.*index 'old'.*index 'new'"):
        describe("both", pair)


def test_model_is_checked_against_the_fingerprint(body: dict[str, Any]) -> None:
    spec = load_spec("bge-small-en-v1.5")
    described(body).check_model("dense", spec)
    unstamped = described(body, lambda m: m["fields"]["dense"].pop("fingerprint"))
    with pytest.raises(ModelMismatch, match="osmm index stamp manuals"):
        unstamped.check_model("dense", spec)
    foreign = described(body, lambda m: m["fields"]["dense"].update(fingerprint="sha256:" + "0" * 64))
    with pytest.raises(ModelMismatch, match="ingest into a new index"):
        foreign.check_model("dense", spec)


def test_dimension_of_the_mapping_is_checked(body: dict[str, Any]) -> None:
    wrong = copy.deepcopy(body)
    wrong["mappings"]["properties"]["dense"]["dimension"] = 100
    with pytest.raises(InvalidInput, match=r"has dimension 100, model 'bge-small-en-v1.5' gives 384"):
        described(wrong).check_model("dense", load_spec("bge-small-en-v1.5"))
