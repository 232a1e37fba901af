"""The probability of being relevant."""

import math

import numpy as np
import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.mappings import Moments, Relevance, Statistics
from opensearch_multimodal.search.relevance import features, fit, probabilities
from opensearch_multimodal.search.scoring import NO_VECTOR
from opensearch_multimodal.types import Candidate

STATISTICS = Statistics(
    scores={
        "text": {"page": Moments(mean=4.0, deviation=2.0, count=9)},
        "dense": {"page": Moments(mean=0.3, deviation=0.1, count=9)},
    }
)
RANKED = [
    Candidate(id="a", index="x", modality="page", scores={"text": 8.0, "dense": 0.6}),
    Candidate(id="b", index="x", modality="page", scores={"text": 0.0, "dense": NO_VECTOR}),
]


def test_features_are_calibrated_scores_and_the_logarithm_of_the_rank() -> None:
    expected = [[(8 - 4) / 2, (0.6 - 0.3) / 0.1, math.log(1)], [(0 - 4) / 2, 0, math.log(2)]]
    np.testing.assert_allclose(features(RANKED, ["text", "dense"], STATISTICS), expected)


def test_probabilities() -> None:
    learnt = Relevance(intercept=-1.0, rank=-0.5, fields={"dense": 0.4, "text": 0.2}, queries=3, results=9)
    logits = [-1 + 0.4 * 3 + 0.2 * 2, -1 + 0.2 * -2 - 0.5 * math.log(2)]
    expected = [1 / (1 + math.exp(-logit)) for logit in logits]
    np.testing.assert_allclose(probabilities(RANKED, learnt, STATISTICS), expected)


def test_fit_finds_the_coefficients_that_made_the_labels() -> None:
    generator = np.random.default_rng(0)
    values = generator.standard_normal((20_000, 2))
    logits = -1 + values @ [1.5, -0.5]
    relevant = generator.random(20_000) < 1 / (1 + np.exp(-logits))
    before = values.copy()
    intercept, coefficients = fit(values, relevant)
    assert intercept == pytest.approx(-1, abs=0.1)
    assert coefficients == pytest.approx([1.5, -0.5], abs=0.1)
    np.testing.assert_array_equal(values, before)


def test_fit_is_calibrated_and_at_the_least_loss() -> None:
    """At the optimum predicted and judged numbers are equal, and so is each column but for the ridge."""
    generator = np.random.default_rng(1)
    values = generator.standard_normal((300, 3))
    relevant = generator.random(300) < 0.2
    intercept, coefficients = fit(values, relevant)
    predicted = 1 / (1 + np.exp(-(intercept + values @ coefficients)))
    assert predicted.sum() == pytest.approx(relevant.sum(), rel=1e-5)
    np.testing.assert_allclose(values.T @ (relevant - predicted), coefficients, atol=1e-4)


def test_what_can_be_told_apart_without_error_stays_finite() -> None:
    intercept, coefficients = fit(
        np.array([[-3.0], [-2.0], [2.0], [3.0]]), np.array([False, False, True, True])
    )
    assert np.isfinite([intercept, *coefficients]).all()
    assert coefficients[0] > 0


@pytest.mark.parametrize("relevant", [True, False])
def test_nothing_to_learn_from_is_said(relevant: bool) -> None:
    with pytest.raises(InvalidInput, match=r"qrels: [02] of 2 results are judged relevant"):
        fit(np.ones((2, 1)), np.array([relevant, relevant]))
