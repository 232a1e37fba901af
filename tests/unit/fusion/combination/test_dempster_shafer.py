from __future__ import annotations

import numpy as np
import pytest

from opensearch_multimodal.fusion.combination import dempster_shafer


def masses(reliability, value):
    """Return what supports, contradicts and leaves open."""
    return reliability * value, reliability * (1 - value), 1 - reliability


def test_dempsters_rule_by_hand():
    one, other = masses(0.9, 0.8), masses(0.9 * 1 / 2, 0.3)
    relevant = one[0] * other[0] + one[0] * other[2] + one[2] * other[0]
    irrelevant = one[1] * other[1] + one[1] * other[2] + one[2] * other[1]
    conflict = one[0] * other[1] + one[1] * other[0]
    belief, ignorance = relevant / (1 - conflict), one[2] * other[2] / (1 - conflict)
    assert relevant + irrelevant + one[2] * other[2] == pytest.approx(1 - conflict)
    values, weights = np.array([[0.8], [0.3]]), np.array([[2.0], [1.0]])
    before = values.copy()
    np.testing.assert_allclose(dempster_shafer(values, weights), [belief + ignorance / 2])
    np.testing.assert_array_equal(values, before)


def test_one_retriever_is_believed_as_far_as_it_is_reliable():
    np.testing.assert_allclose(dempster_shafer(np.array([[1.0, 0.0]]), np.ones((1, 2))), [0.9 + 0.05, 0.05])


def test_agreement_says_more_than_one_voice_and_contradiction_nothing():
    both, one, split = dempster_shafer(np.array([[0.8, 0.8, 1.0], [0.8, 0.5, 0.0]]), np.ones((2, 3)))
    assert both > one > split
    assert split == pytest.approx(1 / 2)


def test_a_missing_score_changes_nothing():
    values, weights = np.array([[0.8, 0.8], [0.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 0.0]])
    alone = dempster_shafer(np.array([[0.8]]), np.ones((1, 1)))[0]
    np.testing.assert_allclose(dempster_shafer(values, weights), [alone, 1 / 2])
