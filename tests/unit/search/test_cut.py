"""How many results are left; expected values written as arithmetic."""

import numpy as np
import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.mappings import Cut, parse_profile
from opensearch_multimodal.search.cut import by_relevance, by_score_curve, by_size

CURVE = Cut(method="score_curve")
RELEVANCE = Cut(method="relevance")


def test_a_fixed_size_never_gives_more_than_asked_for() -> None:
    assert by_size(30, Cut(size=4), 10).size == 4
    assert by_size(3, Cut(size=4), 10).size == 3
    assert by_size(30, Cut(size=40), 10).size == 10


def test_the_curve_is_cut_where_it_bends() -> None:
    scores = np.array([0.9, 0.85, 0.8, 0.2, 0.19, 0.18, 0.17, 0.1])
    before = scores.copy()
    point = by_score_curve(scores, CURVE, 10)
    assert (point.size, point.of) == (3, 8)
    assert "after result 3, where they fall from 0.8 to 0.2" in point.reason
    np.testing.assert_array_equal(scores, before)
    assert by_score_curve(10 * scores - 3, CURVE, 10).size == 3


def test_the_curve_keeps_to_its_bounds() -> None:
    scores = np.array([0.9, 0.85, 0.8, 0.2, 0.19, 0.18, 0.17, 0.1])
    assert by_score_curve(scores, CURVE.model_copy(update={"min": 5}), 10).size >= 5
    assert by_score_curve(scores, CURVE.model_copy(update={"max": 3}), 10).of == 3
    assert by_score_curve(scores, CURVE, 3).of == 3
    assert by_score_curve(scores, CURVE.model_copy(update={"min": 20}), 10).size == 8


@pytest.mark.parametrize("scores", [[0.5], [0.5, 0.5, 0.5]])
def test_what_does_not_fall_is_not_cut(scores: list[float]) -> None:
    point = by_score_curve(np.array(scores), CURVE, 10)
    assert point.size == len(scores)
    assert "nothing to cut" in point.reason


def test_relevance_is_cut_where_the_expected_f_measure_is_highest() -> None:
    probability = np.array([0.9, 0.6, 0.1, 0.1])
    before = probability.copy()
    total = 0.9 + 0.6 + 0.1 + 0.1
    expected = [2 * gained / (n + total) for n, gained in enumerate([0.9, 1.5, 1.6, 1.7], start=1)]
    point = by_relevance(probability, RELEVANCE, 10)
    assert point.size == 1 + int(np.argmax(expected)) == 2
    assert f"an F1 of {expected[1]:.2f}" in point.reason
    assert "1.50 of 1.70 relevant results are expected among 2" in point.reason
    np.testing.assert_array_equal(probability, before)


def test_more_weight_on_recall_leaves_more() -> None:
    probability = np.array([0.9, 0.3, 0.25, 0.2])
    sizes = [
        by_relevance(probability, RELEVANCE.model_copy(update={"beta": b}), 10).size for b in (0.5, 1, 3)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_relevance_keeps_to_its_bounds() -> None:
    probability = np.array([0.9, 0.01, 0.01, 0.01])
    assert by_relevance(probability, RELEVANCE, 10).size == 1
    assert by_relevance(probability, RELEVANCE.model_copy(update={"min": 3}), 10).size == 3
    assert by_relevance(np.array([0.9, 0.9, 0.9]), RELEVANCE.model_copy(update={"max": 2}), 10).size == 2


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        ({}, "'size' belongs to the method 'size'"),
        ({"method": "score_curve", "size": 3}, "'size' belongs to the method 'size'"),
        ({"method": "score_curve", "min": 5, "max": 3}, "max 3 is less than min 5"),
        ({"method": "elbow"}, "cut.method"),
        ({"method": "relevance", "beta": 0}, "cut.beta"),
    ],
)
def test_cuts_that_cannot_work_are_refused(cut: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse_profile("mine", {"retrievers": [{"type": "bm25", "field": "text"}], "cut": cut})


@pytest.mark.parametrize(
    "scores", [[0.700001, 0.7], [3.0, 2.0, 1.0], list(np.linspace(5, 1, 20)), [10.0, 9.9, 9.8, 9.7, 9.5]]
)
def test_a_curve_without_a_bend_is_not_cut(scores: list[float]) -> None:
    point = by_score_curve(np.array(scores), CURVE, 50)
    assert point.size == len(scores)
    assert "no bend: nothing to cut" in point.reason
