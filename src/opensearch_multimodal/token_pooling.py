"""Token pooling: fewer rows in a document's multi-vector, each the mean of rows that are alike.

Clavié, Chaffin and Adams, "Reducing the Footprint of Multi-Vector Retrieval with Minimal Performance Impact
via Token Pooling", 2024, arXiv:2409.14683: hierarchical clustering with Ward's criterion, cut at as many
clusters as rows shall be left, and each cluster replaced by its mean. Queries are never pooled.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .errors import InvalidInput
from .types import FloatArray, check_multi_vector

__all__ = ["MAX_FACTOR", "pool_tokens", "ward_clusters"]

MAX_FACTOR = 8
"""The largest pooling factor; beyond, little of the ranking is left."""

_LARGEST = 1e9
_BLOCK = 1200
"""Rows clustered together: the work grows with their square."""


def pool_tokens(document: npt.ArrayLike, factor: int) -> FloatArray:
    """Return a multi-vector with about ``factor`` times fewer rows.

    A multi-vector of more than 1,200 rows is pooled in stretches of equal length that have no more.

    Args:
        document: shape (n, d), any real dtype, one unit row per token or patch, in model order.
        factor: rows per row that is left, on average, 1–`MAX_FACTOR`; 1 changes nothing.

    Returns:
        Shape (max(1, n // factor), d) for n ≤ 1,200, float32: unit rows, each in the place of the first row
        of its cluster. Rows that cancel each other leave the first of them.

    Raises:
        InvalidInput: a wrong shape, a component that is not finite, or a factor outside its range.
    """
    rows = _checked("document", document)
    if not 1 <= factor <= MAX_FACTOR:
        raise InvalidInput(f"pooling factor: {factor} is outside 1–{MAX_FACTOR}")
    if factor == 1:
        return rows
    return np.concatenate([_pooled(block, max(1, len(block) // factor)) for block in _blocks(rows)])


def ward_clusters(rows: npt.ArrayLike, count: int) -> npt.NDArray[np.intp]:
    """Cut Ward's hierarchy of the rows at ``count`` clusters.

    Two clusters are as far apart as their union adds to the squared distances from the mean:
    |A|·|B| / (|A| + |B|) · ‖mean A − mean B‖² (Ward, "Hierarchical grouping to optimize an objective
    function", JASA 58, 1963). Merging never brings two clusters closer than both were to a third (its
    reducibility), so that all pairs that are each other's nearest may be merged at once: it gives the
    hierarchy of the greedy method in a few rounds of matrix products.

    Args:
        rows: shape (n, d), any real dtype, finite.
        count: 1 to n.

    Returns:
        Shape (n,): each row's cluster, numbered by their first rows.

    Raises:
        InvalidInput: a wrong shape or count, or a component that is not finite.
    """
    points = _checked("rows", rows)
    if not 1 <= count <= len(points):
        raise InvalidInput(f"clusters: {count} is outside 1–{len(points)}, the number of rows")
    return _cut(_hierarchy(points, len(points) - count), len(points), count)


def _checked(name: str, value: npt.ArrayLike) -> FloatArray:
    """Return the rows; their squared distances have to be finite too."""
    rows = check_multi_vector(name, value)
    if (largest := float(np.abs(rows).max())) > _LARGEST:
        raise InvalidInput(f"{name}: component {largest:g} is above {_LARGEST:g}")
    return rows


def _blocks(rows: FloatArray) -> list[FloatArray]:
    return np.array_split(rows, -(-len(rows) // _BLOCK))


def _pooled(rows: FloatArray, count: int) -> FloatArray:
    """Return the unit means of ``count`` clusters: (n, d) → (count, d)."""
    clusters = _cut(_hierarchy(rows, len(rows) - count), len(rows), count)
    members = np.argsort(clusters, kind="stable")
    starts = np.searchsorted(clusters[members], np.arange(count))
    means = np.add.reduceat(rows[members], starts, axis=0)
    lengths = np.sqrt(np.einsum("nd,nd->n", means, means))
    cancelled = lengths < 1e-6
    means[cancelled] = rows[members[starts[cancelled]]]
    lengths[cancelled] = 1
    pooled: FloatArray = means / lengths[:, None]
    return pooled


def _hierarchy(points: FloatArray, merges: int) -> list[tuple[float, int, int]]:
    """Return merges (height, row, later row), the ``merges`` lowest of the hierarchy among them.

    A cluster goes by its first row.
    """
    names = np.arange(len(points))
    means, sizes = points.copy(), np.ones(len(points), dtype=np.float32)
    distances = _distances(means, sizes, names)
    done: list[tuple[float, int, int]] = []
    while len(names) > 1:
        nearest = distances.argmin(axis=1)
        heights = distances[np.arange(len(names)), nearest]
        if sum(height <= heights.min() for height, _, _ in done) >= merges:
            break
        # Equal distances go to the lowest number, so that at least one pair is mutual.
        first = np.flatnonzero(
            (nearest[nearest] == np.arange(len(names))) & (np.arange(len(names)) < nearest)
        )
        second = nearest[first]
        done += zip(heights[first].tolist(), names[first].tolist(), names[second].tolist(), strict=True)
        total = sizes[first] + sizes[second]
        means[first] = (
            means[first] * (sizes[first] / total)[:, None] + means[second] * (sizes[second] / total)[:, None]
        )
        sizes[first] = total
        left = np.ones(len(names), dtype=bool)
        left[second] = False
        changed = (np.cumsum(left) - 1)[first]
        names, means, sizes = names[left], means[left], sizes[left]
        distances = distances[np.ix_(left, left)]
        fresh = _distances(means, sizes, changed)
        distances[changed] = fresh
        distances[:, changed] = fresh.T
    return done


def _distances(means: FloatArray, sizes: FloatArray, chosen: npt.NDArray[np.intp]) -> FloatArray:
    """Return Ward's distances of the chosen clusters to all, (m, n): ∞ to themselves, and symmetric."""
    squares = np.einsum("nd,nd->n", means, means)
    distances = means[chosen] @ means.T
    distances *= -2
    distances += squares
    distances += squares[chosen][:, None]
    np.maximum(distances, 0, out=distances)
    distances *= sizes[chosen][:, None] * sizes / (sizes[chosen][:, None] + sizes)
    among = distances[:, chosen]
    distances[:, chosen] = np.minimum(among, among.T)
    distances[np.arange(len(chosen)), chosen] = np.inf
    return distances


def _cut(merges: list[tuple[float, int, int]], rows: int, count: int) -> npt.NDArray[np.intp]:
    """Apply the lowest of the merges until ``count`` clusters are left, and number them."""
    parent = np.arange(rows)
    for _, first, second in sorted(merges)[: rows - count]:
        parent[second] = first  # always an earlier row
    while (parent[parent] != parent).any():
        parent = parent[parent]
    numbered: npt.NDArray[np.intp] = np.unique(parent, return_inverse=True)[1]
    return numbered
