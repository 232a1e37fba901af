"""What was learnt of the collection, applied to candidates."""

import numpy as np
import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.mappings import Moments, Statistics, parse_profile
from opensearch_multimodal.search.ranking import fuse_candidates, order
from opensearch_multimodal.search.scoring import NO_VECTOR
from opensearch_multimodal.search.statistics import scales, unlearnt
from opensearch_multimodal.types import Candidate

PAGE, PASSAGE = Moments(mean=0.2, deviation=0.05, count=3), Moments(mean=0.6, deviation=0.1, count=2)
STATISTICS = Statistics(scores={"dense": {"page": PAGE, "passage": PASSAGE}})


def candidate(identity: str, modality: str, **scores: float) -> Candidate:
    return Candidate(id=identity, index="x", modality=modality, scores=scores)


def test_each_candidate_has_the_numbers_of_its_modality() -> None:
    found = [candidate("a", "passage", dense=0.7), candidate("b", "page", dense=0.3)]
    means, deviations = scales(found, ["dense"], STATISTICS)["dense"]
    np.testing.assert_array_equal(means, [0.6, 0.2])
    np.testing.assert_array_equal(deviations, [0.1, 0.05])


def test_an_unknown_modality_has_the_numbers_of_all_together() -> None:
    samples = {"page": [0.1, 0.3, 0.5], "passage": [0.4, 0.8]}
    learnt = {
        name: Moments(mean=np.mean(values), deviation=np.std(values, ddof=1), count=len(values))
        for name, values in samples.items()
    }
    found = [candidate("a", "slide", dense=0.7), candidate("b", "page", dense=0.3)]
    statistics = Statistics(scores={"dense": learnt})
    means, deviations = scales(found, ["dense"], statistics)["dense"]
    everything = [*samples["page"], *samples["passage"]]
    assert means[0] == pytest.approx(np.mean(everything))
    assert deviations[0] == pytest.approx(np.std(everything, ddof=1))
    assert unlearnt(found, ["dense"], statistics) == [("dense", "slide")]


def test_what_has_no_score_needs_no_statistics() -> None:
    found = [candidate("a", "slide", dense=NO_VECTOR), candidate("b", "page", dense=0.3)]
    assert unlearnt(found, ["dense"], STATISTICS) == []


def test_nothing_learnt_of_a_field_says_what_to_do() -> None:
    with pytest.raises(InvalidInput, match=r"no statistics of field 'text'.*osmm index calibrate"):
        scales([candidate("a", "page", text=3.0)], ["text"], STATISTICS)


def test_modalities_meet_on_one_scale() -> None:
    """A page by its image at +2 deviations is ahead of a passage by its text at +1."""
    profile = parse_profile(
        "mixed",
        {
            "retrievers": [{"type": "dense", "field": "dense"}, {"type": "dense", "field": "image"}],
            "fusion": {"normalization": "collection", "combination": "arithmetic_mean", "missing": "skip"},
        },
    )
    statistics = Statistics(
        scores={
            "dense": {"passage": PASSAGE, "page": PAGE},
            "image": {"page": Moments(mean=0.1, deviation=0.02, count=9)},
        }
    )
    found = [
        candidate("passage", "passage", dense=0.7, image=NO_VECTOR),
        candidate("picture", "page", dense=NO_VECTOR, image=0.14),
        candidate("both", "page", dense=0.2, image=0.16),
    ]
    fuse_candidates(found, profile, {"dense": 1.0, "image": 1.0}, statistics)
    expected = [(0.7 - 0.6) / 0.1, (0.14 - 0.1) / 0.02, ((0.2 - 0.2) / 0.05 + (0.16 - 0.1) / 0.02) / 2]
    assert [c.fused for c in found] == pytest.approx(expected)
    assert [c.id for c in order(found)] == ["picture", "both", "passage"]
