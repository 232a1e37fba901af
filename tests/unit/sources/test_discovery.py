from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.sources import Document, SourceOptions, Unreadable, count, discover


def found(*paths: Path) -> tuple[list[str], list[Unreadable]]:
    ids, problems = [], []
    for item in discover(paths, SourceOptions(ocr="off")):
        if isinstance(item, Document):
            ids.append(item.document_id)
        else:
            problems.append(item)
    return ids, problems


@pytest.fixture
def folder(tmp_path: Path, make_pdf: Callable[..., Path]) -> Path:
    root = tmp_path / "docs"
    (root / "sub").mkdir(parents=True)
    make_pdf("docs/report.v2.pdf", ["one", "two"])
    Image.new("RGB", (8, 8)).save(root / "sub/photo.jpg")
    (root / "sub/notes.md").write_text("# Notes\nText.")
    (root / "lines.jsonl").write_text('{"_id": "j1", "text": "x"}\n{"_id": "j2", "text": "y"}\n')
    return root


def test_ids_are_relative_paths_without_suffix(folder: Path) -> None:
    assert found(folder) == (["j1", "j2", "report.v2", "sub/notes", "sub/photo"], [])
    assert found(folder / "report.v2.pdf") == (["report.v2"], [])
    assert found(folder / "sub", folder / "report.v2.pdf") == (["notes", "photo", "report.v2"], [])


def test_the_order_and_the_digests_are_the_same_every_time(folder: Path) -> None:
    first = [item for item in discover([folder], SourceOptions(ocr="off")) if isinstance(item, Document)]
    again = [item for item in discover([folder], SourceOptions(ocr="off")) if isinstance(item, Document)]
    assert [item.content_sha256 for item in first] == [item.content_sha256 for item in again]
    assert len({item.content_sha256 for item in first}) == len(first)


