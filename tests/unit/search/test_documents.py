"""Pages rolled up to documents: hand-computed scores and orders."""

from __future__ import annotations

import numpy as np
import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.mappings import Documents, build_body, describe, load_template, parse_profile
from opensearch_multimodal.models import load_spec
from opensearch_multimodal.search.documents import by_best_page, by_mean_vector, by_sum, mean_vectors
from opensearch_multimodal.types import Candidate

SCORES = {"a#p1": 9.0, "b#p1": 8.0, "b#p2": 7.0, "c#p1": 6.0, "b#p3": 5.0, "a#p2": 1.0}
IDS = {("x", page): page[0] for page in SCORES}


def ranked(shift: float = 0.0) -> list[Candidate]:
    return [Candidate(page, "x", score=score + shift) for page, score in SCORES.items()]


def test_the_best_page_orders_the_documents() -> None:
    documents = by_best_page(ranked(), IDS)
    assert [(d.id, d.score) for d in documents] == [("a", 9.0), ("b", 8.0), ("c", 6.0)]
    assert [page.id for page in documents[1].pages] == ["b#p1", "b#p2", "b#p3"]


@pytest.mark.parametrize("shift", [0.0, -100.0])
def test_the_best_pages_add_up_above_the_worst_candidate(shift: float) -> None:
    documents = by_sum(ranked(shift), IDS, 2)
    lowest = 1.0
    expected = [("b", (8 - lowest) + (7 - lowest)), ("a", (9 - lowest) + (1 - lowest)), ("c", 6 - lowest)]
    assert [(d.id, pytest.approx(d.score)) for d in documents] == expected
    assert [d.id for d in by_sum(ranked(shift), IDS, 1)] == ["a", "b", "c"]


def test_the_merged_vector_orders_the_documents() -> None:
    pages = np.array([[1, 0], [0, 1], [0.6, 0.8], [0, 1]], dtype=np.float32)
    before = pages.copy()
    means = mean_vectors([("x", "a"), ("x", "a"), ("x", "b"), ("y", "a")], pages)
    assert means[("x", "a")] == pytest.approx([np.sqrt(1 / 2), np.sqrt(1 / 2)])
    assert means[("x", "b")] == pytest.approx([0.6, 0.8])
    assert means[("y", "a")] == pytest.approx([0.0, 1.0])
    assert np.array_equal(pages, before)
    query = np.array([0.0, 1.0], dtype=np.float32)
    documents = by_mean_vector(ranked(), IDS, means, query)
    assert [d.id for d in documents] == ["b", "a", "c"]  # c has no vector
    assert [d.score for d in documents[:2]] == pytest.approx([0.8, np.sqrt(1 / 2)])
    assert [page.id for page in documents[0].pages] == ["b#p1", "b#p2", "b#p3"]


def test_pages_that_cancel_out_make_no_vector() -> None:
    assert mean_vectors([("x", "a")] * 2, np.array([[1, 0], [-1, 0]], dtype=np.float32)) == {}


def test_documents_of_two_indices_are_two() -> None:
    pages = [Candidate("a#p1", "x", score=2.0), Candidate("a#p1", "y", score=1.0)]
    documents = by_best_page(pages, {("x", "a#p1"): "a", ("y", "a#p1"): "a"})
    assert [(d.index, d.id) for d in documents] == [("x", "a"), ("y", "a")]


def test_a_profile_names_a_field_that_it_scores() -> None:
    body = build_body(load_template("pages"), load_spec)
    index = describe("x", {"x": {"mappings": body["mappings"], "settings": {"index": {}}}})

    def profile(**documents: object) -> object:
        retrievers = [{"type": "bm25", "field": "text"}, {"type": "fde", "field": "fde"}]
        if documents.pop("dense", False):
            retrievers.append({"type": "binary", "field": "binary"})
        fusion = {"combination": "rrf"}
        parsed = parse_profile("p", {"retrievers": retrievers, "fusion": fusion, "documents": documents})
        return index.check_profile("p", parsed)

    profile(method="sum_top")
    checked = profile(method="mean_vector", dense=True)
    assert index.document_field("p", checked) == "dense"  # type: ignore[arg-type]
    for wrong in (
        {"method": "mean_vector"},
        {"method": "mean_vector", "field": "multi_vector", "dense": True},
    ):
        with pytest.raises(InvalidInput, match="needs a single-vector field that one of its retrievers"):
            profile(**wrong)
    with pytest.raises(ValueError, match="'field' belongs to the method 'mean_vector'"):
        Documents(method="max", field="dense")


def test_a_profile_reranks_by_a_field_of_the_right_kind() -> None:
    body = build_body(load_template("pages"), load_spec)
    index = describe("x", {"x": {"mappings": body["mappings"], "settings": {"index": {}}}})

    def profile(**rerank: object) -> None:
        retrievers = [{"type": "bm25", "field": "text"}]
        index.check_profile("p", parse_profile("p", {"retrievers": retrievers, "rerank": rerank}))

    profile(model="m")
    profile(model="m", field="title")
    profile(type="maxsim", field="multi_vector")
    with pytest.raises(InvalidInput, match=r"rerank\.field must be a multi-vector field"):
        profile(type="maxsim", field="dense")
    with pytest.raises(InvalidInput, match=r"rerank\.field: 'page' is not a text field"):
        profile(model="m", field="page")
