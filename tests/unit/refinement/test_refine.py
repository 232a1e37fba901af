from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from opensearch_multimodal import refinement, wire
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.maxsim import Stacked, maxsim, stack
from opensearch_multimodal.refinement import MaxSimTracker, refine, refine_many
from opensearch_multimodal.refinement.descent import MultiVectorScorer, SingleVectorScorer, minimise
from opensearch_multimodal.refinement.targets import joined


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


def slow_target(name, logits, guides, mix, shares=None):
    """The three published definitions; ``guides``: scores over temperatures, one row per retriever."""
    shares = np.full(len(guides), 1 / len(guides)) if shares is None else np.array(shares) / np.sum(shares)
    if name == "mean_scores":
        return softmax((1 - mix) * logits + mix * shares @ guides)
    return (1 - mix) * softmax(logits) + mix * shares @ np.stack([softmax(guide) for guide in guides])


def slowly(query, candidates, other, *, steps, mix, budget, temperature=1.0, target="mixture", shares=None):
    """GQR by the letter in float64, with Adam as its paper has it and no cleverness anywhere."""
    query, candidates = query.astype(np.float64), [c.astype(np.float64) for c in candidates]
    base = similarities(query, candidates)
    others = np.atleast_2d(other)
    guides = np.stack([row / (temperature * row.std() / base.std()) for row in others])
    m = slow_target(target, base / temperature, guides, mix, shares)
    rate = budget / (steps * math.sqrt(query.shape[-1]))
    mean, square = np.zeros_like(query), np.zeros_like(query)
    for t in range(1, steps + 1):
        p = softmax(similarities(query, candidates) / temperature)
        moving = 0.0
        if target == "recomputed":
            m = slow_target(target, similarities(query, candidates) / temperature, guides, mix, shares)
            # d/dz of the m inside the logarithm and before it, where m = (1 − a)·softmax(z) + a·p₂
            jacobian = (1 - mix) * (np.diag(p) - np.outer(p, p))
            moving = jacobian @ (np.log(m / p) + 1)
        weights = (p - m + moving) / temperature
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
    scores = similarities(query, candidates)
    if target == "recomputed":
        m = slow_target(target, scores / temperature, guides, mix, shares)
    return query, scores, m


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
@pytest.mark.parametrize("name", refinement.TARGETS)
def test_equals_the_slow_definition(kind, budget, mix, name):
    query, candidates, other = case(kind)
    before = query.copy(), [candidate.copy() for candidate in candidates], other.copy()
    result = refine(query, candidates, other, steps=25, mix=mix, budget=budget, target=name, tolerance=0)
    expected, scores, target = slowly(query, candidates, other, steps=25, mix=mix, budget=budget, target=name)
    assert result.skipped is None
    assert result.query.dtype == result.scores.dtype == np.float32
    assert result.query.shape == query.shape
    assert result.steps == 25
    np.testing.assert_allclose(result.target, target, atol=1e-4 if name == "recomputed" else 1e-6)
    np.testing.assert_allclose(result.base_scores, similarities(query, candidates), atol=1e-5)
    np.testing.assert_allclose(result.scores, scores, atol=2e-3)
    np.testing.assert_allclose(result.scores, similarities(result.query, candidates), atol=1e-5)
    start = np.linalg.norm(query)
    assert result.drift == pytest.approx(np.linalg.norm(expected - query) / start, rel=0.01)
    if name != "recomputed":
        assert result.divergence_before == pytest.approx(loss(query, candidates, target, 1.0), abs=1e-6)
    assert result.divergence_after == pytest.approx(loss(result.query, candidates, target, 1.0), abs=1e-5)
    assert result.divergence_after < result.divergence_before
    assert result.learning_rate == pytest.approx(budget / (25 * math.sqrt(24)))
    assert result.complementary_temperatures == pytest.approx(
        [other.std() / result.base_scores.std()], rel=1e-5
    )
    np.testing.assert_array_equal(query, before[0])
    np.testing.assert_array_equal(other, before[2])
    for candidate, copy in zip(candidates, before[1], strict=True):
        np.testing.assert_array_equal(candidate, copy)


