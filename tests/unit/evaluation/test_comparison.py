from __future__ import annotations

import copy

from opensearch_multimodal.evaluation import evaluate
from opensearch_multimodal.evaluation.comparison import (
    Ranked,
    choose_duels,
    ranking,
    shown_records,
    view_query,
)

QRELS = {"q1": {"a": 1}, "q2": {"a": 1}, "q3": {"a": 1}, "q4": {"a": 1}}
ABOVE = {"a": 2.0, "x": 1.0}
BELOW = {"x": 2.0, "a": 1.0}
RUNS = {
    "base": {"q1": BELOW, "q2": ABOVE, "q3": BELOW, "q4": {}},
    "new": {"q1": ABOVE, "q2": BELOW, "q3": BELOW, "q4": ABOVE},
}


def _report(runs=RUNS, qrels=QRELS, **options):
    return evaluate(runs, qrels, ["mrr@10"], samples=100, **options)


def _view(profiles, query="q1", runs=RUNS, qrels=QRELS):
    return view_query(query, profiles, runs=runs, qrels=qrels, report=_report(runs, qrels), metric="mrr@10")


def test_a_duel_goes_from_the_largest_win_to_the_largest_loss():
    (duel,) = choose_duels(_report(), "mrr@10", 10)
    assert duel.profile == "new"
    assert duel.values == (("q4", 1 - 0), ("q1", 1 - 1 / 2), ("q3", 0), ("q2", 1 / 2 - 1))
    assert (duel.won, duel.tied, duel.lost) == (2, 1, 1)
    assert (duel.gains, duel.losses) == (("q4", "q1"), ("q2",))


def test_no_more_than_asked_for_are_shown_and_all_are_counted():
    (duel,) = choose_duels(_report(), "mrr@10", 1)
    assert (duel.gains, duel.losses) == (("q4",), ("q2",))
    assert len(duel.values) == 4
    (none,) = choose_duels(_report(), "mrr@10", 0)
    assert (none.gains, none.losses) == ((), ())


def test_the_largest_loss_comes_first():
    runs = {"base": {"q1": ABOVE, "q2": ABOVE}, "new": {"q1": BELOW, "q2": {}}}
    (duel,) = choose_duels(_report(runs, {"q1": {"a": 1}, "q2": {"a": 1}}), "mrr@10", 10)
    assert duel.losses == ("q2", "q1")


def test_the_same_ranking_twice_is_all_ties():
    (duel,) = choose_duels(_report({"base": RUNS["base"], "copy": RUNS["base"]}), "mrr@10", 10)
    assert (duel.won, duel.tied, duel.lost) == (0, 4, 0)
    assert duel.gains == duel.losses == ()


def test_a_profile_alone_shows_its_lowest_values():
    (duel,) = choose_duels(_report({"base": RUNS["base"]}), "mrr@10", 2)
    assert duel.values == (("q2", 1), ("q1", 1 / 2), ("q3", 1 / 2), ("q4", 0))
    assert (duel.gains, duel.losses) == ((), ("q4", "q1"))


def test_another_baseline_is_on_the_other_side():
    (duel,) = choose_duels(_report(baseline="new"), "mrr@10", 10)
    assert duel.profile == "base"
    assert duel.losses == ("q4", "q1")


def test_equal_scores_keep_their_order_and_parts_count_for_their_record():
    hits = {"b": 1.0, "a#c1": 1.0, "a#c2": 3.0, "c": 2.0}
    before = copy.deepcopy(hits)
    assert [one.id for one in ranking(hits, rolled_up=False)] == ["a#c2", "c", "b", "a#c1"]
    assert ranking(hits, rolled_up=True) == [
        Ranked("a", "a#c2", 3.0),
        Ranked("c", "c", 2.0),
        Ranked("b", "b", 1.0),
    ]
    assert hits == before


def test_each_hit_knows_its_rank_on_the_other_side():
    runs = {"base": {"q1": {"x": 3.0, "y": 2.0, "a": 1.0}}, "new": {"q1": {"a": 2.0, "x": 1.0}}}
    view = _view(["base", "new"], runs=runs, qrels={"q1": {"a": 1}})
    base, new = view.columns
    assert [hit.id for hit in base.hits] == ["x", "y", "a"]
    assert base.other_ranks == (2, None, 1)
    assert new.other_ranks == (3, 1)
    assert (base.value, new.value) == (1 / 3, 1)


def test_missed_records_say_where_they_are_and_the_best_answers_come_first():
    long = {f"x{i}": 100.0 - i for i in range(36)} | {"a": 1.0}
    grades = {"a": 1, "b": 3, "x0": 2, "c": 0}
    view = _view(
        ["base", "new"], runs={"base": {"q1": long}, "new": {"q1": {"x0": 1.0}}}, qrels={"q1": grades}
    )
    assert [(one.id, one.ranks) for one in view.missed] == [("b", (None, None)), ("a", (37, None))]
    assert view.more_missed == 0
    assert shown_records(view) == [*(f"x{i}" for i in range(10)), "b", "a"]


def test_many_missed_records_are_counted():
    view = _view(["base"], runs={"base": {"q1": {}}}, qrels={"q1": {f"r{i}": 1 for i in range(40)}})
    assert len(view.missed) + view.more_missed == 40
    assert view.more_missed > 0


def test_the_first_part_of_a_split_record_that_nobody_found_is_looked_up():
    view = _view(["base"], runs={"base": {"q1": {"b#c4": 1.0}}}, qrels={"q1": {"a": 1, "b": 1}})
    assert [one.records for one in view.missed] == [("a", "a#c1")]
    assert shown_records(view) == ["b#c4", "a", "a#c1"]


def test_a_query_without_hits_has_an_empty_column():
    view = _view(["base", "new"], query="q4")
    assert [len(column.hits) for column in view.columns] == [0, 2]