def test_relative_paths_and_repeated_roots(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    ids, problems = found(Path("sub"), Path("./sub"), folder / "sub")
    assert (ids, problems) == (["notes", "photo"], [])
    [first, *_] = discover([Path("sub")])
    assert isinstance(first, Document)
    assert first.root == folder / "sub"
    assert first.path == folder / "sub/notes.md"


def test_a_file_under_two_roots_is_taken_once(folder: Path) -> None:
    ids, _ = found(folder, folder / "sub")
    assert ids == ["j1", "j2", "report.v2", "sub/notes", "sub/photo"]


def test_a_clash_names_both_files_before_anything_is_read(folder: Path) -> None:
    (folder / "report.v2.txt").write_text("x")
    with pytest.raises(InvalidInput) as caught:
        discover([folder])
    assert str(folder / "report.v2.pdf") in str(caught.value)
    assert str(folder / "report.v2.txt") in str(caught.value)
    (folder / "report.v2.txt.meta.json").write_text('{"document_id": "report text"}')
    assert "report text" in found(folder)[0]


def test_a_clash_of_two_roots(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(name)
    with pytest.raises(InvalidInput, match=r"document id 'a': both .*one.* and .*two"):
        discover([tmp_path / "one", tmp_path / "two"])
    assert found(tmp_path)[0] == ["one/a", "two/a"]


def test_a_jsonl_id_that_a_file_has_is_refused(tmp_path: Path) -> None:
    (tmp_path / "z.txt").write_text("x")
    lines = ["z", "z#c1", "z#x", "y#c1"]
    (tmp_path / "a.jsonl").write_text("".join(f'{{"_id": "{name}", "text": "x"}}\n' for name in lines))
    ids, problems = found(tmp_path)
    assert ids == ["z#x", "y#c1", "z"]
    assert [problem.reason for problem in problems] == [
        f"line {number}: its '_id' is also the id of the file {tmp_path / 'z.txt'}" for number in (1, 2)
    ]


def test_the_same_jsonl_id_in_two_files(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text('{"_id": "1", "text": "x"}\n')
    ids, problems = found(tmp_path)
    assert ids == ["1"]
    assert problems == [Unreadable(tmp_path / "b.jsonl", "line 1: a record with the same '_id' came before")]


def test_other_types_are_a_note_and_office_files_are_refused_by_name(folder: Path) -> None:
    for name in ("a.csv", "b.csv", "c.zip", "README", "letter.docx", "page.HTML"):
        (folder / name).write_text("x")
    ids, problems = found(folder)
    assert len(ids) == 5
    assert [(problem.path.name, problem.error) for problem in problems] == [
        ("letter.docx", True),
        ("page.HTML", True),
        ("docs", False),
    ]
    assert "convert it to PDF" in problems[0].reason
    assert problems[2].reason == (
        "left out 4 files of a type that is not supported: .csv (2), without suffix (1), .zip (1)"
    )


def test_a_file_of_another_type_that_was_named_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")
    [problem] = found(tmp_path / "a.csv")[1]
    assert problem.error
    assert problem.reason.startswith("not a supported type: what is read is .jpeg .jpg .jsonl .markdown .md")


def test_missing_and_empty_paths(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"path: .*nowhere does not exist"):
        discover([tmp_path / "nowhere"])
    with pytest.raises(InvalidInput, match="nothing to ingest"):
        discover([tmp_path])
    with pytest.raises(InvalidInput, match="nothing to ingest"):
        discover([])


def test_a_broken_sidecar_costs_its_file_only(folder: Path) -> None:
    (folder / "report.v2.pdf.meta.json").write_text("{")
    ids, problems = found(folder)
    assert "report.v2" not in ids
    assert len(ids) == 4
    assert problems == [Unreadable(folder / "report.v2.pdf", "its sidecar: not valid JSON (column 2)")]


def test_a_broken_file_among_good_ones(folder: Path) -> None:
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    ids, problems = found(folder)
    assert len(ids) == 5
    assert problems == [Unreadable(folder / "broken.pdf", "the file is damaged, or not a PDF")]


def test_a_file_that_vanishes_before_its_turn(folder: Path) -> None:
    items = discover([folder], SourceOptions(ocr="off"))
    (folder / "sub/photo.jpg").unlink()
    assert list(items)[-1] == Unreadable(folder / "sub/photo.jpg", "the file does not exist any more")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read(folder: Path) -> None:
    for name in ("report.v2.pdf", "sub/photo.jpg", "sub/notes.md", "lines.jsonl"):
        (folder / name).chmod(0)
    ids, problems = found(folder)
    assert ids == []
    assert {problem.reason for problem in problems} == {"permission denied"}


def test_names_in_any_script_and_form(tmp_path: Path) -> None:
    (tmp_path / "cafe\u0301.txt").write_text("x")  # decomposed, as macOS writes it
    (tmp_path / "日本 #1.txt").write_text("x")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/f\xff.txt")).write_text("x")
    ids, problems = found(tmp_path)
    assert (sorted(ids), problems) == (sorted(["caf\u00e9", "日本 #1", "f\\xff"]), [])


def test_count_is_about_right_and_reads_little(folder: Path) -> None:
    assert count([folder]) == 2 + 1 + 1 + 2
    (folder / "long.txt").write_text("A sentence of forty-five characters is here. " * 2_000)
    records = sum(len(item.record_ids) for item in discover([folder]) if isinstance(item, Document))
    assert records / 1.5 < count([folder]) < records * 1.5
    (folder / "broken.pdf").write_text("x")
    assert count([folder / "broken.pdf"]) == 0


def test_count_extrapolates_long_jsonl_files(tmp_path: Path) -> None:
    line = '{"_id": "0000000", "text": "' + "x" * 972 + '"}\n'
    (tmp_path / "a.jsonl").write_text(line * 9_000)
    assert len(line) == 1_003
    assert abs(count([tmp_path]) - 9_000) < 10
