"""The settings that are tried."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from opensearch_multimodal.evaluation.settings import (
    as_setting,
    completed,
    fusion_settings,
    late_stages,
    refine_settings,
    untuned,
)
from opensearch_multimodal.mappings import (
    IndexDescription,
    Moments,
    Profile,
    Statistics,
    describe,
    load_template,
    parse_profile,
)

FIELDS = {"text", "dense", "multi_vector"}


@pytest.fixture
def index() -> IndexDescription:
    return describe("manuals", {"manuals": load_template("pages")})


def weights(profile: Profile) -> dict[str, float]:
    return {one.field: one.weight for one in profile.retrievers}


def test_every_setting_is_a_valid_profile_and_another_one(index):
    base = index.profile("gqr")
    settings = fusion_settings(index, base, FIELDS)
    refined = [one for setting in settings[3:] for one in refine_settings(index, setting, base)]
    for one in (*settings, *refined):
        index.check_profile(one.name, one.profile)
    profiles = [one.profile.model_dump_json() for one in (*settings, *refined)]
    assert len(set(profiles)) == len(profiles)
    names = [one.name for one in (*settings, *refined)]
    assert len(set(names)) == len(names)


def test_three_fields_are_weighted_by_sixths(index):
    settings = fusion_settings(index, index.profile("hybrid"), FIELDS)
    assert [one.fields for one in settings[:3]] == [("text",), ("dense",), ("multi_vector",)]
    # Six parts among three fields: (6 + 2)! / (6! 2!) ways, 3 of them of one field alone; six methods.
    assert len(settings) == 3 + 6 * (8 * 7 // 2 - 3)
    first = settings[3]
    assert weights(first.profile) == {"text": 1, "dense": 1, "fde": 1}
    assert all(sum(weights(one.profile).values()) <= 6 for one in settings)


def test_a_weight_of_zero_leaves_the_retriever_out(index):
    two = [one for one in fusion_settings(index, index.profile("hybrid"), FIELDS) if len(one.fields) == 2]
    assert {tuple(weights(one.profile)) for one in two} == {
        ("text", "dense"),
        ("text", "fde"),
        ("dense", "fde"),
    }


def test_retrievers_of_one_field_keep_one_weight(index):
    base = parse_profile(
        "both",
        {
            "retrievers": [
                {"type": "bm25", "field": "text"},
                {"type": "dense", "field": "dense"},
                {"type": "binary", "field": "binary", "k": 70},
            ],
            "fusion": {"combination": "rrf"},
        },
    )
    for one in fusion_settings(index, base, FIELDS):
        found = weights(one.profile)
        assert found.get("dense") == found.get("binary")
        assert all(r.k == 70 for r in one.profile.retrievers if r.type == "binary")


def test_what_finds_nothing_by_itself_is_never_alone(index):
    base = parse_profile(
        "late",
        {
            "retrievers": [
                {"type": "bm25", "field": "text"},
                {"type": "late_interaction", "field": "multi_vector"},
            ],
            "fusion": {"combination": "rrf"},
        },
    )
    assert ("multi_vector",) not in [one.fields for one in fusion_settings(index, base, FIELDS)]


def test_collection_is_tried_where_its_statistics_were_learnt(index):
    def tries(described):
        settings = fusion_settings(described, described.profile("hybrid"), FIELDS)
        return any(
            one.profile.fusion and one.profile.fusion.normalization == "collection" for one in settings
        )

    moments = {"page": Moments(mean=1, deviation=1, count=50)}
    learnt = Statistics(scores={"text": moments, "dense": moments})
    assert not tries(index)
    assert not tries(replace(index, meta=index.meta.model_copy(update={"statistics": learnt})))
    whole = Statistics(scores={**learnt.scores, "multi_vector": moments})
    assert tries(replace(index, meta=index.meta.model_copy(update={"statistics": whole})))


def test_untuned_fusions_have_equal_weights_of_all_fields(index):
    settings = fusion_settings(index, index.profile("hybrid"), FIELDS)
    found = untuned(settings, index)
    assert set(found) == {"min_max", "rrf"}
    assert {json.dumps(weights(one.profile)) for one in found.values()} == {
        json.dumps({"text": 1.0, "dense": 1.0, "fde": 1.0})
    }


def test_refinement_starts_with_its_defaults_and_has_each_vector_field_as_primary(index):
    stem = fusion_settings(index, index.profile("hybrid"), FIELDS)[3]
    refined = refine_settings(index, stem, index.profile("hybrid"))
    assert len(refined) == (5 + 3) * 3
    first = refined[0].profile.refine
    assert (first.primary, first.complementary) == ("dense", ("text", "multi_vector"))
    assert (first.mix, first.budget, first.fused_share) == (0.5, 0.5, 0.5)
    assert {one.profile.refine.primary for one in refined} == {"dense", "multi_vector"}
    budgets = {(one.profile.refine.primary, one.profile.refine.budget) for one in refined}
    assert budgets == {("dense", 0.25), ("dense", 0.5), ("dense", 1.0), ("multi_vector", 0.3)}


def test_a_single_retriever_cannot_be_refined(index):
    single = fusion_settings(index, index.profile("dense"), FIELDS)
    assert [one.fields for one in single] == [("dense",)]
    assert refine_settings(index, single[0], index.profile("dense")) == []


def test_stages_that_are_not_tuned_are_left_out(index):
    profile = index.profile("gqr").model_copy(
        update={
            "cut": parse_profile(
                "c", {"retrievers": [{"type": "bm25", "field": "text"}], "cut": {"size": 3, "method": "size"}}
            ).cut
        }
    )
    setting = as_setting(index, "gqr", profile, FIELDS)
    assert setting.profile == index.profile("gqr")
    assert setting.fields == ("text", "dense", "multi_vector")


def test_fields_that_cannot_score_the_questions_take_no_part(index):
    settings = fusion_settings(index, index.profile("hybrid"), {"text", "dense"})
    assert {one.fields for one in settings} == {("text",), ("dense",), ("text", "dense")}
    assert as_setting(index, "gqr", index.profile("gqr"), {"text", "dense"}).fields == ("text", "dense")
    assert {one.name for one in untuned(settings, index).values()} == {
        "min_max, arithmetic_mean: text 1, dense 1",
        "rrf: text 1, dense 1",
    }


def test_settings_that_could_not_be_searched_are_left_out(index):
    profile = index.profile("hybrid").model_dump(exclude_none=True)
    base = parse_profile("documents", {**profile, "documents": {"method": "mean_vector"}})
    settings = fusion_settings(index, base, FIELDS)
    assert settings
    assert all("dense" in one.fields for one in settings)
    for one in settings:
        index.check_profile(one.name, completed(one.profile, base))


def test_what_the_base_says_otherwise_stays(index):
    profile = index.profile("gqr").model_dump(exclude_none=True)
    profile["fusion"] = {"normalization": "l2", "combination": "harmonic_mean", "rank_constant": 7}
    profile["refine"] |= {"depth": 200, "steps": 9, "guide": "mixture"}
    base = parse_profile("own", profile)
    settings = fusion_settings(index, base, FIELDS)
    fusions = [one.profile.fusion for one in settings if one.profile.fusion]
    assert ("l2", "harmonic_mean") in {(one.normalization, one.combination) for one in fusions}
    assert {one.rank_constant for one in fusions} == {7}
    for one in refine_settings(index, settings[3], base):
        refine = one.profile.refine
        assert (refine.depth, refine.steps, refine.guide) == (200, 9, "mixture")


def test_late_stages_come_back_but_a_cut_that_was_learnt(index):
    base = index.profile("gqr")
    sized = parse_profile("sized", {**base.model_dump(exclude_none=True), "cut": {"size": 3}})
    assert late_stages(sized) == ["cut"]
    assert completed(base, sized) == sized
    learnt = parse_profile("learnt", {**base.model_dump(exclude_none=True), "cut": {"method": "relevance"}})
    assert completed(base, learnt) == base
    assert late_stages(base) == []
