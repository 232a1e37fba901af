"""Fusion and refinement of candidates: pure functions, expected values written as arithmetic."""

import numpy as np
import pytest

from opensearch_multimodal.mappings import Profile, parse_profile
from opensearch_multimodal.maxsim import stack
from opensearch_multimodal.refinement import Refinement
from opensearch_multimodal.search.ranking import fuse_candidates, order, refine_candidates
from opensearch_multimodal.search.scoring import NO_VECTOR, FieldVectors
from opensearch_multimodal.types import Candidate


def candidates(**scores: list[float]) -> list[Candidate]:
    count = len(next(iter(scores.values())))
    return [
        Candidate(id=f"r{i}", index="x", scores={name: values[i] for name, values in scores.items()})
        for i in range(count)
    ]


def hybrid(**refine: object) -> Profile:
    profile: dict[str, object] = {
        "retrievers": [{"type": "bm25", "field": "text"}, {"type": "dense", "field": "dense"}],
        "fusion": {"normalization": "min_max", "combination": "arithmetic_mean"},
    }
    if refine:
        profile["refine"] = {"primary": "dense", "complementary": ["text"], **refine}
    return parse_profile("test", profile)


def test_one_scored_field_needs_no_fusion() -> None:
    found = candidates(dense=[0.1, 0.9, 0.5])
    fuse_candidates(found, hybrid(), {"dense": 1.0})
    assert [c.id for c in order(found)] == ["r1", "r2", "r0"]
    assert all(c.fused is None for c in found)


def test_fusion_weighs_normalized_scores() -> None:
    found = candidates(text=[10.0, 0.0, 5.0], dense=[0.2, 0.6, 0.5])
    fuse_candidates(found, hybrid(), {"text": 1.0, "dense": 3.0})
    half, three_quarters = (5 - 0) / (10 - 0), (0.5 - 0.2) / (0.6 - 0.2)
    least = 0.001  # what OpenSearch gives to the lowest score
    expected = [(1 * 1 + 3 * least) / 4, (1 * least + 3 * 1) / 4, (1 * half + 3 * three_quarters) / 4]
    assert [c.fused for c in found] == pytest.approx(expected)
    assert [c.score for c in found] == [c.fused for c in found]


def test_order_breaks_ties_by_id_and_leaves_out_what_has_no_score() -> None:
    found = candidates(dense=[0.5, NO_VECTOR, 0.5])
    fuse_candidates(found, hybrid(), {"dense": 1.0})
    assert [c.id for c in order(found[::-1])] == ["r0", "r2"]


def unit(*rows: list[float]) -> np.ndarray:
    array = np.array(rows, dtype=np.float32)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def test_refinement_moves_towards_what_the_complementary_retriever_prefers() -> None:
    vectors = unit([1, 0.1, 0], [1, -0.1, 0.02], [0, 0, 1])
    query = unit([1, 0, 0])[0]
    found = candidates(text=[0.0, 9.0, 1.0], dense=(vectors @ query).tolist())
    before_query, before_vectors = query.copy(), vectors.copy()
    profile, weights = hybrid(depth=3), {"text": 1.0, "dense": 1.0}
    fuse_candidates(found, profile, weights)
    ranked = order(found)
    stored = {"dense": FieldVectors.compared({("x", f"r{i}"): i for i in range(3)}, vectors, query)}
    refined = refine_candidates(ranked, profile, weights, query, stored)
    assert refined is not None
    assert refined.skipped is None
    assert order(ranked)[0].id == "r1"
    by_id = {c.id: c for c in ranked}
    expected = vectors @ refined.query
    assert [by_id[f"r{i}"].refined for i in range(3)] == pytest.approx(expected.tolist())
    np.testing.assert_array_equal(query, before_query)
    np.testing.assert_array_equal(vectors, before_vectors)


def test_what_has_no_primary_vector_stays_below_in_its_order() -> None:
    vectors = unit([1, 0, 0], [0.9, 0.4, 0])
    query = unit([1, 0.2, 0])[0]
    found = candidates(text=[1.0, 5.0, 4.0, 3.0], dense=[*(vectors @ query).tolist(), NO_VECTOR, NO_VECTOR])
    profile, weights = hybrid(depth=4), {"text": 1.0, "dense": 1.0}
    fuse_candidates(found, profile, weights)
    ranked = order(found)
    stored = {"dense": FieldVectors.compared({("x", "r0"): 0, ("x", "r1"): 1}, vectors, query)}
    assert refine_candidates(ranked, profile, weights, query, stored) is not None
    final = order(ranked)
    assert {c.id for c in final[:2]} == {"r0", "r1"}
    assert [c.id for c in final[2:]] == ["r2", "r3"]
    assert [c.score for c in final] == sorted((c.score for c in final), reverse=True)


def test_candidates_below_the_depth_keep_their_order() -> None:
    vectors = unit([1, 0.1, 0], [1, -0.1, 0.02], [0.9, 0, 1], [0.1, 0, 1], [0, 0, 1])
    query = unit([1, 0.05, 0])[0]
    found = candidates(text=[2.0, 9.0, 1.0, 0.5, 0.1], dense=(vectors @ query).tolist())
    profile, weights = hybrid(depth=2), {"text": 1.0, "dense": 1.0}
    fuse_candidates(found, profile, weights)
    stored = {"dense": FieldVectors.compared({("x", f"r{i}"): i for i in range(5)}, vectors, query)}
    before = order(found)
    refined = refine_candidates(before, profile, weights, query, stored)
    assert refined is not None
    assert len(refined.scores) == 2
    final = order(before)
    assert [c.id for c in final[2:]] == [c.id for c in before[2:]]
    assert all(c.refined is None for c in final[2:])
    assert [c.score for c in final] == sorted((c.score for c in final), reverse=True)


