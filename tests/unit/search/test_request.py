"""Requests: overrides change what they name, filters say what they mean."""

import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.mappings import build_body, describe, load_template
from opensearch_multimodal.models import load_spec
from opensearch_multimodal.search import Request, metadata_filter
from opensearch_multimodal.search.first_stage import bm25_text, knn_similarity, records_clause


def test_metadata_filter_knows_the_fields_of_their_own() -> None:
    assert metadata_filter({}) is None
    assert metadata_filter({"type": "pdf", "page": "3"}) == {
        "bool": {"filter": [{"term": {"metadata.type": "pdf"}}, {"term": {"page": "3"}}]}
    }


def test_overrides_change_parts_and_remove_stages() -> None:
    body = build_body(load_template("pages"), load_spec)
    index = describe("x", {"x": {"mappings": body["mappings"], "settings": {"index": {}}}})
    plain = index.profile("gqr")
    changed = Request("q", profile="gqr", overrides={"refine": {"steps": 7}}).resolve_profile(index)
    assert changed.refine is not None
    assert plain.refine is not None
    assert changed.refine.steps == 7
    assert changed.refine.primary == plain.refine.primary
    assert changed.retrievers == plain.retrievers
    assert Request("q", profile="gqr", overrides={"refine": None}).resolve_profile(index).refine is None
    assert index.profile("gqr") == plain


@pytest.mark.parametrize("similarity", [1.0, 0.25, 0.0, -0.5, -1.0])
def test_knn_score_gives_the_inner_product_back(similarity: float) -> None:
    score = 1 + similarity if similarity >= 0 else 1 / (1 - similarity)
    assert knn_similarity(score) == pytest.approx(similarity)


def test_a_query_needs_words_or_an_image() -> None:
    with pytest.raises(InvalidInput, match="query_text, query_image or both"):
        Request().check()
    with pytest.raises(InvalidInput, match="k: 2001 is outside 1–2000"):
        Request("q", k=2_001).check()
    with pytest.raises(InvalidInput, match="not valid Unicode"):
        Request("half \ud800").check()


def test_conditions_of_one_name_must_all_hold() -> None:
    assert metadata_filter([("lang", "de"), ("lang", "en")]) == {
        "bool": {"filter": [{"term": {"metadata.lang": "de"}}, {"term": {"metadata.lang": "en"}}]}
    }


def test_bm25_reads_all_of_a_usual_question_and_a_part_of_a_very_long_one() -> None:
    usual = "How tight ARE the clamp-bolts?"
    assert bm25_text(usual) == usual
    assert bm25_text("again and again " * 400) == "again and"
    words = bm25_text(" ".join(f"w{i}" for i in range(3000))).split()
    assert words == [f"w{i}" for i in range(1000)]
    ideographs = "".join(chr(0x4E00 + i) for i in range(3000))
    assert len(bm25_text(ideographs).split()) == 1000


def test_records_of_several_indices_are_named_with_their_index() -> None:
    body = build_body(load_template("pages"), load_spec)
    one = {"mappings": body["mappings"], "settings": {"index": {}}}
    single, both = describe("a", {"a": one}), describe("a,b", {"a": one, "b": one})
    assert records_clause(single, [("a", "x"), ("a", "y")]) == {"ids": {"values": ["x", "y"]}}
    assert records_clause(both, [("a", "x"), ("b", "x"), ("a", "y")]) == {
        "bool": {
            "should": [
                {"bool": {"filter": [{"term": {"_index": "a"}}, {"ids": {"values": ["x", "y"]}}]}},
                {"bool": {"filter": [{"term": {"_index": "b"}}, {"ids": {"values": ["x"]}}]}},
            ],
            "minimum_should_match": 1,
        }
    }
