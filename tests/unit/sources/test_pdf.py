from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from opensearch_multimodal.sources import Document, Limits, Record, SourceOptions, Unreadable, discover
from opensearch_multimodal.sources.pdf import page_text

MakePdf = Callable[..., Path]
WORDS = "Enough words on this page for a text layer"
NO_OCR = SourceOptions(ocr="off")


def open_one(path: Path, options: SourceOptions = NO_OCR) -> Document:
    [document] = discover([path], options)
    assert isinstance(document, Document), document
    return document


def read(path: Path, options: SourceOptions = NO_OCR) -> list[Record | Unreadable]:
    return list(open_one(path, options).records())


def pages(path: Path, options: SourceOptions = NO_OCR) -> list[Record]:
    items = read(path, options)
    assert all(isinstance(item, Record) for item in items), items
    return [item for item in items if isinstance(item, Record)]


def refused(path: Path, options: SourceOptions = NO_OCR) -> str:
    [item] = discover([path], options)
    assert isinstance(item, Unreadable)
    return item.reason


def test_one_record_per_page(make_pdf: MakePdf) -> None:
    path = make_pdf("report.pdf", [f"{WORDS} one", f"{WORDS} two\nand a second line"], title="Annual Report")
    first, second = pages(path)
    assert [first.id, second.id] == ["report#p1", "report#p2"] == list(open_one(path).record_ids)
    assert first.text == f"{WORDS} one"
    assert second.text == f"{WORDS} two\nand a second line"
    for number, record in enumerate((first, second), start=1):
        assert (record.page, record.title, record.modality) == (number, "Annual Report", "page")
        assert record.metadata["page_count"] == 2
        assert record.metadata["type"] == "pdf"
        assert record.image_uri == f"{path.as_uri()}#page={number}"
        assert (record.image, record.warnings) == (None, ())


@pytest.mark.parametrize("title", ["", "untitled", "0001018724-18-000005", " "])
def test_a_title_that_says_nothing_gives_way_to_the_name(make_pdf: MakePdf, title: str) -> None:
    assert pages(make_pdf("q3 report.pdf", [WORDS], title=title))[0].title == "q3 report"


def test_the_page_image_has_the_wanted_resolution(make_pdf: MakePdf) -> None:
    [record] = pages(make_pdf("a.pdf", [WORDS]), SourceOptions(ocr="off", render=True, dpi=72))
    assert record.image is not None
    assert record.image.mode == "RGB"
    assert record.image.size == (596, 842)  # A4 is 595.28 × 841.89 points of 1/72 inch
    assert record.image.getextrema() == ((0, 255),) * 3


def test_pages_without_text_are_kept_with_a_warning(
    make_pdf: MakePdf, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_pdf("a.pdf", [WORDS, "3", ""])
    assert [record.warnings for record in pages(path)] == [(), *[("no text layer, and OCR is off",)] * 2]
    assert [record.text for record in pages(path)] == [WORDS, "3", ""]
    monkeypatch.setattr("opensearch_multimodal.sources.ocr.available", lambda: False)
    assert [record.warnings for record in pages(path, SourceOptions())] == [
        (),
        *[("no text layer, and OCR needs the extra 'ocr'",)] * 2,
    ]


def test_skipped_pages_are_not_read(make_pdf: MakePdf) -> None:
    document = open_one(make_pdf("a.pdf", [WORDS] * 3))
    assert [item.id for item in document.records({"a#p1", "a#p3"}) if isinstance(item, Record)] == ["a#p2"]
    document.path.unlink()
    assert list(document.records(set(document.record_ids))) == []


def test_protected_truncated_and_fake_files_are_refused(make_pdf: MakePdf, tmp_path: Path) -> None:
    assert refused(make_pdf("locked.pdf", [WORDS], password="secret")) == "the PDF is protected by a password"
    whole = make_pdf("whole.pdf", [WORDS]).read_bytes()
    cases = {"cut.pdf": whole[: len(whole) // 3], "fake.pdf": b"<html>", "zeros.pdf": bytes(1_000)}
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        assert refused(tmp_path / name) == "the file is damaged, or not a PDF"


def test_a_pdf_without_pages_is_refused(make_raw_pdf: MakePdf) -> None:
    path = make_raw_pdf(
        "none.pdf", [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [] /Count 0 >>"]
    )
    assert refused(path) in ("the PDF has no pages", "the file is damaged, or not a PDF")


def page_of(content: int, resources: bytes = b"") -> bytes:
    return b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents %d 0 R /Resources << %s >> >>" % (
        content,
        resources,
    )


def stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), entries, data)


def test_a_broken_page_is_named_and_the_others_follow(make_raw_pdf: MakePdf) -> None:
    font = b"/Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>"
    text = stream(b"BT /F 12 Tf 20 200 Td (%s) Tj ET" % WORDS.encode())
    path = make_raw_pdf(
        "broken.pdf",
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R 9 0 R 4 0 R] /Count 3 >>",
            page_of(5, font),
            page_of(5, font),
            text,
        ],
    )
    first, second, third = read(path)
    assert isinstance(first, Record)
    assert second == Unreadable(path, "page 2: the page cannot be loaded")
    assert isinstance(third, Record)
    assert [first.id, third.id] == ["broken#p1", "broken#p3"]
    assert first.text == third.text == WORDS


