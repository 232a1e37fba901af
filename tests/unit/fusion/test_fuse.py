from __future__ import annotations

import numpy as np
import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.fusion import COMBINATIONS, NORMALIZATIONS, check_methods, fuse

SCORES = {"bm25": np.array([12.0, 3.0, 0.0]), "dense": np.array([0.6, 0.9, 0.5])}


def test_normalized_mean():
    before = {name: row.copy() for name, row in SCORES.items()}
    fused = fuse(SCORES, normalization="min_max", combination="arithmetic_mean", weights={"bm25": 0.5})
    bm25, dense = [1.0, 3 / 12, 0.001], [(0.6 - 0.5) / (0.9 - 0.5), 1.0, 0.001]
    expected = [(0.5 * one + other) / (0.5 + 1) for one, other in zip(bm25, dense, strict=True)]
    np.testing.assert_allclose(fused, expected)
    for name, row in SCORES.items():
        np.testing.assert_array_equal(row, before[name])


def test_ranks():
    fused = fuse(SCORES, combination="rrf", rank_constant=10)
    np.testing.assert_allclose(
        fused, [1 / (10 + 1) + 1 / (10 + 2), 1 / (10 + 2) + 1 / (10 + 1), 1 / (10 + 3) + 1 / (10 + 3)]
    )


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("normalization", [None, *NORMALIZATIONS])
def test_every_pair_works_or_is_refused_by_name(normalization, combination):
    if (combination == "rrf") != (normalization is None):
        with pytest.raises(InvalidInput, match=combination):
            fuse(SCORES, normalization=normalization, combination=combination)
        return
    check_methods(normalization, combination)
    generator = np.random.default_rng(0)
    scores = {name: generator.permutation(10).astype(float) for name in ("one", "two", "three")}
    order = generator.permutation(10)
    fused = fuse(scores, normalization=normalization, combination=combination)
    shuffled = {name: row[order] for name, row in scores.items()}
    np.testing.assert_allclose(
        fuse(shuffled, normalization=normalization, combination=combination), fused[order]
    )


@pytest.mark.parametrize(("normalization", "combination"), [("min_max", "arithmetic_mean"), (None, "rrf")])
def test_a_weight_of_zero_silences_a_retriever(normalization, combination):
    methods = {"normalization": normalization, "combination": combination}
    alone = fuse({"dense": SCORES["dense"]}, **methods)
    np.testing.assert_allclose(fuse(SCORES, weights={"bm25": 0}, **methods), alone)


@pytest.mark.parametrize(("normalization", "combination"), [("z_score", "arithmetic_mean"), (None, "rrf")])
def test_no_candidates(normalization, combination):
    fused = fuse({"bm25": [], "dense": []}, normalization=normalization, combination=combination)
    assert fused.shape == (0,)


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        ({}, {}, "expected at least 1 retriever, got 0"),
        ({"bm25": [1.0, 2.0], "dense": [1.0]}, {}, r"scores of 'dense': shape \(1,\), expected .* \(2,\)"),
        ({"bm25": [[1.0]]}, {}, r"scores of 'bm25': shape \(1, 1\)"),
        ({"bm25": [1.0, np.nan]}, {}, "scores of 'bm25': NaN"),
        ({"bm25": [1.0, np.inf]}, {}, "scores of 'bm25': NaN and"),
        ({"bm25": [1.0]}, {"weights": {"dense": 1.0}}, "weights: dense has no scores; there are bm25"),
        ({"bm25": [1.0]}, {"weights": {"bm25": -1.0}}, "weights: -1.0 for 'bm25'"),
        ({"bm25": [1.0]}, {"weights": {"bm25": np.nan}}, "weights: nan for 'bm25'"),
        ({"bm25": [1.0]}, {"weights": {"bm25": 0.0}}, "weights: all are 0"),
        ({"bm25": [1.0]}, {"rank_constant": 0}, "rank_constant: 0 is outside 1–10000"),
        ({"bm25": [1.0]}, {"combination": "sum"}, "'sum' is not one of arithmetic_mean, rrf"),
        ({"bm25": [1.0]}, {"normalization": "l1"}, "'l1' is not one of min_max, softmax, z_score"),
        ({"bm25": [1.0]}, {"normalization": "min_max"}, "'rrf' .* takes no normalization, got 'min_max'"),
        ({"bm25": [1.0]}, {"combination": "arithmetic_mean"}, "'arithmetic_mean' needs a normalization"),
    ],
)
def test_refusals(scores, options, message):
    with pytest.raises(InvalidInput, match=message):
        fuse(scores, **{"combination": "rrf", **options})
