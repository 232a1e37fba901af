from __future__ import annotations

from dataclasses import dataclass

import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.evaluation import Measured, run_profiles


@dataclass
class _Hit:
    id: str
    score: float


@dataclass
class _Result:
    hits: list[_Hit]
    timings_ms: dict[str, float]


class _Search:
    """A search function that notes its calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, text, profile, k):
        self.calls.append((text, profile, k))
        stages = {"encode": 2.0, "total": 3.0} if profile == "dense" else {"total": 1.0}
        return _Result([_Hit(f"{profile}-{text}", 1.0), _Hit("last", 0.5)][:k], stages)


QUERIES = {"q1": "one", "q2": "two", "q3": "three"}


def test_profiles_take_turns_and_the_turn_moves():
    search = _Search()
    run_profiles(search, QUERIES, ["bm25", "dense"], k=5, warm_up=0)
    assert [(text, profile) for text, profile, _ in search.calls] == [
        ("one", "bm25"),
        ("one", "dense"),
        ("two", "dense"),
        ("two", "bm25"),
        ("three", "bm25"),
        ("three", "dense"),
    ]
    assert {k for _, _, k in search.calls} == {5}


def test_hits_become_runs_and_times_are_kept_by_stage():
    ticks = []
    measured = run_profiles(
        _Search(), QUERIES, ["bm25", "dense"], k=2, warm_up=1, progress=lambda: ticks.append(1)
    )
    assert measured["dense"].run["q2"] == {"dense-two": 1.0, "last": 0.5}
    assert list(measured["dense"].run["q2"]) == ["dense-two", "last"]
    assert measured["dense"].stages_ms == {"encode": [2.0] * 3, "total": [3.0] * 3}
    assert measured["bm25"].stages_ms == {"total": [1.0] * 3}
    assert len(measured["bm25"].latencies_ms) == 3
    assert min(measured["bm25"].latencies_ms) > 0
    assert len(ticks) == 3 * 2


def test_the_warm_up_runs_every_profile_and_is_not_measured():
    search = _Search()
    measured = run_profiles(search, QUERIES, ["bm25", "dense"], k=1, warm_up=2)
    assert len(search.calls) == (2 + 3) * 2
    assert [text for text, _, _ in search.calls[:4]] == ["one", "one", "two", "two"]
    assert len(measured["bm25"].latencies_ms) == 3


def test_percentiles_by_hand():
    values = Measured({}, [10.0, 20.0, 30.0, 40.0, 50.0], {"encode": [1.0, 2.0, 9.0]}).to_json()
    assert values == {
        "latency_ms": {"p50": 30.0, "p95": 40.0 + 0.8 * (50.0 - 40.0)},
        "stages_ms": {"encode": 2.0},
    }


def test_nothing_to_run_is_refused():
    with pytest.raises(InvalidInput, match="0 queries and 1 profiles"):
        run_profiles(_Search(), {}, ["bm25"], k=1)
    with pytest.raises(InvalidInput, match="3 queries and 0 profiles"):
        run_profiles(_Search(), QUERIES, [], k=1)
    with pytest.raises(InvalidInput, match="given once"):
        run_profiles(_Search(), QUERIES, ["bm25", "bm25"], k=1)