def test_a_huge_image_in_a_page_is_refused_before_it_is_decoded(make_raw_pdf: MakePdf) -> None:
    entries = (
        b"/Type /XObject /Subtype /Image /Width 30000 /Height 30000 /ColorSpace /DeviceGray "
        b"/BitsPerComponent 8 /Filter /FlateDecode"
    )
    path = make_raw_pdf(
        "bomb.pdf",
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            page_of(4, b"/XObject << /I 5 0 R >>"),
            stream(b"300 0 0 300 0 0 cm /I Do"),
            stream(zlib.compress(bytes(1_000)), entries),
        ],
    )
    for options in (SourceOptions(ocr="off", render=True), SourceOptions(ocr="auto")):
        assert read(path, options) == [
            Unreadable(
                path,
                "page 1: an image of 30000 × 30000 = 900,000,000 pixels is over the limit of 100,000,000 "
                "(option max_pixels)",
            )
        ]
    assert len(pages(path)) == 1  # not rendered, so nothing is decoded


def test_limits(make_pdf: MakePdf) -> None:
    path = make_pdf("a.pdf", [WORDS] * 3)
    limits = Limits(max_pages=2)
    assert refused(path, SourceOptions(limits=limits)) == "3 pages are over the limit of 2 (option max_pages)"
    limits = Limits(max_text_chars=10)
    assert read(path, SourceOptions(ocr="off", limits=limits))[0] == Unreadable(
        path, f"page 1: {len(WORDS)} characters are over the limit of 10 (option max_text_chars)"
    )
    limits = Limits(max_pixels=1_000)
    assert read(path, SourceOptions(ocr="off", render=True, dpi=72, limits=limits))[0] == Unreadable(
        path,
        "page 1: 596 × 842 = 501,832 pixels are over the limit of 1,000 (option max_pixels, or a lower dpi)",
    )


def test_the_digest_counts_the_resolution_only_where_pages_are_rendered(make_pdf: MakePdf) -> None:
    path = make_pdf("a.pdf", [WORDS])

    def digest(**options: object) -> str:
        return open_one(path, SourceOptions(**options)).content_sha256  # type: ignore[arg-type]

    assert digest(dpi=150) == digest(dpi=72) == digest(passage_chars=500)
    assert digest(dpi=150, render=True) != digest(dpi=72, render=True)
    assert digest(ocr="auto") != digest(ocr="off")


def test_text_of_a_page_is_made_plain() -> None:
    assert page_text("A  line \r\n\r\n\r\n\r\nnext\tone\r\n") == "A line\n\nnext one"
    assert page_text("e\ufb03cient \ufb02ow") == "efficient flow"
    assert page_text("the ab\ufffesence of ev-\r\nidence or a soft\u00adhyphen") == (
        "the absence of evidence or a softhyphen"
    )
    assert page_text("a question\ufffeanswering task: question and answering") == (
        "a question-answering task: question and answering"
    )
    assert page_text("2015\ufffe2016 and x\x00y") == "2015-2016 and xy"
    assert page_text("re-\nread, reread, read re") == "reread, reread, read re"
