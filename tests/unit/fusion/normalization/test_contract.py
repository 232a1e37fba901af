from __future__ import annotations

import numpy as np
import pytest

from opensearch_multimodal.fusion.normalization import (
    NORMALIZATIONS,
    NORMALIZATIONS_OF_ONE_QUERY,
    collection,
    l2,
)

MISSING = -np.inf


def _collection(scores):
    return collection(scores, np.full(scores.shape, 2.0), np.full(scores.shape, 0.5))


METHODS = {**NORMALIZATIONS_OF_ONE_QUERY, "collection": _collection}


def test_every_method_is_tested_here():
    assert set(METHODS) == set(NORMALIZATIONS)


@pytest.mark.parametrize("normalize", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize(
    "scores",
    [[], [3.0], [2.0, 2.0], [5.0, MISSING, 1.0], [-5.0, MISSING, -1.0], [0.0, 0.0], [MISSING, MISSING]],
)
def test_results_are_finite_keep_the_order_and_leave_the_input(normalize, scores):
    scores = np.array(scores)
    before = scores.copy()
    normalized = normalize(scores)
    assert normalized.shape == scores.shape
    assert np.isfinite(normalized).all()
    ahead = scores[:, None] > scores
    assert (normalized[:, None] >= normalized)[ahead].all()
    np.testing.assert_array_equal(scores, before)


@pytest.mark.parametrize("name", set(NORMALIZATIONS_OF_ONE_QUERY) - {"l2"})
def test_scale_and_offset_do_not_matter(name):
    scores = np.array([4.0, 1.0, MISSING, 2.5])
    normalize = NORMALIZATIONS_OF_ONE_QUERY[name]
    np.testing.assert_allclose(normalize(scores), normalize(10 * scores - 3), atol=1e-12)


def test_l2_keeps_the_zero():
    scores = np.array([4.0, 1.0, MISSING, 2.5])
    np.testing.assert_allclose(l2(scores), l2(10 * scores))
    assert not np.allclose(l2(scores), l2(scores - 3))
