"""Run every profile on every query, keeping the hits and the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..errors import InvalidInput
from ..types import Run

__all__ = ["Hit", "Measured", "SearchResult", "run_profiles"]


class Hit(Protocol):
    """One ranked record."""

    @property
    def id(self) -> str:
        """The record's id."""
        ...

    @property
    def score(self) -> float:
        """The score that ranks it; higher is better."""
        ...


class SearchResult(Protocol):
    """What a search must give back to be measured."""

    @property
    def hits(self) -> Sequence[Hit]:
        """The hits, best first."""
        ...

    @property
    def timings_ms(self) -> Mapping[str, float]:
        """Stage → milliseconds."""
        ...


@dataclass(frozen=True, slots=True)
class Measured:
    """The searches of one profile.

    Attributes:
        run: query id → record id → score, best first.
        latencies_ms: the time of each whole search, in the order of the queries.
        stages_ms: stage → the times of the searches that had this stage.
    """

    run: Run
    latencies_ms: Sequence[float]
    stages_ms: Mapping[str, Sequence[float]]

    def to_json(self) -> dict[str, Any]:
        """Return the median and 95th percentile of whole searches and the median of each stage."""
        p50, p95 = np.percentile(self.latencies_ms, [50, 95])
        return {
            "latency_ms": {"p50": round(float(p50), 3), "p95": round(float(p95), 3)},
            "stages_ms": {
                stage: round(float(np.median(times)), 3) for stage, times in self.stages_ms.items()
            },
        }


def run_profiles(
    search: Callable[[str, str, int], SearchResult],
    queries: Mapping[str, str],
    profiles: Sequence[str],
    *,
    k: int,
    warm_up: int = 3,
    progress: Callable[[], None] | None = None,
) -> dict[str, Measured]:
    """Search every query with every profile.

    The profiles take turns at each query and the turn moves on by one from query to query, so that a machine
    that slows down, or a cache that the predecessor filled, does not favour one of them.

    Args:
        search: called as ``search(query text, profile, k)``.
        queries: query id → text.
        profiles: the profiles' names.
        k: the number of hits to ask for.
        warm_up: the number of queries searched first, unmeasured, with every profile.
        progress: called after each measured search.

    Raises:
        InvalidInput: no queries, no profiles, or a profile named twice.
    """
    if not queries or not profiles:
        raise InvalidInput(f"nothing to run: {len(queries)} queries and {len(profiles)} profiles")
    if len(set(profiles)) != len(profiles):
        raise InvalidInput(f"profiles: each can be given once, got {', '.join(profiles)}")
    for text in list(queries.values())[:warm_up]:
        for profile in profiles:
            search(text, profile, k)

    runs: dict[str, dict[str, dict[str, float]]] = {profile: {} for profile in profiles}
    latencies: dict[str, list[float]] = {profile: [] for profile in profiles}
    stages: dict[str, dict[str, list[float]]] = {profile: {} for profile in profiles}
    for turn, (query, text) in enumerate(queries.items()):
        for place in range(len(profiles)):
            profile = profiles[(turn + place) % len(profiles)]
            started = time.perf_counter()
            result = search(text, profile, k)
            latencies[profile].append((time.perf_counter() - started) * 1000)
            runs[profile][query] = {hit.id: hit.score for hit in result.hits}
            for stage, milliseconds in result.timings_ms.items():
                stages[profile].setdefault(stage, []).append(milliseconds)
            if progress is not None:
                progress()
    return {name: Measured(runs[name], latencies[name], stages[name]) for name in profiles}
