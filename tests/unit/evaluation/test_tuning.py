"""What counts as a win, and what is refused before anything is searched."""

from __future__ import annotations

import numpy as np
import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.evaluation import Topics, parse_metric, tune
from opensearch_multimodal.evaluation.intervals import Interval
from opensearch_multimodal.evaluation.settings import Setting
from opensearch_multimodal.evaluation.tune import TUNED_FUSION, Row, Tuning
from opensearch_multimodal.mappings import describe, load_template, parse_profile


def outcome(difference: Interval) -> Tuning:
    values = np.zeros(3)
    setting = Setting(
        "text", parse_profile("text", {"retrievers": [{"type": "bm25", "field": "text"}]}), ("text",)
    )
    present = Row("now", values, Interval(0.5, 0.4, 0.6), None)
    tuned = Row(TUNED_FUSION, values, Interval(0.6, 0.5, 0.7), difference, setting, 5)
    return Tuning("ndcg@10", "now", (), (present, tuned), TUNED_FUSION, None, 10, 5)


def test_only_an_interval_above_zero_is_a_win():
    assert outcome(Interval(0.1, 0.001, 0.2)).won
    assert not outcome(Interval(0.1, 0.0, 0.2)).won
    assert not outcome(Interval(0.1, -0.001, 0.2)).won
    assert not outcome(Interval(-0.1, -0.2, -0.001)).won


def test_what_can_be_seen_is_half_of_the_interval():
    assert outcome(Interval(0.1, -0.04, 0.2)).smallest_visible == pytest.approx((0.2 + 0.04) / 2)


class _Searcher:
    """Enough of a searcher to be refused; searching fails."""

    index = describe("manuals", {"manuals": load_template("pages")})

    def score(self, *_: object, **__: object) -> None:
        raise AssertionError("searched")


def topics(count: int, text: str = "how?") -> Topics:
    return Topics({f"q{i}": text for i in range(count)}, {f"q{i}": {"a": 1} for i in range(count)}, 0, 0)


@pytest.mark.parametrize(
    ("asked", "metric", "complaint"),
    [
        (topics(19), "ndcg@10", "queries: 19 with judgements, 5 folds need at least 20"),
        (topics(20, "x" * 10_001), "ndcg@10", "query 'q0': query_text: 10001 characters"),
        (topics(20), "recall@5000", "metric 'recall@5000' looks at more than 2000 results"),
    ],
)
def test_what_cannot_be_is_refused_before_it_is_searched(asked, metric, complaint):
    with pytest.raises(InvalidInput, match=complaint):
        tune(_Searcher(), asked, parse_metric(metric))
