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


STATISTICS = {"one": (4.0, 2.0), "two": (4.0, 3.0), "three": (np.full(10, 4.0), np.full(10, 2.0))}
REFUSED = {
    "z_score": {"geometric_mean", "harmonic_mean", "comb_mnz", "dempster_shafer"},
    "collection": {"geometric_mean", "harmonic_mean", "comb_mnz", "dempster_shafer"},
    "l2": {"dempster_shafer"},
    "softmax": {"dempster_shafer"},
}


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("normalization", [None, *NORMALIZATIONS])
def test_every_pair_works_or_is_refused_by_name(normalization, combination):
    if (combination == "rrf") != (normalization is None):
        with pytest.raises(InvalidInput, match=combination):
            fuse(SCORES, normalization=normalization, combination=combination)
        return
    if combination in REFUSED.get(normalization, ()):
        with pytest.raises(InvalidInput, match=f"'{normalization}' does not go with .* '{combination}': it "):
            check_methods(normalization, combination)
        return
    check_methods(normalization, combination)
    methods = {"normalization": normalization, "combination": combination, "statistics": STATISTICS}
    generator = np.random.default_rng(0)
    scores = {name: generator.permutation(10).astype(float) for name in ("one", "two", "three")}
    order = generator.permutation(10)
    fused = fuse(scores, **methods)
    shuffled = {name: row[order] for name, row in scores.items()}
    np.testing.assert_allclose(fuse(shuffled, **methods), fused[order])
    better = {name: np.append(row, 10.0) for name, row in scores.items()}
    wide = {name: (np.full(11, 4.0), np.full(11, 2.0)) for name in scores}
    assert np.argmax(fuse(better, **{**methods, "statistics": wide})) == 10


MISSING = -np.inf


def test_a_missing_score_is_the_lowest_or_is_skipped():
    scores = {"text": [4.0, 3.0, 0.0], "image": [0.5, MISSING, 0.1]}
    methods = {"normalization": "min_max", "combination": "arithmetic_mean"}
    np.testing.assert_allclose(fuse(scores, **methods), [1, (3 / 4 + 0) / 2, 0.001])
    np.testing.assert_allclose(fuse(scores, missing="skip", **methods), [1, 3 / 4, 0.001])
    with pytest.raises(InvalidInput, match=r"missing: 'lowest' is for .*, 'harmonic_mean' leaves"):
        fuse(scores, normalization="min_max", combination="harmonic_mean", missing="lowest")
    with pytest.raises(InvalidInput, match="missing: 'zero' is not one of lowest, skip"):
        fuse(scores, missing="zero", **methods)


@pytest.mark.parametrize(
    ("normalization", "combination"),
    [
        ("min_max", "arithmetic_mean"),
        ("min_max", "geometric_mean"),
        ("rank", "dempster_shafer"),
        (None, "rrf"),
    ],
)
def test_what_no_retriever_scores_has_no_fused_score(normalization, combination):
    scores = {"text": [4.0, MISSING, MISSING], "image": [MISSING, MISSING, 0.1]}
    fused = fuse(scores, normalization=normalization, combination=combination)
    assert np.isfinite(fused).tolist() == [True, False, True]
    silent = fuse(scores, normalization=normalization, combination=combination, weights={"image": 0})
    assert np.isfinite(silent).tolist() == [True, False, False]


def test_comb_mnz_counts_who_found_it():
    scores = {"text": [4.0, 2.0, 0.0], "image": [0.5, 0.3, 0.1]}
    methods = {"normalization": "min_max", "combination": "comb_mnz"}
    np.testing.assert_allclose(
        fuse(scores, **methods), [2 * (1 + 1), 2 * (1 / 2 + 1 / 2), 2 * (0.001 + 0.001)]
    )
    found = {"text": np.array([True, True, False])}
    np.testing.assert_allclose(fuse(scores, found=found, **methods), [4, 2, 1 * 0.001])
    with pytest.raises(InvalidInput, match="found: sound has no scores"):
        fuse(scores, found={"sound": found["text"]}, **methods)
    with pytest.raises(InvalidInput, match=r"found of 'text': float64 of shape \(3,\), expected bool"):
        fuse(scores, found={"text": np.ones(3)}, **methods)


def test_collection_measures_each_candidate_by_its_own_statistics():
    scores = {"text": [4.0, 2.0], "image": [0.5, MISSING]}
    statistics = {"text": ([3.0, 1.0], [2.0, 1.0]), "image": (0.3, 0.1)}
    methods = {"normalization": "collection", "combination": "arithmetic_mean", "missing": "skip"}
    fused = fuse(scores, statistics=statistics, **methods)
    np.testing.assert_allclose(fused, [((4 - 3) / 2 + (0.5 - 0.3) / 0.1) / 2, (2 - 1) / 1])
    with pytest.raises(InvalidInput, match="no statistics of 'image'"):
        fuse(scores, statistics={"text": (3.0, 1.0)}, **methods)
    with pytest.raises(InvalidInput, match=r"means of shape \(3,\), expected \(2,\)"):
        fuse(scores, statistics={**statistics, "text": ([1.0, 1.0, 1.0], 1.0)}, **methods)
    with pytest.raises(InvalidInput, match="deviations greater than 0"):
        fuse(scores, statistics={**statistics, "image": (0.3, 0.0)}, **methods)


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
        ({"bm25": [1.0]}, {"combination": "sum"}, "'sum' is not one of arithmetic_mean, geometric_mean"),
        ({"bm25": [1.0]}, {"normalization": "l1"}, "'l1' is not one of l2, min_max, rank, softmax, z_score"),
        ({"bm25": [1.0]}, {"normalization": "min_max"}, "'rrf' .* takes no normalization, got 'min_max'"),
        ({"bm25": [1.0]}, {"combination": "arithmetic_mean"}, "'arithmetic_mean' needs a normalization"),
    ],
)
def test_refusals(scores, options, message):
    with pytest.raises(InvalidInput, match=message):
        fuse(scores, **{"combination": "rrf", **options})
