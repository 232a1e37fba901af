from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.token_pooling import MAX_FACTOR, pool_tokens, ward_clusters


def unit(generator, *shape):
    rows = generator.standard_normal(shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def greedily(rows, count):
    """Ward by the letter: merge the pair that adds least to the squared distances, one pair at a time."""
    clusters = [[position] for position in range(len(rows))]

    def spread(members):
        points = rows[members].astype(np.float64)
        return ((points - points.mean(axis=0)) ** 2).sum()

    while len(clusters) > count:
        pairs = [(i, j) for i in range(len(clusters)) for j in range(i + 1, len(clusters))]
        added = [
            spread(clusters[i] + clusters[j]) - spread(clusters[i]) - spread(clusters[j]) for i, j in pairs
        ]
        i, j = pairs[int(np.argmin(added))]
        clusters[i] += clusters.pop(j)
    labels = np.empty(len(rows), dtype=int)
    for number, members in enumerate(sorted(clusters, key=min)):
        labels[members] = number
    return labels


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(2, 24), st.integers(1, 6), st.data())
def test_clusters_are_those_of_the_greedy_method(seed, count, dimension, data):
    rows = unit(np.random.default_rng(seed), count, dimension + 1)
    wanted = data.draw(st.integers(1, count))
    assert ward_clusters(rows, wanted).tolist() == greedily(rows, wanted).tolist()


def test_the_nearest_rows_become_their_unit_mean_in_the_place_of_the_first():
    rows = np.array([[1, 0], [0, 1], [0.96, 0.28], [0.28, 0.96]], dtype=np.float32)
    before = rows.copy()
    pooled = pool_tokens(rows, 2)
    # The two pairs are symmetric: (1, 0) + (0.96, 0.28) and (0, 1) + (0.28, 0.96).
    length = np.hypot(1.96, 0.28)
    np.testing.assert_allclose(
        pooled, [[1.96 / length, 0.28 / length], [0.28 / length, 1.96 / length]], atol=1e-6
    )
    assert pooled.dtype == np.float32
    np.testing.assert_array_equal(rows, before)


@pytest.mark.parametrize(("count", "factor", "left"), [(1, 2, 1), (5, 2, 2), (7, 3, 2), (8, 4, 2), (3, 4, 1)])
def test_how_many_rows_are_left(count, factor, left):
    pooled = pool_tokens(unit(np.random.default_rng(0), count, 8), factor)
    assert pooled.shape == (left, 8)
    np.testing.assert_allclose(np.linalg.norm(pooled, axis=1), 1, atol=1e-6)


def test_a_factor_of_one_changes_nothing():
    rows = unit(np.random.default_rng(1), 9, 4)
    np.testing.assert_array_equal(pool_tokens(rows, 1), rows)


def test_equal_rows_are_pooled_first():
    generator = np.random.default_rng(2)
    distinct = unit(generator, 5, 16)
    rows = distinct[[0, 1, 0, 2, 3, 1, 4, 0, 2, 3]]
    np.testing.assert_allclose(pool_tokens(rows, 2), distinct, atol=1e-6)


def test_rows_all_alike_leave_as_many_of_them():
    rows = np.tile(unit(np.random.default_rng(3), 1, 6), (12, 1))
    np.testing.assert_allclose(pool_tokens(rows, 3), rows[:4], atol=1e-6)


def test_rows_that_cancel_each_other_leave_the_first():
    np.testing.assert_array_equal(pool_tokens([[0.0, 1.0], [0.0, -1.0]], 2), [[0.0, 1.0]])


def test_pooling_is_deterministic_and_leaves_the_direction_of_each_row_near():
    rows = unit(np.random.default_rng(4), 300, 32)
    first = pool_tokens(rows, 2)
    np.testing.assert_array_equal(pool_tokens(rows.copy(), 2), first)
    shuffled = pool_tokens(rows[np.random.default_rng(5).permutation(300)], 2)
    assert {tuple(row) for row in np.round(first, 4)} == {tuple(row) for row in np.round(shuffled, 4)}
    # Ward pools neighbours: every row keeps a nearer stand-in than it would by chance.
    assert (
        (rows @ first.T).max(axis=1).mean()
        > 0.75
        > (rows @ unit(np.random.default_rng(6), 150, 32).T).max(axis=1).mean()
    )


def test_long_documents_are_pooled_in_stretches():
    rows = unit(np.random.default_rng(7), 2500, 8)
    pooled = pool_tokens(rows, 2)
    # Three stretches, of 834, 833 and 833 rows.
    assert pooled.shape == (834 // 2 + 833 // 2 + 833 // 2, 8)
    np.testing.assert_array_equal(pooled[:417], pool_tokens(rows[:834], 2))


def test_refusals():
    with pytest.raises(InvalidInput, match=r"pooling factor: 9 is outside 1–8"):
        pool_tokens([[1.0, 0.0]], MAX_FACTOR + 1)
    with pytest.raises(InvalidInput, match=r"document: expected a multi-vector of shape \(n, d\)"):
        pool_tokens([1.0, 0.0], 2)
    with pytest.raises(InvalidInput, match="document: component"):
        pool_tokens([[np.nan, 0.0]], 2)
    with pytest.raises(InvalidInput, match=r"document: component 1e\+30 is above 1e\+09"):
        pool_tokens([[1e30, 0.0], [0.0, 1.0]], 2)
    with pytest.raises(InvalidInput, match="clusters: 3 is outside 1–2"):
        ward_clusters([[1.0], [2.0]], 3)