def test_one_candidate_is_not_refined() -> None:
    vectors = unit([1, 0, 0])
    found = candidates(text=[1.0], dense=[1.0])
    profile, weights = hybrid(depth=2), {"text": 1.0, "dense": 1.0}
    fuse_candidates(found, profile, weights)
    stored = {"dense": FieldVectors.compared({("x", "r0"): 0}, vectors, unit([1, 0, 0])[0])}
    assert refine_candidates(found, profile, weights, unit([1, 0, 0])[0], stored) is None


def test_multi_vectors_are_rescored_by_maxsim() -> None:
    documents = [unit([1, 0], [0, 1]), unit([1, 1])]
    query = unit([1, 0], [0.6, 0.8])
    field = FieldVectors.compared({("x", "a"): 0, ("x", "b"): 1}, stack(documents), query)
    diagonal = 1 / np.sqrt(2)
    assert field.scores() == pytest.approx(
        {("x", "a"): 1 + 0.8, ("x", "b"): diagonal + (0.6 + 0.8) * diagonal}, abs=1e-6
    )
    chosen, similarities = field.of([Candidate(id="b", index="x"), Candidate(id="a", index="x")])
    np.testing.assert_array_equal(chosen.offsets, [0, 1, 3])
    np.testing.assert_array_equal(chosen.rows, np.concatenate(documents[::-1]))
    np.testing.assert_allclose(similarities, chosen.rows @ query.T, rtol=1e-6)


def three(**refine: object) -> Profile:
    retrievers = [
        {"type": "bm25", "field": name, "weight": weight} for name, weight in (("text", 1), ("title", 3))
    ]
    return parse_profile(
        "test",
        {
            "retrievers": [*retrievers, {"type": "dense", "field": "dense"}],
            "fusion": {"normalization": "min_max", "combination": "arithmetic_mean"},
            "refine": {"primary": "dense", "complementary": ["text", "title"], **refine},
        },
    )


def refined_by(profile: Profile) -> tuple[list[Candidate], Refinement]:
    vectors = unit([1, 0.1, 0], [1, -0.1, 0.02], [0, 0, 1], [0.5, 0.5, 0])
    query = unit([1, 0, 0])[0]
    found = candidates(
        text=[0.0, 9.0, 1.0, 4.0], title=[2.0, 0.0, 7.0, 1.0], dense=(vectors @ query).tolist()
    )
    weights = {"text": 1.0, "title": 3.0, "dense": 1.0}
    fuse_candidates(found, profile, weights)
    stored = {"dense": FieldVectors.compared({("x", f"r{i}"): i for i in range(4)}, vectors, query)}
    refined = refine_candidates(order(found), profile, weights, query, stored)
    assert refined is not None
    assert refined.skipped is None
    return found, refined


def distribution(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def guided_scores(refined: Refinement) -> tuple[np.ndarray, ...]:
    """Return every retriever's scores over its temperature, in the order of the candidates r0, r1, …"""
    vectors, query = unit([1, 0.1, 0], [1, -0.1, 0.02], [0, 0, 1], [0.5, 0.5, 0]), unit([1, 0, 0])[0]
    one, two = refined.complementary_temperatures
    return vectors @ query, np.array([0.0, 9.0, 1.0, 4.0]) / one, np.array([2.0, 0.0, 7.0, 1.0]) / two


def test_several_retrievers_guide_by_their_fused_scores_or_by_their_distributions() -> None:
    _, fused = refined_by(three())
    _, mixed = refined_by(three(guide="mixture"))
    assert len(fused.complementary_temperatures) == 1
    assert len(mixed.complementary_temperatures) == 2
    p, text, title = (distribution(row) for row in guided_scores(mixed))
    expected = 0.5 * p + 0.5 * (1 * text + 3 * title) / (1 + 3)
    np.testing.assert_allclose(np.sort(mixed.target), np.sort(expected), rtol=1e-5)


def test_a_share_of_the_fused_score_stays_in_the_final_one() -> None:
    alone, _ = refined_by(three())
    found, _ = refined_by(three(fused_share=0.25))
    assert [c.refined for c in found] == [c.refined for c in alone]
    least = 0.001  # what OpenSearch gives to the lowest score

    def normalized(values: list[float]) -> list[float]:
        low, high = min(values), max(values)
        return [max((value - low) / (high - low), least) for value in values]

    parts = zip(
        normalized([float(c.refined or 0) for c in found]),
        normalized([float(c.fused or 0) for c in found]),
        strict=True,
    )
    assert [c.score for c in found] == pytest.approx([0.75 * one + 0.25 * two for one, two in parts])


def test_the_target_is_that_of_the_profile() -> None:
    targets = [refined_by(three(target=name))[1].target for name in ("mixture", "mean_scores")]
    assert not np.allclose(*targets)
