from __future__ import annotations

import json

import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.evaluation import pair, read_qrels, read_queries


def _write(folder, name, text):
    path = folder / name
    path.write_bytes(text.encode("utf-8"))
    return path


def test_queries_keep_file_order_and_ignore_blank_lines_bom_and_other_keys(tmp_path):
    path = _write(
        tmp_path,
        "q.jsonl",
        '\ufeff{"_id": "b", "text": "größe", "extra": 1}\r\n\r\n{"_id": "a", "text": "two\\nlines"}\n',
    )
    assert list(read_queries(path).items()) == [("b", "größe"), ("a", "two\nlines")]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("not json", "line 2: not JSON"),
        ("[1]", "line 2: expected a JSON object with '_id' and 'text', got list"),
        ('{"text": "x"}', "line 2: '_id' must be a string with text in it, got None"),
        ('{"_id": 7, "text": "x"}', "line 2: '_id' must be a string with text in it, got 7"),
        ('{"_id": "q2", "text": "  "}', "line 2: 'text' must be a string with text in it, got '  '"),
        ('{"_id": "q1", "text": "again"}', "line 2: query id 'q1' comes twice"),
    ],
)
def test_a_bad_query_line_is_named(tmp_path, line, complaint):
    path = _write(tmp_path, "q.jsonl", f'{{"_id": "q1", "text": "fine"}}\n{line}\n')
    with pytest.raises(InvalidInput, match=r"q\.jsonl") as caught:
        read_queries(path)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("read", [read_queries, read_qrels])
def test_missing_empty_and_binary_files_are_refused(tmp_path, read):
    with pytest.raises(InvalidInput, match="No such file"):
        read(tmp_path / "none")
    with pytest.raises(InvalidInput, match="Is a directory"):
        read(tmp_path)
    with pytest.raises(InvalidInput, match="in this file"):
        read(_write(tmp_path, "empty", "\n \n"))
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match="not UTF-8"):
        read(binary)


def test_beir_and_trec_judgements_agree(tmp_path):
    beir = _write(
        tmp_path, "b.tsv", "query-id\tcorpus-id\tscore\r\nq1\tmy doc#p3\t2\r\nq1\tx\t0\r\nq2\tx\t1\r\n"
    )
    trec = _write(tmp_path, "t.txt", "q1 0 my doc#p3 2\nq1 0 x 0\n\nq2\t0\tx\t1\n")
    expected = {"q1": {"my doc#p3": 2, "x": 0}, "q2": {"x": 1}}
    assert read_qrels(beir) == expected
    assert read_qrels(trec) == expected


def test_the_same_judgement_twice_is_harmless_but_not_two_grades(tmp_path):
    header = "query-id\tcorpus-id\tscore\n"
    assert read_qrels(_write(tmp_path, "same", header + "q\ta\t1\nq\ta\t1\n")) == {"q": {"a": 1}}
    with pytest.raises(InvalidInput, match="line 3: record 'a' is judged 2 and 1 for 'q'"):
        read_qrels(_write(tmp_path, "two", header + "q\ta\t1\nq\ta\t2\n"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("query-id\tcorpus-id\tscore\nq a 1\n", "line 2: expected 3 columns separated by tabs, got 1"),
        ("query-id\tcorpus-id\tscore\nq\ta\thigh\n", "line 2: the grade must be an integer, got 'high'"),
        ("query-id\tcorpus-id\tscore\nq\ta\t0.5\n", "line 2: the grade must be an integer, got '0.5'"),
        ("query-id\tcorpus-id\tscore\n\ta\t1\n", "line 2: the query id is empty"),
        ("query-id\tcorpus-id\tscore\nq\t\t1\n", "line 2: the record id is empty"),
        ("query-id\tcorpus-id\tscore\n", "no judgements"),
        ("q1 a 1\n", "line 1: expected TREC's 4 columns"),
        ("corpus-id\tquery-id\tscore\na\tq\t1\n", "line 1: expected TREC's 4 columns"),
    ],
)
def test_a_bad_judgement_line_is_named(tmp_path, text, complaint):
    with pytest.raises(InvalidInput) as caught:
        read_qrels(_write(tmp_path, "qrels", text))
    assert complaint in str(caught.value)


def test_pair_keeps_judged_queries_in_file_order_and_counts_the_rest():
    queries = {"q3": "c", "q1": "a", "zero": "z", "q2": "b", "free": "f"}
    qrels = {"q1": {"x": 1}, "q2": {"x": 0, "y": 2}, "q3": {"y": 1}, "zero": {"x": 0}, "gone": {"x": 1}}
    before = json.dumps([queries, qrels])
    topics = pair(queries, qrels)
    assert list(topics.texts) == list(topics.qrels) == ["q3", "q1", "q2"]
    assert topics.qrels["q2"] == {"x": 0, "y": 2}
    assert (topics.unjudged, topics.unasked) == (2, 1)
    assert list(pair(queries, qrels, limit=2).qrels) == ["q3", "q1"]
    assert json.dumps([queries, qrels]) == before


def test_pair_shows_both_kinds_of_id_when_nothing_fits():
    with pytest.raises(InvalidInput, match="query ids look like 'Q1', judged ones like '1'"):
        pair({"Q1": "a"}, {"1": {"x": 1}})
