"""``osmm evaluate`` where no cluster is needed, or none is there."""

from __future__ import annotations

import socket

import pytest
from click.testing import CliRunner

from opensearch_multimodal.cli import main


@pytest.fixture
def files(tmp_path):
    queries, qrels = tmp_path / "queries.jsonl", tmp_path / "qrels.tsv"
    queries.write_text('{"_id": "q1", "text": "one"}\n')
    qrels.write_text("query-id\tcorpus-id\tscore\nq1\ta\t1\n")
    return {"queries": queries, "qrels": qrels}


@pytest.fixture
def nowhere():
    """The URL of a port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def _run(url, files, *more):
    named = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    return CliRunner().invoke(main, ["evaluate", "manuals", "--url", url, *named, *more])


def test_help_teaches_both_layouts_and_how_to_read_the_result():
    result = CliRunner().invoke(main, ["evaluate", "--help"])
    assert result.exit_code == 0
    for part in (
        "query-id<TAB>corpus-id<TAB>score",
        "q1 0 record-7 1",
        "How to read the result",
        "unlikely to be chance",
    ):
        assert part in result.output


def test_an_absent_cluster_is_a_problem_of_the_environment(files, nowhere):
    result = _run(nowhere, files)
    assert result.exit_code == 2
    assert nowhere in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--metric", "f1@10"], "metric 'f1@10' is unknown: choose from ndcg@K"),
        (["--k", "10"], "--k 10 is too small for recall@100: raise it to 100"),
        (["--metric", "ndcg@10", "--k", "5"], "--k 5 is too small for ndcg@10"),
    ],
)
def test_wrong_options_are_named_before_anything_is_asked(files, nowhere, more, complaint):
    result = _run(nowhere, files, *more)
    assert result.exit_code == 1
    assert complaint in result.stderr


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("queries", "{}\n", "queries.jsonl, line 1: '_id' must be a string"),
        ("qrels", "q1\ta\n", "qrels.tsv, line 1: expected TREC's 4 columns"),
        (
            "qrels",
            "query-id\tcorpus-id\tscore\nQ1\ta\t1\n",
            "query ids look like 'q1', judged ones like 'Q1'",
        ),
        ("queries", None, "queries.jsonl: No such file"),
    ],
)
def test_wrong_files_are_named_before_anything_is_asked(files, nowhere, name, content, complaint):
    if content is None:
        files[name].unlink()
    else:
        files[name].write_text(content)
    result = _run(nowhere, files)
    assert result.exit_code == 1
    assert complaint in result.stderr.replace("\n", "")


def test_a_place_where_no_report_can_be_written_is_named_before_anything_is_asked(files, nowhere, tmp_path):
    result = _run(nowhere, files, "--html", str(tmp_path))
    assert result.exit_code == 1
    assert "this is a folder; name a file in it" in result.stderr.replace("\n", " ")
    result = _run(nowhere, files, "--html", str(files["qrels"] / "report.html"))
    assert result.exit_code == 1
    assert "the report cannot be written here" in result.stderr.replace("\n", " ")


def test_no_report_is_left_behind_where_nothing_was_measured(files, nowhere, tmp_path):
    result = _run(nowhere, files, "--html", str(tmp_path / "report.html"))
    assert result.exit_code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["qrels.tsv", "queries.jsonl"]
