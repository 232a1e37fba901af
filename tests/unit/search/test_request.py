"""Requests: overrides change what they name, filters say what they mean."""

import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.mappings import build_body, describe, load_template
from opensearch_multimodal.models import load_spec
from opensearch_multimodal.search import Request, metadata_filter
from opensearch_multimodal.search.first_stage import knn_similarity


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
    with pytest.raises(InvalidInput, match="k: 10001 is outside 1–10000"):
        Request("q", k=10_001).check()
