from __future__ import annotations

import numpy as np
import pytest

from opensearch_multimodal import sizing
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.fde import (
    FdeParameters,
    encode_document,
    encode_query,
    quantize_document,
    quantize_query,
)
from opensearch_multimodal.maxsim import maxsim
from opensearch_multimodal.sizing import estimate_fde, expected_recall

SMALL, LARGE = FdeParameters(2, 1, 4), FdeParameters(20, 4, 16)


def unit(generator, *shape):
    rows = generator.standard_normal(shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def collection(seed, count):
    """Documents around topics, and queries near some of them."""
    generator = np.random.default_rng(seed)
    topics = unit(generator, 40, 24)
    documents = []
    for _ in range(count):
        rows = topics[generator.integers(0, 40, 12)] + 0.8 * unit(generator, 12, 24)
        documents.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    queries = []
    for _ in range(40):
        rows = topics[generator.integers(0, 40, 6)] + 0.4 * unit(generator, 6, 24)
        queries.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    return documents, queries


def test_recall_by_hand():
    exact = np.array([[9.0, 8, 7, 6], [6, 7, 8, 9]])
    approximate = np.array([[1.0, 9, 2, 3], [4, 3, 2, 1]])
    before = exact.copy(), approximate.copy()
    # Query 1: of its best two, the first has three above it, the second none. Query 2: both are last.
    found = expected_recall(exact, approximate, 4, top=2, depth=2)
    assert found.tolist() == [1 / 2, 0 / 2]
    assert expected_recall(exact, approximate, 4, top=2, depth=4).tolist() == [1, 1]
    np.testing.assert_array_equal(exact, before[0])
    np.testing.assert_array_equal(approximate, before[1])


def test_a_sample_stands_for_more():
    exact = np.array([[5.0, 4, 3, 2, 1]])
    approximate = np.array([[4.0, 5, 3, 2, 1]])
    # 5 of 20: its best 4 · 5/20 = 1 has one above it, so about 1 · 20/5 = 4 among all.
    assert expected_recall(exact, approximate, 20, top=4, depth=4).tolist() == [0]
    assert expected_recall(exact, approximate, 20, top=4, depth=5).tolist() == [1]


def test_half_of_equal_scores_are_taken_to_be_above():
    exact = np.array([[5.0, 4, 3, 2, 1]])
    level = np.zeros((1, 5))
    assert expected_recall(exact, level, 5, top=1, depth=2).tolist() == [0]
    assert expected_recall(exact, level, 5, top=1, depth=3).tolist() == [1]


def test_estimates_are_what_exact_search_finds_on_everything():
    documents, queries = collection(1, 120)
    estimates = estimate_fde(documents, queries, [SMALL, LARGE], top=5, depth=20)
    for one in estimates:
        codes = np.stack([quantize_document(encode_document(d, one.parameters)) for d in documents])
        found = []
        for query in queries:
            best = np.argsort(-maxsim(query, documents), kind="stable")[:5]
            wanted = quantize_query(encode_query(query, one.parameters)).astype(int)
            near = np.argsort(-(codes.astype(int) @ wanted), kind="stable")[:20]
            found.append(len(set(best.tolist()) & set(near.tolist())) / 5)
        assert one.recall == pytest.approx(np.mean(found), abs=0.02)
        assert one.low <= one.recall <= one.high
        assert one.bytes == one.parameters.dimension(24)
        assert one.encode_ms > 0
    assert estimates[1].recall > estimates[0].recall + 0.2


def test_a_tenth_foretells_the_whole():
    documents, queries = collection(2, 1500)
    (whole,) = estimate_fde(documents, queries, [LARGE], top=10, depth=30)
    foretold = [
        estimate_fde(documents[start::5], queries, [LARGE], population=1500, top=10, depth=30)[0].recall
        for start in range(5)
    ]
    assert np.mean(foretold) == pytest.approx(whole.recall, abs=0.06)


def test_the_document_that_a_query_was_made_from_does_not_count():
    generator = np.random.default_rng(3)
    documents = [unit(generator, 8, 16) for _ in range(30)]
    queries = [documents[i][:4] for i in range(10)]
    (kept,) = estimate_fde(documents, queries, [LARGE], top=1, depth=1)
    (hidden,) = estimate_fde(documents, queries, [LARGE], top=1, depth=1, own=range(10))
    assert kept.recall == 1
    assert hidden.recall < 1


def test_documents_are_scored_some_at_a_time(monkeypatch):
    documents, queries = collection(4, 30)
    (whole,) = estimate_fde(documents, queries, [LARGE], top=5, depth=5)
    monkeypatch.setattr(sizing, "_ROWS_AT_ONCE", 40)
    (parts,) = estimate_fde(documents, queries, [LARGE], top=5, depth=5)
    assert parts.recall == whole.recall


@pytest.mark.parametrize(
    "wrong", [{"documents": []}, {"queries": []}, {"population": 3}, {"top": 0}, {"depth": 0}]
)
def test_refusals(wrong):
    documents, queries = collection(5, 4)
    with pytest.raises(InvalidInput, match="sizing: "):
        estimate_fde(**{"documents": documents, "queries": queries, **wrong})