def float64_scorer(kind, candidates):
    if kind == "single":
        return SingleVectorScorer(candidates[None])
    offsets = np.cumsum([0, *map(len, candidates)])
    return MultiVectorScorer(MaxSimTracker(Stacked(np.concatenate(candidates), offsets), reach=0.05))


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_float64_core_equals_the_slow_definition_to_rounding(kind):
    query, candidates, other = case(kind, dtype=np.float64)
    expected, scores, target = slowly(query, candidates, other, steps=25, mix=0.5, budget=0.3)
    scorer, goal = float64_scorer(kind, candidates), joined("mixture", target[None], 0.5)
    rate = 0.3 / (25 * math.sqrt(24))
    refined, taken = minimise(scorer, query[None], goal, temperature=1.0, steps=25, rate=rate, tolerance=0)
    assert taken.tolist() == [25]
    np.testing.assert_allclose(refined[0], expected, atol=1e-10)
    np.testing.assert_allclose(scorer.scores(refined)[0], scores, atol=1e-10)


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
    scorer = float64_scorer(kind, candidates)
    weights = (softmax(scorer.scores(query[None])[0] / temperature) - target) / temperature
    np.testing.assert_allclose(scorer.gradient(weights[None])[0], numerical, atol=1e-8)
    goal = joined("mixture", target[None], 0.5)
    moved, _ = minimise(scorer, query[None], goal, temperature=temperature, steps=1, rate=0.01, tolerance=0)
    np.testing.assert_allclose(moved[0] - query, -0.01 * numerical / (np.abs(numerical) + 1e-8), rtol=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_order_equals_the_slow_definition_wherever_scores_differ(seed):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(20, 60, 20)
    candidates = [unit(generator, length, 128) for length in lengths]
    query, other = unit(generator, 12, 128), generator.normal(0, 3, 20)
    result = refine(query, candidates, other, tolerance=0)
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
    assert result.skipped is not None
    assert result.skipped.startswith("the query moved away from its target")


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
            r"expected shape \(1,\), one per candidate, or \(r, 1\), got shape \(2,\)",
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
        ({"tolerance": 1.0}, "tolerance: 1.0 is outside 0–1"),
        ({"target": "mean"}, "target: 'mean' is not one of mixture, recomputed, mean_scores"),
        ({"weights": [1.0, 1.0]}, r"weights: shape \(2,\), but there are scores of 1 retrievers"),
        ({"weights": [0.0]}, r"weights: \[0.0\], finite numbers greater than 0"),
        ({"similarities": [1.0]}, r"similarities: expected shape \(2,\), got shape \(1,\)"),
        ({"similarities": [1.0, math.nan]}, "similarities: every inner product must be finite"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InvalidInput, match=message):
        refine([1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], [1.0, 2.0], **options)


def two_guides(kind, seed=0):
    query, candidates, first = case(kind, seed)
    return query, candidates, np.stack([first, np.random.default_rng(seed + 50).normal(-3, 0.2, 9)])


@pytest.mark.parametrize("kind", ["single", "multi"])
@pytest.mark.parametrize("name", refinement.TARGETS)
@pytest.mark.parametrize("weights", [None, [1.0, 3.0]])
def test_several_complementary_retrievers_share_the_target(kind, name, weights):
    query, candidates, others = two_guides(kind)
    result = refine(query, candidates, others, target=name, weights=weights, budget=0.3, tolerance=0)
    _, scores, target = slowly(
        query, candidates, others, steps=25, mix=0.5, budget=0.3, target=name, shares=weights
    )
    np.testing.assert_allclose(result.target, target, atol=1e-4)
    np.testing.assert_allclose(result.scores, scores, atol=2e-3)
    first = result.base_scores.std()
    assert result.complementary_temperatures == pytest.approx([row.std() / first for row in others], rel=1e-5)


def test_a_retriever_without_spread_or_scores_leaves_its_share_to_the_others():
    query, candidates, others = two_guides("single")
    for silent in (np.full(9, 3.0), np.full(9, -np.inf)):
        together = refine(query, candidates, np.stack([others[0], silent]), weights=[1.0, 9.0])
        np.testing.assert_array_equal(together.scores, refine(query, candidates, others[0]).scores)
        assert together.complementary_temperatures[1] == 0


def test_mean_scores_takes_the_lowest_score_for_a_missing_one():
    query, candidates, other = case("single")
    missing, lowest = other.copy(), other.copy()
    missing[4], lowest[4] = -np.inf, np.delete(other, 4).min()
    temperature = np.delete(other, 4).std() / refine(query, candidates, other).base_scores.std()
    one = refine(query, candidates, missing, target="mean_scores")
    two = refine(
        query, candidates, lowest, target="mean_scores", complementary_temperature=float(temperature)
    )
    np.testing.assert_allclose(one.target, two.target, rtol=1e-5)


@pytest.mark.parametrize("kind", ["single", "multi"])
@pytest.mark.parametrize("name", refinement.TARGETS)
def test_many_at_once_equal_one_by_one(kind, name):
    cases = [two_guides(kind, seed) for seed in range(6)]
    cases[2] = (cases[2][0], cases[2][1][:5], cases[2][2][:, :5])
    cases[4] = (cases[4][0], cases[4][1], np.full((2, 9), 1.0))
    options = {"target": name, "tolerance": 0.2, "budget": 1.5}
    together = refine_many(*zip(*cases, strict=True), **options)
    alone = [refine(*each, **options) for each in cases]
    assert together[4].skipped is not None
    assert len({one.steps for one in alone}) > 2, "the early stop must come at different steps"
    for one, two in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one.query, two.query)
        np.testing.assert_array_equal(one.scores, two.scores)
        np.testing.assert_array_equal(one.target, two.target)
        assert (one.steps, one.drift, one.skipped) == (two.steps, two.drift, two.skipped)


