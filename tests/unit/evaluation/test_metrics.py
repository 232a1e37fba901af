from __future__ import annotations

import copy
from math import log2

import numpy as np
import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.evaluation import parse_metric, per_query


def _values(run, qrels, *names):
    return per_query(run, qrels, [parse_metric(name) for name in names])


def test_ndcg_recall_and_mrr_by_hand():
    qrels = {"q": {"a": 2, "b": 1, "c": 1, "n": 0}}
    run = {"q": {"n": 9.0, "b": 8.0, "x": 7.0, "a": 6.0}}
    before = copy.deepcopy((run, qrels))
    gained = 1 / log2(2 + 1) + 2 / log2(4 + 1)
    ideal = 2 / log2(1 + 1) + 1 / log2(2 + 1) + 1 / log2(3 + 1)
    assert _values(run, qrels, "ndcg@10", "recall@100", "mrr@10")[0] == pytest.approx(
        [gained / ideal, 2 / 3, 1 / 2]
    )
    assert (run, qrels) == before


def test_a_cut_off_cuts():
    qrels = {"q": {"a": 1, "b": 1}}
    run = {"q": {"x": 3.0, "a": 2.0, "b": 1.0}}
    names = (
        "recall@1",
        "recall@2",
        "recall@3",
        "mrr@1",
        "mrr@2",
        "precision@2",
        "success@1",
        "success@2",
        "map@3",
    )
    expected = [0, 1 / 2, 2 / 2, 0, 1 / 2, 1 / 2, 0, 1, (1 / 2 + 2 / 3) / 2]
    assert _values(run, qrels, *names)[0] == pytest.approx(expected)


def test_a_judged_query_without_hits_counts_as_zero_and_an_unjudged_one_not_at_all():
    qrels = {"found": {"a": 1}, "empty": {"a": 1}, "absent": {"a": 1}}
    run = {"unjudged": {"a": 1.0}, "empty": {}, "found": {"a": 1.0}}
    assert _values(run, qrels, "ndcg@10").tolist() == [[1.0], [0.0], [0.0]]
    assert _values({}, qrels, "ndcg@10").tolist() == [[0.0], [0.0], [0.0]]


def test_columns_follow_the_metrics_and_rows_the_judgements():
    qrels = {"z": {"a": 1}, "b": {"a": 1}}
    run = {"b": {"x": 2.0, "a": 1.0}, "z": {"a": 1.0}}
    assert _values(run, qrels, "recall@10", "mrr@10").tolist() == [[1, 1], [1, 1 / 2]]
    assert _values(run, qrels, "mrr@10", "recall@10").tolist() == [[1, 1], [1 / 2, 1]]


@pytest.mark.parametrize("first", ["a", "z"])
def test_equal_scores_keep_the_order_of_the_run(first):
    second = "z" if first == "a" else "a"
    values = _values({"q": {first: 1.0, second: 1.0}}, {"q": {"a": 1}}, "mrr@10")
    assert values[0, 0] == (1 if first == "a" else 1 / 2)


def test_scores_that_differ_only_in_double_precision_are_told_apart():
    assert np.float32(1 + 1e-12) == np.float32(1)
    assert _values({"q": {"x": 1.0, "a": 1 + 1e-12}}, {"q": {"a": 1}}, "mrr@10")[0, 0] == 1


def test_negative_scores_rank_too():
    assert _values({"q": {"x": -2.0, "a": -1.0}}, {"q": {"a": 1}}, "mrr@10")[0, 0] == 1


@pytest.mark.parametrize("name", ["ndcg", "ndcg@0", "ndcg@-1", "ndcg@ten", "f1@10", "@10", ""])
def test_an_unknown_metric_is_refused_with_the_known_ones(name):
    with pytest.raises(
        InvalidInput, match=f"metric '{name}' is unknown: choose from ndcg@K, recall@K, mrr@K"
    ):
        parse_metric(name)


def test_a_metric_knows_its_depth():
    assert (parse_metric(" nDCG@10 ").name, parse_metric("recall@100").depth) == ("ndcg@10", 100)
