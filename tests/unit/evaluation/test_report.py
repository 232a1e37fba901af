from __future__ import annotations

import copy
import json

import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.evaluation import evaluate, read_qrels, write_run

QRELS = {"q1": {"a": 1}, "q2": {"b": 1}}
RUNS = {
    "first": {"q1": {"a": 2.0, "x": 1.0}, "q2": {"x": 2.0, "b": 1.0}},
    "second": {"q1": {"a": 2.0}, "q2": {"b": 1.0}},
}


def test_means_and_differences_by_hand():
    before = copy.deepcopy((RUNS, QRELS))
    report = evaluate(RUNS, QRELS, ["mrr@10"])
    assert report.baseline == "first"
    assert report.queries == 2
    assert report.profiles["first"].per_query == {"mrr@10": {"q1": 1, "q2": 1 / 2}}
    assert report.profiles["first"].metrics["mrr@10"].mean == (1 + 1 / 2) / 2
    assert report.profiles["first"].differences == {}
    difference = report.profiles["second"].differences["mrr@10"]
    assert (difference.mean, difference.low, difference.high) == ((0 + 1 / 2) / 2, 0, 1 / 2)
    assert report.warnings == ()
    assert before == (RUNS, QRELS)


def test_another_baseline_turns_the_difference_round():
    report = evaluate(RUNS, QRELS, ["mrr@10"], baseline="second")
    assert report.profiles["first"].differences["mrr@10"].mean == -(0 + 1 / 2) / 2
    assert list(report.profiles) == ["first", "second"]


def test_the_json_keeps_its_shape():
    values = json.loads(json.dumps(evaluate(RUNS, QRELS).to_json()))
    assert set(values["profiles"]["second"]["metrics"]) == {"ndcg@10", "recall@100", "mrr@10"}
    assert values["profiles"]["second"]["metrics"]["mrr@10"] == {"mean": 1, "low": 1, "high": 1}
    assert set(values["differences"]) == {"second"}
    assert values["differences"]["second"]["mrr@10"] == {
        "mean": 1 / 4,
        "low": 0,
        "high": 1 / 2,
        "excludes_zero": False,
    }
    assert (values["queries"], values["baseline"], values["warnings"]) == (2, "first", [])


def test_parts_roll_up_to_their_record_by_the_best_part():
    run = {"q1": {"x#c1": 5.0, "x#c2": 4.0, "a#c2": 3.0, "a#c1": 2.0, "y": 1.0}, "q2": {"b#c10": 1.0}}
    report = evaluate({"only": run}, QRELS, ["mrr@10"])
    assert report.rolled_up
    assert report.profiles["only"].per_query["mrr@10"] == {"q1": 1 / 2, "q2": 1}


def test_parts_stay_when_parts_are_judged():
    run = {"q1": {"a#c1": 2.0, "a#c2": 1.0}}
    report = evaluate({"only": run}, {"q1": {"a#c2": 1}}, ["mrr@10"])
    assert not report.rolled_up
    assert report.profiles["only"].per_query["mrr@10"] == {"q1": 1 / 2}


@pytest.mark.parametrize("record", ["a#p1", "a#c", "a#cx", "#c1", "a#c1#p2"])
def test_other_ids_are_left_alone(record):
    report = evaluate({"only": {"q": {record: 1.0}}}, {"q": {record: 1}}, ["mrr@10"])
    assert not report.rolled_up
    assert report.profiles["only"].metrics["mrr@10"].mean == 1


def test_a_wrong_id_scheme_is_a_warning_with_an_example_of_each():
    report = evaluate({"only": {"q1": {"folder/a#p1": 1.0}}}, QRELS)
    assert "judged ids look like 'a', returned ones like 'folder/a#p1'" in report.warnings[0]
    assert report.profiles["only"].metrics["ndcg@10"].mean == 0


def test_one_profile_that_finds_judged_records_is_enough_to_stay_silent():
    assert evaluate({**RUNS, "other": {"q1": {"z": 1.0}, "q2": {"z": 1.0}}}, QRELS).warnings == ()


def test_silence_is_a_warning_and_counts_as_zero():
    report = evaluate({**RUNS, "third": {"q1": {"a": 1.0}}}, QRELS, ["mrr@10"])
    assert report.warnings == ("profile 'third' returned nothing for 1 of 2 queries; they count as 0",)
    assert report.profiles["third"].metrics["mrr@10"].mean == (1 + 0) / 2
    assert "is the index empty?" in evaluate({"third": {}}, QRELS).warnings[0]


def test_nonsense_is_refused():
    with pytest.raises(InvalidInput, match="at least one profile"):
        evaluate({}, QRELS)
    with pytest.raises(InvalidInput, match="at least one judged query"):
        evaluate(RUNS, {})
    with pytest.raises(
        InvalidInput, match="baseline 'third' is not among the profiles evaluated: first, second"
    ):
        evaluate(RUNS, QRELS, baseline="third")
    with pytest.raises(InvalidInput, match="at least one metric"):
        evaluate(RUNS, QRELS, [])
    with pytest.raises(InvalidInput, match="metric 'f1@3' is unknown"):
        evaluate(RUNS, QRELS, ["f1@3"])


def test_a_metric_given_twice_counts_once():
    assert list(evaluate(RUNS, QRELS, ["mrr@10", "MRR@10"]).profiles["first"].metrics) == ["mrr@10"]


def test_a_run_file_has_six_columns_even_when_ids_contain_spaces(tmp_path):
    path = tmp_path / "new" / "a.run"
    write_run(path, {"q1": {"my doc#p2": 1.0, "b": 2.5, "c": 2.5}}, "two words")
    assert path.read_text() == (
        "q1 Q0 b 1 2.5 two%20words\nq1 Q0 c 2 2.5 two%20words\nq1 Q0 my%20doc#p2 3 1.0 two%20words\n"
    )


def test_a_run_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match=r"a\.run: the run cannot be written"):
        write_run(tmp_path / "file" / "a.run", {}, "t")
    with pytest.raises(InvalidInput, match="No such file"):
        read_qrels(tmp_path / "a.run")
