"""The tracker of MaxSim: exact whatever happens, and little work where the query moves little."""

from __future__ import annotations

import numpy as np
import pytest

from opensearch_multimodal.maxsim import stack
from opensearch_multimodal.refinement import MaxSimTracker


def unit(generator, *shape):
    rows = generator.standard_normal(shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def by_hand(query, candidates):
    return [sum(max(float(row @ other) for other in rows) for row in query) for rows in candidates]


@pytest.mark.parametrize("step", [1e-4, 0.01, 0.1, 1.0])
@pytest.mark.parametrize("turning", [False, True])
@pytest.mark.parametrize("reach", [0.0, 0.05, 0.5])
def test_tracker_is_exact_at_every_step_of_a_walk(step, turning, reach):
    generator = np.random.default_rng(7)
    candidates = [unit(generator, length, 16) for length in (1, 30, 12, 30)]
    tracker = MaxSimTracker(stack(candidates), reach=reach)
    query, course = unit(generator, 6, 16), unit(generator, 6, 16)
    for _ in range(30):
        np.testing.assert_allclose(tracker.scores(query), by_hand(query, candidates), atol=2e-5)
        weights = generator.standard_normal(4).astype(np.float32)
        winners = np.array([[rows[(rows @ token).argmax()] for rows in candidates] for token in query])
        np.testing.assert_allclose(tracker.gradient(weights), weights @ winners, atol=1e-5)
        course = unit(generator, 6, 16) if turning else course
        query = query + np.float32(step) * course
    assert tracker.passes <= 30


def test_tracker_skips_rows_that_cannot_win():
    generator = np.random.default_rng(8)
    tracker = MaxSimTracker(stack(unit(generator, 4, 50, 32)))
    query, course = unit(generator, 6, 32), unit(generator, 6, 32)
    for _ in range(30):
        tracker.scores(query)
        query = query + np.float32(0.01) * course
    assert tracker.passes < 10


def test_tracker_with_identical_rows_counts_one_of_them():
    row = np.array([0.6, 0.8], dtype=np.float32)
    tracker = MaxSimTracker(stack([np.stack([row, row, row]), row[None]]))
    query = np.array([[1.0, 0.0]], dtype=np.float32)
    for moved in (query, query + np.float32(0.001)):
        expected = float(moved[0] @ row)
        np.testing.assert_allclose(tracker.scores(moved), [expected, expected], rtol=1e-6)
        np.testing.assert_allclose(tracker.gradient(np.array([1.0, 2.0], np.float32)), [3 * row], rtol=1e-6)


def test_tracker_repairs_what_it_cannot_prove():
    """Two rows on opposite sides of the query: the one left out of the active set wins after the step."""
    first, second = np.array([0.9, 0.43588989]), np.array([0.8, -0.6])
    rest = np.tile([-1.0, 0.0], (60, 1))
    candidates = [np.vstack([first, second, rest]), np.vstack([[[1.0, 0.0]], rest])]
    tracker = MaxSimTracker(stack(candidates), reach=0.05)
    query = np.array([[1.0, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(tracker.scores(query), [0.9, 1.0], rtol=1e-6)
    moved = np.array([[1.0, -0.2]], dtype=np.float32)
    np.testing.assert_allclose(tracker.scores(moved), [0.8 + 0.2 * 0.6, 1.0], rtol=1e-6)
    np.testing.assert_allclose(
        tracker.gradient(np.array([2.0, 3.0], np.float32)), [2 * second + 3 * np.array([1.0, 0.0])], rtol=1e-6
    )
    assert tracker.repairs + tracker.passes > 1
    np.testing.assert_allclose(tracker.scores(query), [0.9, 1.0], rtol=1e-6)


def test_tracker_starts_from_known_similarities():
    generator = np.random.default_rng(9)
    candidates = stack(unit(generator, 4, 50, 32))
    query = unit(generator, 6, 32)
    known = candidates.rows @ query.T
    tracker = MaxSimTracker(candidates, similarities=known)
    plain = MaxSimTracker(candidates)
    np.testing.assert_array_equal(tracker.scores(query), plain.scores(query))
    assert (tracker.passes, plain.passes) == (0, 1)


def test_tracker_takes_the_length_of_rows_into_account():
    """Long rows move far: the proof must not take them for unit rows."""
    generator = np.random.default_rng(10)
    candidates = [9 * unit(generator, 200, 16), 0.5 * unit(generator, 40, 16)]
    tracker = MaxSimTracker(stack(candidates), reach=0.02)
    query, course = unit(generator, 6, 16), unit(generator, 6, 16)
    for _ in range(20):
        np.testing.assert_allclose(tracker.scores(query), by_hand(query, candidates), atol=2e-4)
        query = query + np.float32(0.02) * course
