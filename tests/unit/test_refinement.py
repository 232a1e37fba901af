from __future__ import annotations

import math

import numpy as np
import pytest

from opensearch_multimodal import refinement
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.maxsim import MaxSimTracker, Stacked, maxsim, stack
from opensearch_multimodal.refinement import refine


def unit(generator, *shape, dtype=np.float32):
    rows = generator.standard_normal(shape).astype(dtype)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def softmax(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def similarities(query, candidates):
    if query.ndim == 1:
        return np.array([query @ candidate for candidate in candidates])
    return np.array([(query @ candidate.T).max(axis=1).sum() for candidate in candidates])


def loss(query, candidates, target, temperature):
    return float(
        (target * (np.log(target) - np.log(softmax(similarities(query, candidates) / temperature)))).sum()
    )


def slowly(query, candidates, other, *, steps, mix, budget, temperature=1.0):
    """GQR by the letter in float64, with Adam as its paper has it and no cleverness anywhere."""
    query, candidates = query.astype(np.float64), [c.astype(np.float64) for c in candidates]
    base = similarities(query, candidates)
    second = temperature * other.std() / base.std()
    target = (1 - mix) * softmax(base / temperature) + mix * softmax(other / second)
    rate = budget / (steps * math.sqrt(query.shape[-1]))
    mean, square = np.zeros_like(query), np.zeros_like(query)
    for t in range(1, steps + 1):
        weights = (softmax(similarities(query, candidates) / temperature) - target) / temperature
        gradient = np.zeros_like(query)
        for weight, candidate in zip(weights, candidates, strict=True):
            if query.ndim == 1:
                gradient += weight * candidate
            else:
                for j, row in enumerate(query):
                    gradient[j] += weight * candidate[(candidate @ row).argmax()]
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        query = query - rate * (mean / (1 - 0.9**t)) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)
    return query, similarities(query, candidates), target


def case(kind, seed=0, dtype=np.float32):
    generator = np.random.default_rng(seed)
    other = generator.normal(20, 6, 9)
    if kind == "single":
        return unit(generator, 24, dtype=dtype), unit(generator, 9, 24, dtype=dtype), other
    lengths = generator.integers(1, 12, 9)
    return unit(generator, 5, 24, dtype=dtype), [unit(generator, n, 24, dtype=dtype) for n in lengths], other


