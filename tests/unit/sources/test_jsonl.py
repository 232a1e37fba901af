from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from opensearch_multimodal.sources import Document, Limits, Record, SourceOptions, Unreadable, discover


def write(path: Path, *lines: Any) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def read(path: Path, options: SourceOptions | None = None) -> tuple[list[Record], list[str]]:
    records, problems = [], []
    for item in discover([path], options):
        if isinstance(item, Unreadable):
            assert item.path == path
            problems.append(item.reason)
            continue
        found = [record for record in item.records() if isinstance(record, Record)]
        assert [record.id for record in found] == list(item.record_ids)
        records += found
    return records, problems


def test_a_record_keeps_its_own_id(tmp_path: Path) -> None:
    path = write(
        tmp_path / "corpus.jsonl",
        {"_id": "a", "title": "T", "text": "Body.", "year": 2020, "metadata": {"url": "u"}, "acl": "staff"},
        {"_id": 7, "text": "Other.", "root": "/etc", "path": "x", "type": "abstract"},
    )
    records, problems = read(path, SourceOptions(acl=("all",)))
    assert problems == []
    first, second = records
    assert (first.id, first.document_id, first.title, first.text) == ("a", "a", "T", "Body.")
    assert (first.page, first.modality, first.acl) == (None, "passage", ("staff",))
    assert first.metadata["year"] == 2020
    assert first.metadata["url"] == "u"
    assert (second.id, second.title, second.acl) == ("7", "", ("all",))
    assert second.metadata["root"] == str(path)
    assert second.metadata["path"] == "corpus.jsonl"
    assert second.metadata["type"] == "abstract"


def test_a_broken_line_is_reported_by_number_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"_id": "1", "text": "x"},
        "{broken",
        "",
        {"text": "no id"},
        {"_id": "2"},
        {"_id": "3", "text": 5},
        {"_id": "4", "text": "x", "acl": [1]},
        {"_id": "1", "text": "again"},
        {"_id": True, "text": "x"},
        {"_id": "x" * 5_000, "text": "x"},
        {"_id": "5", "text": "y"},
    )
    records, problems = read(path)
    assert [record.id for record in records] == ["1", "5"]
    assert problems == [
        "line 2: not valid JSON (column 2)",
        "line 4: it has no '_id'",
        "line 5: it has no 'text'",
        "line 6: text: a string is needed, not a number",
        "line 7: acl: a name or a list of names is needed",
        "line 8: a record with the same '_id' came before",
        "line 9: it has no '_id'",
        "line 10: its '_id' has 5,000 bytes, over the limit of 4,096",
    ]


def test_many_broken_lines_are_summed_up(tmp_path: Path) -> None:
    records, problems = read(write(tmp_path / "a.jsonl", *["{"] * 50, {"_id": "1", "text": "x"}))
    assert [record.id for record in records] == ["1"]
    assert len(problems) == 21
    assert problems[-1] == "30 more lines could not be read"


def test_only_very_long_records_are_split(tmp_path: Path) -> None:
    sentence = "This sentence has forty characters, yes. "
    whole, long = sentence * 400, sentence * 600
    path = write(
        tmp_path / "a.jsonl", {"_id": "whole", "text": whole}, {"_id": "long", "title": "T", "text": long}
    )
    records, _ = read(path)
    assert records[0].id == "whole"
    assert records[0].text == whole
    parts = records[1:]
    assert [part.id for part in parts] == [f"long#c{n}" for n in range(1, len(parts) + 1)]
    assert len(parts) > len(long) / 1_200
    assert all(len(part.text) <= 1_200 and part.title == "T" and part.document_id == "long" for part in parts)


def test_limits_of_a_line(tmp_path: Path) -> None:
    options = SourceOptions(limits=Limits(max_text_chars=1_000, max_file_bytes=10))
    path = write(
        tmp_path / "a.jsonl",
        {"_id": "1", "text": "x" * 1_001},
        {"_id": "2", "text": "x" * 4_000_000},
        {"_id": "3", "text": "x" * 1_000},
    )
    records, problems = read(path, options)
    assert [record.id for record in records] == ["3"]
    assert problems == [
        "line 1: 1,001 characters are over the limit of 1,000 (option max_text_chars)",
        "line 2: longer than the limit of 1,056,576 bytes (option max_text_chars)",
    ]


def test_a_last_line_without_line_end_and_crlf(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b'{"_id": "1", "text": "x"}\r\n{"_id": "2", "text": "y"}')
    records, problems = read(path)
    assert ([record.id for record in records], problems) == (["1", "2"], [])


def test_an_empty_record_is_kept_with_a_warning(tmp_path: Path) -> None:
    [record], _ = read(write(tmp_path / "a.jsonl", {"_id": "1", "text": ""}))
    assert record.warnings == ("the record is empty",)


def test_the_sidecar_of_a_jsonl_file_gives_access_and_metadata(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"_id": "1", "text": "x"})
    sidecar = tmp_path / "a.jsonl.meta.json"
    sidecar.write_text('{"acl": ["board"], "language": "de"}')
    [record], _ = read(path)
    assert record.acl == ("board",)
    assert record.metadata["language"] == "de"
    sidecar.write_text('{"title": "x"}')
    assert read(path) == (
        [],
        ["its sidecar: the records of a JSONL file have their own title and document_id"],
    )


def test_digests_follow_the_line(tmp_path: Path) -> None:
    def digests(*lines: Any) -> list[str]:
        records, _ = read(write(tmp_path / "a.jsonl", *lines))
        return [record.content_sha256 for record in records]

    first, second = {"_id": "1", "text": "x"}, {"_id": "2", "text": "y"}
    before = digests(first, second)
    assert before[0] != before[1]
    assert digests(second, first) == before[::-1]
    assert digests(first, {**second, "title": "T"})[0] == before[0]
    assert digests(first, {**second, "title": "T"})[1] != before[1]


def test_records_are_found_lazily(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *({"_id": str(n), "text": "x" * 1_000} for n in range(3_000)))
    items = discover([path])
    first = next(items)
    assert isinstance(first, Document)
    path.write_text("")  # what was not read yet is gone: only the read-ahead of the file is left
    assert sum(1 for _ in items) < 200


def test_skip(tmp_path: Path) -> None:
    [document] = discover([write(tmp_path / "a.jsonl", {"_id": "1", "text": "x"})])
    assert isinstance(document, Document)
    assert list(document.records({"1"})) == []


def test_a_part_of_a_split_record_cannot_have_the_id_of_another(tmp_path: Path) -> None:
    long = json.dumps({"_id": "x", "text": "A sentence of some length. " * 2000})
    (tmp_path / "c.jsonl").write_text(long + "\n" + json.dumps({"_id": "x#c1", "text": "short"}) + "\n")
    first, second = discover([tmp_path / "c.jsonl"])
    assert isinstance(first, Document)
    assert isinstance(second, Unreadable)
    assert "came before" in second.reason
