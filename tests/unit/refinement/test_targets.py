"""The three definitions of the target, their gradients against finite differences, and the divergence."""

from __future__ import annotations

import numpy as np
import pytest

from opensearch_multimodal.refinement.targets import TARGETS, divergence, joined, make_target, softmax


def by_hand(logits):
    powers = [np.exp(value) for value in logits]
    return [power / sum(powers) for power in powers]


LOGITS = np.array([1.0, 0.0, -1.0])
GUIDES = np.array([[0.0, 2.0, 0.0], [1.0, 0.0, 0.0]])
WEIGHTS = np.array([0.75, 0.25])


def test_mixture_is_a_share_of_each_distribution():
    p, one, two = by_hand(LOGITS), by_hand(GUIDES[0]), by_hand(GUIDES[1])
    expected = [0.6 * p[i] + 0.4 * (0.75 * one[i] + 0.25 * two[i]) for i in range(3)]
    np.testing.assert_allclose(make_target("mixture", LOGITS, GUIDES, WEIGHTS, 0.4), expected)


def test_mean_scores_is_the_distribution_of_the_mean():
    mean = [0.6 * LOGITS[i] + 0.4 * (0.75 * GUIDES[0, i] + 0.25 * GUIDES[1, i]) for i in range(3)]
    np.testing.assert_allclose(make_target("mean_scores", LOGITS, GUIDES, WEIGHTS, 0.4), by_hand(mean))


def test_recomputed_is_the_mixture_of_the_scores_as_they_are():
    part = make_target("recomputed", LOGITS, GUIDES, WEIGHTS, 0.4)
    later = np.array([0.0, 0.5, 0.0])
    target = joined("recomputed", part[None], 0.4).at(later[None])[0]
    np.testing.assert_allclose(target, make_target("mixture", later, GUIDES, WEIGHTS, 0.4))


def test_fixed_targets_stay():
    for name in ("mixture", "mean_scores"):
        part = make_target(name, LOGITS, GUIDES, WEIGHTS, 0.4)
        np.testing.assert_array_equal(joined(name, part[None], 0.4).at(LOGITS[None] * 7), part[None])


@pytest.mark.parametrize("name", TARGETS)
def test_gradient_equals_finite_differences_of_the_divergence(name):
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 1, (2, 5))
    parts = np.stack(
        [make_target(name, row, generator.normal(0, 2, (1, 5)), np.ones(1), 0.3) for row in logits]
    )
    target = joined(name, parts, 0.3)
    now = logits + generator.normal(0, 0.5, logits.shape)
    numerical = np.zeros_like(now)
    for place in np.ndindex(*now.shape):
        step = np.zeros_like(now)
        step[place] = 1e-6
        ahead, behind = (divergence(target.at(now + sign * step), now + sign * step) for sign in (1, -1))
        numerical[place] = (ahead - behind)[place[0]] / 2e-6
    before = now.copy()
    np.testing.assert_allclose(target.gradient(now), numerical, atol=1e-8)
    np.testing.assert_array_equal(now, before)


def test_recomputed_gradient_is_finite_where_both_have_nothing():
    target = joined("recomputed", np.array([[1.0, 0.0, 0.0]]), 0.5)
    gradient = target.gradient(np.array([[0.0, -5000.0, 0.0]]))
    assert np.isfinite(gradient).all()


def test_divergence():
    target, logits = np.array([0.5, 0.5, 0.0]), np.log([0.25, 0.5, 0.25])
    assert divergence(target, logits) == pytest.approx(0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.5))
    np.testing.assert_allclose(softmax(logits), [0.25, 0.5, 0.25])