@pytest.mark.parametrize("kind", ["single", "multi"])
@pytest.mark.parametrize("budget", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("mix", [0.3, 1.0])
def test_equals_the_slow_definition(kind, budget, mix):
    query, candidates, other = case(kind)
    before = query.copy(), [candidate.copy() for candidate in candidates], other.copy()
    result = refine(query, candidates, other, steps=25, mix=mix, budget=budget)
    expected, scores, target = slowly(query, candidates, other, steps=25, mix=mix, budget=budget)
    assert result.skipped is None
    assert result.query.dtype == result.scores.dtype == np.float32
    assert result.query.shape == query.shape
    np.testing.assert_allclose(result.target, target, atol=1e-6)
    np.testing.assert_allclose(result.base_scores, similarities(query, candidates), atol=1e-5)
    np.testing.assert_allclose(result.scores, scores, atol=2e-3)
    np.testing.assert_allclose(result.scores, similarities(result.query, candidates), atol=1e-5)
    start = np.linalg.norm(query)
    assert result.drift == pytest.approx(np.linalg.norm(expected - query) / start, rel=0.01)
    assert result.divergence_before == pytest.approx(loss(query, candidates, target, 1.0), abs=1e-6)
    assert result.divergence_after == pytest.approx(loss(result.query, candidates, target, 1.0), abs=1e-6)
    assert result.divergence_after < result.divergence_before
    assert result.learning_rate == pytest.approx(budget / (25 * math.sqrt(24)))
    assert result.complementary_temperature == pytest.approx(other.std() / result.base_scores.std(), rel=1e-5)
    np.testing.assert_array_equal(query, before[0])
    np.testing.assert_array_equal(other, before[2])
    for candidate, copy in zip(candidates, before[1], strict=True):
        np.testing.assert_array_equal(candidate, copy)


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_float64_core_equals_the_slow_definition_to_rounding(kind):
    query, candidates, other = case(kind, dtype=np.float64)
    expected, scores, target = slowly(query, candidates, other, steps=25, mix=0.5, budget=0.3)
    if kind == "single":
        scorer = refinement._SingleVector(candidates)
    else:
        offsets = np.cumsum([0, *map(len, candidates)])
        scorer = MaxSimTracker(Stacked(np.concatenate(candidates), offsets))
    rate = 0.3 / (25 * math.sqrt(24))
    refined = refinement._minimise(scorer, query, target, 1.0, 25, rate)
    np.testing.assert_allclose(refined, expected, atol=1e-10)
    np.testing.assert_allclose(scorer.scores(refined), scores, atol=1e-10)


@pytest.mark.parametrize("kind", ["single", "multi"])
@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_first_step_goes_down_the_numerical_gradient(kind, temperature):
    query, candidates, other = case(kind, seed=3, dtype=np.float64)
    target = softmax(other / other.std())
    numerical = np.zeros_like(query)
    for position in np.ndindex(*query.shape):
        step = np.zeros_like(query)
        step[position] = 1e-6
        ahead, behind = (loss(query + sign * step, candidates, target, temperature) for sign in (1, -1))
        numerical[position] = (ahead - behind) / 2e-6
    scorer = refinement._SingleVector(candidates)
    if kind == "multi":
        offsets = np.cumsum([0, *map(len, candidates)])
        scorer = MaxSimTracker(Stacked(np.concatenate(candidates), offsets))
    weights = (softmax(scorer.scores(query) / temperature) - target) / temperature
    np.testing.assert_allclose(scorer.gradient(weights), numerical, atol=1e-8)
    moved = refinement._minimise(scorer, query, target, temperature, 1, 0.01)
    np.testing.assert_allclose(moved - query, -0.01 * numerical / (np.abs(numerical) + 1e-8), rtol=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_order_equals_the_slow_definition_wherever_scores_differ(seed):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(20, 60, 20)
    candidates = [unit(generator, length, 128) for length in lengths]
    query, other = unit(generator, 12, 128), generator.normal(0, 3, 20)
    result = refine(query, candidates, other)
    _, scores, _ = slowly(query, candidates, other, steps=25, mix=0.5, budget=refinement.MULTI_VECTOR_BUDGET)
    ahead = scores[:, None] - scores > 1e-3
    assert (result.scores[:, None] > result.scores)[ahead].all()


def test_forms_of_the_candidates_agree():
    generator = np.random.default_rng(2)
    query, candidates, other = unit(generator, 4, 16), unit(generator, 6, 7, 16), generator.normal(0, 1, 6)
    results = [refine(query, form, other) for form in (candidates, list(candidates), stack(candidates))]
    for result in results[1:]:
        np.testing.assert_array_equal(result.scores, results[0].scores)
    np.testing.assert_allclose(results[0].base_scores, maxsim(query, candidates), atol=1e-6)


def test_default_budgets():
    for kind, budget in (
        ("single", refinement.SINGLE_VECTOR_BUDGET),
        ("multi", refinement.MULTI_VECTOR_BUDGET),
    ):
        query, candidates, other = case(kind)
        np.testing.assert_array_equal(
            refine(query, candidates, other).scores, refine(query, candidates, other, budget=budget).scores
        )


def test_learning_rate_overrides_the_budget():
    query, candidates, other = case("single")
    result = refine(query, candidates, other, budget=9.0, learning_rate=0.003)
    assert result.learning_rate == 0.003
    assert np.abs(result.query - query).max() < 25 * 0.003 * 1.1


def test_scores_follow_the_complementary_retriever():
    query, candidates, other = case("single", seed=5)
    little, much = (refine(query, candidates, other, budget=budget) for budget in (0.1, 1.0))
    agreement = [
        np.corrcoef(scores, other)[0, 1] for scores in (little.base_scores, little.scores, much.scores)
    ]
    assert agreement == sorted(agreement)
    assert agreement[2] > agreement[0] + 0.1


def test_scale_and_offset_of_complementary_scores_do_not_matter():
    query, candidates, other = case("multi")
    one, two = refine(query, candidates, other), refine(query, candidates, 1000 * other - 7)
    np.testing.assert_allclose(one.target, two.target, atol=1e-12)


def test_a_candidate_without_complementary_score_has_no_share_of_it():
    query, candidates, other = case("single")
    other[4] = -np.inf
    result = refine(query, candidates, other, mix=0.5)
    base = softmax(result.base_scores.astype(np.float64))
    assert result.target[4] == pytest.approx(0.5 * base[4])
    assert result.target.sum() == pytest.approx(1)
    assert math.isfinite(result.divergence_after)


@pytest.mark.parametrize("kind", ["single", "multi"])
@pytest.mark.parametrize(
    ("other", "options", "reason"),
    [
        (np.full(9, 3.0), {}, "the candidates' scores have no spread"),
        (np.full(9, -np.inf), {}, "the complementary retriever scored no candidate"),
        (np.arange(9.0), {"mix": 0.0}, "the mix is 0"),
        ("base", {}, "both retrievers agree"),
    ],
)
def test_nothing_to_do_is_said(kind, other, options, reason):
    query, candidates, _ = case(kind)
    if isinstance(other, str):
        other = refine(query, candidates, np.arange(9.0)).base_scores
    result = refine(query, candidates, other, **options)
    assert result.skipped is not None
    assert result.skipped.startswith(reason)
    np.testing.assert_array_equal(result.query, query)
    assert result.query is not query
    np.testing.assert_array_equal(result.scores, result.base_scores)
    assert result.drift == 0


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_candidates(count):
    query, candidates, other = case("single")
    assert (
        refine(query, candidates[:count], other[:count]).skipped
        == f"{count} candidates, at least 2 are needed"
    )
    query, candidates, other = case("multi")
    assert (
        refine(query, candidates[:count], other[:count]).skipped
        == f"{count} candidates, at least 2 are needed"
    )


def test_equal_candidates_have_no_spread():
    result = refine([1.0, 0.0], [[0.6, 0.8]] * 3, [1.0, 2.0, 3.0])
    assert result.skipped == "the candidates' scores have no spread"
    result = refine([1.0, 0.0], [[0.6, 0.8]] * 3, [1.0, 2.0, 3.0], complementary_temperature=1.0)
    assert result.skipped is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[[1.0]]], [[1.0]], [1.0]), r"query: expected shape \(d,\) or \(n, d\), got shape \(1, 1, 1\)"),
        (([1.0, 0.0], [[1.0, 0.0, 0.0]], [1.0]), "query: dimension 2, but the candidates have 3"),
        (
            ([1.0, 0.0], [[1.0, 0.0], [1.0]], [1.0, 2.0]),
            "candidates: expected numbers in a rectangular array",
        ),
        (([[1.0, 0.0]], [[[1.0, 0.0, 0.0]]], [1.0]), "query: dimension 2, but the candidates have 3"),
        (([1.0, 0.0], stack([[[1.0, 0.0]]]), [1.0]), "one vector needs an array of shape"),
        (([1.0, np.nan], [[1.0, 0.0]], [1.0]), r"query: component \(1,\) is nan"),
        (([1.0, 0.0], [[1.0, np.inf]], [1.0]), "candidates: component"),
        (
            ([1.0, 0.0], [[1.0, 0.0]], [1.0, 2.0]),
            r"expected shape \(1,\), one per candidate, got shape \(2,\)",
        ),
        (([1.0, 0.0], [[1.0, 0.0]], [np.nan]), "complementary_scores: NaN"),
        (([1.0, 0.0], [[1.0, 0.0]], [np.inf]), "complementary_scores: NaN and"),
    ],
)
def test_wrong_arrays_are_refused(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        refine(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps: 0, at least 1"),
        ({"mix": 1.5}, "mix: 1.5 is outside 0–1"),
        ({"mix": math.nan}, "mix: nan is outside"),
        ({"budget": 0.0}, "budget: 0.0, a finite number greater than 0"),
        ({"temperature": -1.0}, "temperature: -1.0, a finite"),
        ({"complementary_temperature": 0.0}, "complementary_temperature: 0.0, a finite"),
        ({"learning_rate": math.inf}, "learning_rate: inf, a finite"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InvalidInput, match=message):
        refine([1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], [1.0, 2.0], **options)