def test_many_refuses_lists_of_different_lengths():
    query, candidates, other = case("single")
    with pytest.raises(InvalidInput, match="2 queries, 1 sets of candidates, 1 of complementary scores"):
        refine_many([query, query], [candidates], [other])


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_early_stop_is_the_state_after_so_many_steps(kind):
    query, candidates, other = case(kind, seed=2)
    whole = refine(query, candidates, other, learning_rate=0.01, tolerance=0)
    stopped = refine(query, candidates, other, learning_rate=0.01, tolerance=0.3)
    assert 0 < stopped.steps < whole.steps == 25
    cut = refine(query, candidates, other, learning_rate=0.01, tolerance=0, steps=stopped.steps)
    np.testing.assert_allclose(stopped.scores, cut.scores, atol=1e-6)
    start, left = (
        np.linalg.norm(softmax(scores.astype(np.float64)) - stopped.target)
        for scores in (stopped.base_scores, stopped.scores)
    )
    assert left <= 0.3 * start


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_known_similarities_are_used_and_change_nothing(kind):
    query, candidates, other = case(kind)
    rows = candidates if kind == "single" else np.concatenate(candidates)
    known = rows @ query.T
    before = known.copy()
    result = refine(query, candidates, other, similarities=known)
    plain = refine(query, candidates, other)
    np.testing.assert_allclose(result.scores, plain.scores, atol=1e-5)
    np.testing.assert_array_equal(known, before)
    if kind == "single":
        shifted = refine(query, candidates, other, similarities=known + np.float32(1))
        assert shifted.base_scores == pytest.approx(plain.base_scores + 1, abs=1e-5)


def test_a_refinement_beyond_its_budget_is_dropped():
    query, candidates, other = case("multi")
    result = refine(query, candidates, other, learning_rate=0.01, budget=0.05)
    assert result.skipped is not None
    assert result.skipped.startswith("the query drifted by")
    assert result.skipped.endswith("further than its budget of 0.05")
    assert result.drift > 0.05
    np.testing.assert_array_equal(result.scores, result.base_scores)
    np.testing.assert_array_equal(result.query, query)


def test_a_refinement_that_overshoots_is_dropped():
    query, candidates, other = case("single")
    result = refine(query, candidates, other, temperature=0.02, learning_rate=3.0, steps=1)
    assert result.skipped is not None
    assert result.skipped.startswith("the query moved away from its target")
    assert result.divergence_after >= result.divergence_before
    np.testing.assert_array_equal(result.scores, result.base_scores)


def test_a_target_without_spread_is_no_target():
    query, candidates = np.array([1.0, 0.0]), [[0.6, 0.8], [0.8, 0.6]]
    result = refine(query, candidates, [0.8, 0.6], complementary_temperature=1.0)
    assert result.skipped == "the target has no spread"


@pytest.mark.parametrize("encoding", ["int8", "bit"])
def test_stored_rows_are_refined_and_rescored_as_they_are(encoding):
    generator = np.random.default_rng(4)
    candidates = [unit(generator, length, 128) for length in generator.integers(20, 60, 20)]
    query, other = unit(generator, 12, 128), generator.normal(0, 3, 20)
    stored = Stacked(*wire.unpack_many([wire.pack(rows, encoding) for rows in candidates]))
    result = refine(query, stored, other, tolerance=0)
    np.testing.assert_allclose(result.base_scores, maxsim(query, stored), atol=1e-5)
    np.testing.assert_allclose(result.scores, maxsim(result.query, stored), atol=1e-5)
    _, scores, _ = slowly(
        query,
        [stored.rows[a:b] for a, b in pairwise(stored.offsets)],
        other,
        steps=25,
        mix=0.5,
        budget=refinement.MULTI_VECTOR_BUDGET,
    )
    np.testing.assert_allclose(result.scores, scores, atol=2e-3)
