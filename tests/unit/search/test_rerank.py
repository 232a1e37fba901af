"""The rerank stage: the order it gives, what the time does not suffice for, what cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from opensearch_multimodal.encoder import UnencodableInput
from opensearch_multimodal.errors import EnvironmentProblem, InvalidInput
from opensearch_multimodal.mappings import Rerank
from opensearch_multimodal.search.rerank import FullMaxSim, RecordContent, rerank
from opensearch_multimodal.types import Candidate

CONTENTS = {("x", f"r{i}"): RecordContent("", str(i)) for i in range(8)}


def read(candidates: Sequence[Candidate]) -> dict[tuple[str, str], RecordContent]:
    """Return what these candidates, and no others, hold."""
    return {key: CONTENTS[key] for one in candidates if (key := (one.index, one.id)) in CONTENTS}


def ranked(count: int) -> list[Candidate]:
    return [Candidate(f"r{i}", "x", score=float(count - i)) for i in range(count)]


def settings(**values: Any) -> Rerank:
    return Rerank(model="m", **values)


def by_number(contents: Sequence[RecordContent]) -> np.ndarray:
    """Score −1, −2, …: the later the record was, the better."""
    return np.array([int(one.text) - 100 for one in contents], dtype=np.float32)


class Clock:
    """Gives the time, and lets each call of a reranker last a second."""

    def __init__(self) -> None:
        self.now = 10.0
        self.sizes: list[int] = []

    def __call__(self) -> float:
        return self.now

    def score(self, contents: Sequence[RecordContent]) -> np.ndarray:
        self.now += 1.0
        self.sizes.append(len(contents))
        return by_number(contents)


def test_the_head_is_ordered_anew_and_the_rest_stays_below() -> None:
    candidates = ranked(5)
    done = rerank(candidates, read, by_number, settings(depth=3))
    assert [c.id for c in done.candidates] == ["r2", "r1", "r0", "r3", "r4"]
    assert [c.reranked for c in done.candidates] == [2 - 100, 1 - 100, 0 - 100, None, None]
    assert [c.rank_before for c in done.candidates] == [3, 2, 1, None, None]
    # r3 had 2.0 and is brought down to the lowest new score, r4 keeps its distance to it.
    assert [c.score for c in done.candidates] == [-98.0, -99.0, -100.0, -100.0, -100.0 - (2.0 - 1.0)]
    assert (done.scored, done.head, done.reason) == (3, 3, None)


def test_equal_new_scores_keep_the_order() -> None:
    done = rerank(ranked(4), read, lambda contents: np.zeros(len(contents)), settings())
    assert [c.id for c in done.candidates] == ["r0", "r1", "r2", "r3"]


def test_scores_below_are_left_where_they_are_low_enough() -> None:
    done = rerank(ranked(3), read, lambda contents: np.full(len(contents), 9.0), settings(depth=1))
    assert [c.score for c in done.candidates] == [9.0, 2.0, 1.0]


def test_what_the_time_does_not_suffice_for_is_the_tail() -> None:
    clock = Clock()
    done = rerank(ranked(8), read, clock.score, settings(batch=2), until=12.5, clock=clock)
    # Begun at 10 and 11; at 12 another second would end at 13, after 12.5.
    assert clock.sizes == [2, 2]
    assert [c.id for c in done.candidates] == ["r3", "r2", "r1", "r0", "r4", "r5", "r6", "r7"]
    assert (done.scored, done.head, done.reason) == (4, 8, "the time was up")


def test_nothing_begins_after_the_end() -> None:
    clock = Clock()
    done = rerank(ranked(3), read, clock.score, settings(), until=9.0, clock=clock)
    assert clock.sizes == []
    assert [c.id for c in done.candidates] == ["r0", "r1", "r2"]
    assert [c.score for c in done.candidates] == [3.0, 2.0, 1.0]
    assert (done.scored, done.reason) == (0, "the time was up")


def test_without_a_limit_all_are_scored_at_once() -> None:
    clock = Clock()
    rerank(ranked(8), read, clock.score, settings(batch=2), clock=clock)
    assert clock.sizes == [8]


@pytest.mark.parametrize(
    ("images", "until", "sizes"),
    [
        (False, None, [8]),
        (True, None, [3, 3, 2]),
        (False, 1e12, [3, 3, 2]),
        (True, 11.5, [3]),
        (True, 9.0, []),
    ],
)
def test_no_more_is_read_than_is_scored_at_once(images: bool, until: float | None, sizes: list[int]) -> None:
    clock, asked = Clock(), []

    def noted(candidates: Sequence[Candidate]) -> dict[tuple[str, str], RecordContent]:
        asked.append(len(candidates))
        return read(candidates)

    rerank(ranked(8), noted, clock.score, settings(batch=3), until=until, images=images, clock=clock)
    assert asked == clock.sizes == sizes


def test_the_time_that_reading_takes_counts() -> None:
    clock = Clock()

    def slow(candidates: Sequence[Candidate]) -> dict[tuple[str, str], RecordContent]:
        clock.now += 4.0
        return read(candidates)

    done = rerank(ranked(8), slow, clock.score, settings(batch=2), until=19.0, clock=clock)
    # Begun at 10; at 15 another five seconds would end at 20, after 19.
    assert clock.sizes == [2]
    assert (done.scored, done.reason) == (2, "the time was up")


def test_a_record_without_text_keeps_its_order_below() -> None:
    def without(candidates: Sequence[Candidate]) -> dict[tuple[str, str], RecordContent]:
        return {key: value for key, value in read(candidates).items() if key[1] != "r1"}

    done = rerank(ranked(3), without, by_number, settings())
    assert [c.id for c in done.candidates] == ["r2", "r0", "r1"]
    assert done.reason == "1 have nothing to read"


def test_a_record_that_the_model_cannot_read_is_left_out_alone() -> None:
    def picky(contents: Sequence[RecordContent]) -> np.ndarray:
        for position, one in enumerate(contents):
            if one.text == "1":
                raise UnencodableInput("texts", position, "no token")
        return by_number(contents)

    done = rerank(ranked(3), read, picky, settings())
    assert [c.id for c in done.candidates] == ["r2", "r0", "r1"]
    assert done.reason == "1 cannot be read by the model"


def test_a_model_that_fails_half_way_keeps_what_it_scored() -> None:
    calls: list[int] = []

    def failing(contents: Sequence[RecordContent]) -> np.ndarray:
        calls.append(len(contents))
        if len(calls) == 2:
            raise EnvironmentProblem("out of memory")
        return by_number(contents)

    done = rerank(ranked(4), read, failing, settings(batch=2), until=1e12)
    assert [c.id for c in done.candidates] == ["r1", "r0", "r2", "r3"]
    assert (done.scored, done.reason) == (2, "out of memory")


def test_a_reranker_that_loses_a_score_is_refused() -> None:
    with pytest.raises(InvalidInput, match="gave 1 scores for 3 records"):
        rerank(ranked(3), read, lambda contents: np.zeros(1), settings())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "'model' belongs to the type 'cross_encoder'"),
        ({"type": "maxsim", "model": "m", "field": "f"}, "'model' belongs to the type 'cross_encoder'"),
        ({"type": "maxsim"}, "needs a 'field'"),
        ({"model": "m", "budget_ms": 0}, "budget_ms"),
        ({"model": "m", "dept": 3}, "dept"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rerank(**values)


class Tokens:
    """An encoder whose token vectors are written into the text."""

    fingerprint, dimension = "", 2

    def encode_passages(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [
            np.array([[float(x) for x in row.split()] for row in text.split("\n")], np.float32)
            for text in texts
        ]

    encode_queries = encode_pages = encode_passages


def test_full_maxsim_scores_the_texts_encoded_anew() -> None:
    query = np.array([[1, 0], [0, 1]], dtype=np.float32)
    contents = [RecordContent("", "1 0"), RecordContent("0.6 0.8", "0 1")]
    made = FullMaxSim(Tokens(), "text", query, None)
    assert made.score(None, contents) == pytest.approx([1 + 0, 0.6 + 1])  # type: ignore[arg-type]
    less = FullMaxSim(Tokens(), "text", query, query[:1])
    assert less.score(None, contents) == pytest.approx([1 + 0 - 1, 0.6 + 1 - 0.6])  # type: ignore[arg-type]
