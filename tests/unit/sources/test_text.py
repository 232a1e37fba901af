from __future__ import annotations

from pathlib import Path

import pytest

from opensearch_multimodal.sources import Document, Limits, Record, SourceOptions, Unreadable, discover


def read(path: Path, options: SourceOptions | None = None) -> list[Record]:
    [document] = discover([path], options)
    assert isinstance(document, Document)
    records = list(document.records())
    assert [record.id for record in records if isinstance(record, Record)] == list(document.record_ids)
    return [record for record in records if isinstance(record, Record)]


def refused(path: Path, options: SourceOptions | None = None) -> str:
    [item] = discover([path], options)
    assert isinstance(item, Unreadable)
    assert item.path == path
    return item.reason


def test_passages_of_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("One sentence stands here, and it is a long one.\r\n" * 4, encoding="utf-8-sig")
    records = read(path, SourceOptions(passage_chars=100, passage_overlap=50, acl=("staff",)))
    sentence = "One sentence stands here, and it is a long one."
    assert [record.id for record in records] == ["notes#c1", "notes#c2", "notes#c3"]
    assert {record.text for record in records} == {f"{sentence}\n{sentence}"}
    for record in records:
        assert (record.document_id, record.page, record.title) == ("notes", None, "notes")
        assert (record.modality, record.acl, record.warnings) == ("passage", ("staff",), ())
        assert record.image is None
        assert record.metadata["path"] == "notes.txt"
        assert record.metadata["root"] == str(path)
        assert record.metadata["type"] == "txt"


def test_markdown_titles_are_heading_paths(tmp_path: Path) -> None:
    path = tmp_path / "guide.md"
    path.write_text("Before.\n# Guide\nText.\n## Setup\nMore.")
    assert [record.title for record in read(path)] == ["guide", "Guide", "Guide > Setup"]
    (tmp_path / "guide.md.meta.json").write_text('{"title": "Manual"}')
    assert [record.title for record in read(path)] == ["Manual", "Manual > Guide", "Manual > Guide > Setup"]
    (tmp_path / "guide.md.meta.json").write_text('{"title": "Guide"}')
    assert [record.title for record in read(path)] == ["Guide", "Guide", "Guide > Setup"]


@pytest.mark.parametrize(
    ("data", "text", "warning"),
    [
        ("Grüße – 日本".encode(), "Grüße – 日本", None),
        ("Grüße 日本".encode("utf-16"), "Grüße 日本", None),
        ("Grüße – so".encode("cp1252"), "Grüße – so", "not valid UTF-8, read as Windows-1252"),
        ("Grüße \x81 so".encode("latin-1"), "Grüße \x81 so", "not valid UTF-8, read as Latin-1"),
    ],
)
def test_encodings(tmp_path: Path, data: bytes, text: str, warning: str | None) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    [record] = read(path)
    assert record.text == text
    assert record.warnings == ((warning,) if warning else ())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b" \n \n", "the file holds no text"),
        (b"abc\0def", "it holds zero bytes"),
        (bytes(range(1, 32)) * 10, "it holds control characters"),
        (b"\xff\xfea", "not valid UTF-16"),
    ],
)
def test_what_is_not_text_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    assert reason in refused(path)


def test_size_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("x" * 100)
    assert "100 bytes" in refused(path, SourceOptions(limits=Limits(max_file_bytes=99)))


def test_skipped_passages_are_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("A sentence of some length, surely above fifty characters. " * 3)
    [document] = discover([path], SourceOptions(passage_chars=70, passage_overlap=0))
    assert isinstance(document, Document)
    assert [record.id for record in document.records({"a#c1", "a#c3"}) if isinstance(record, Record)] == [
        "a#c2"
    ]


def test_a_file_that_vanishes_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    [document] = discover([path])
    assert isinstance(document, Document)
    path.unlink()
    assert list(document.records()) == [Unreadable(path, "the file does not exist any more")]


def test_the_digest_follows_content_and_passage_size(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")

    def digest(options: SourceOptions) -> str:
        [document] = discover([path], options)
        assert isinstance(document, Document)
        return document.content_sha256

    base = digest(SourceOptions())
    assert digest(SourceOptions(dpi=72, ocr="off", render=True)) == base
    assert digest(SourceOptions(passage_chars=900)) != base
    assert digest(SourceOptions(passage_overlap=100)) != base
    path.write_text("other")
    assert digest(SourceOptions()) != base
