from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import rapidocr.utils.download_file
from PIL import Image

from opensearch_multimodal.errors import MissingExtra
from opensearch_multimodal.sources import Document, Record, SourceOptions, discover, ocr

Drawn = Callable[..., Image.Image]
LINES = ["Quarterly revenue grew", "by 12.5 percent in 2023"]


def test_text_is_read_in_order_with_its_spaces(drawn: Drawn) -> None:
    assert ocr.recognise(drawn(LINES)) == "\n".join(LINES)


def test_it_works_without_network_and_says_nothing(
    drawn: Drawn, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        pytest.fail("it went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(rapidocr.utils.download_file.DownloadFile, "run", refuse)
    ocr._engine.cache_clear()
    assert ocr.recognise(drawn(LINES), threads=1) == "\n".join(LINES)
    assert capfd.readouterr() == ("", "")


def test_the_image_stays_as_it_is(drawn: Drawn) -> None:
    image = drawn(LINES)
    before = image.tobytes()
    ocr.recognise(image)
    assert image.tobytes() == before


@pytest.mark.parametrize("size", [(1, 1), (7, 900), (8, 900), (900, 8), (20, 20)])
def test_strange_sizes_are_no_problem(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    assert isinstance(ocr.recognise(Image.fromarray(noise)), str)


def test_blank_pages_and_pictures_without_text() -> None:
    assert ocr.read_page(Image.new("RGB", (500, 500), "ivory"), SourceOptions()) == ("", ())
    gradient = np.tile(np.linspace(0, 255, 256, dtype=np.uint8)[None, :, None], (256, 1, 3))
    assert ocr.read_page(Image.fromarray(gradient), SourceOptions()) == ("", ("OCR found no text",))


def test_an_engine_that_fails_is_a_warning(drawn: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> NoReturn:
        raise RuntimeError("content of the page")

    monkeypatch.setattr(ocr, "recognise", fail)
    assert ocr.read_page(drawn(LINES), SourceOptions()) == ("", ("OCR failed (RuntimeError)",))


def test_rows_go_from_top_to_bottom_and_left_to_right() -> None:
    def box(left: float, top: float, width: float, height: float) -> list[list[float]]:
        right, bottom = left + width, top + height
        return [[left, top], [right, top], [right, bottom], [left, bottom]]

    boxes = [
        box(300, 12, 80, 20),
        box(10, 10, 80, 20),
        box(10, 50, 80, 20),
        box(150, 46, 80, 20),
        box(0, 0, 8, 300),
    ]
    texts = ["right ", "left", "below", "beside", "axis"]
    assert ocr._in_rows(np.array(boxes, dtype=np.float32), texts) == "left right\nbelow beside\naxis"


def test_the_size_for_ocr_is_bounded_whatever_the_shape() -> None:
    for width, height in ((595, 842), (720, 405), (100, 20_000), (1, 1e6), (14_400, 14_400)):
        scale = ocr.scale_for(width, height)
        assert width * scale * height * scale <= 1.2e6 * 1.001
        assert max(width, height) * scale <= 4_096 * 1.001


def test_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    auto, off, force = SourceOptions(), SourceOptions(ocr="off"), SourceOptions(ocr="force")
    assert [ocr.effective_mode(options) for options in (auto, off, force)] == ["auto", "off", "force"]
    assert [ocr.wanted(auto, has_text=True), ocr.wanted(auto, has_text=False)] == [False, True]
    assert [ocr.wanted(force, has_text=True), ocr.wanted(off, has_text=False)] == [True, False]
    monkeypatch.setattr(ocr, "available", lambda: False)
    assert [ocr.effective_mode(options) for options in (auto, off)] == ["missing", "off"]
    assert not ocr.wanted(auto, has_text=False)
    with pytest.raises(MissingExtra, match=r"opensearch-multimodal\[ocr\]"):
        ocr.effective_mode(force)


def test_forced_ocr_without_the_extra_fails_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("x")
    monkeypatch.setattr(ocr, "available", lambda: False)
    with pytest.raises(MissingExtra):
        discover([tmp_path], SourceOptions(ocr="force"))


def texts(path: Path, options: SourceOptions) -> list[Record]:
    [document] = discover([path], options)
    assert isinstance(document, Document)
    return [item for item in document.records() if isinstance(item, Record)]


def test_only_pages_without_text_layer_are_recognised(
    tmp_path: Path, drawn: Drawn, make_pdf: Callable[..., Path]
) -> None:
    path = tmp_path / "scan.pdf"
    drawn(LINES).save(path, resolution=100)
    [scanned] = texts(path, SourceOptions())
    assert scanned.text == "\n".join(LINES)
    assert scanned.metadata["text_source"] == "ocr"
    assert (scanned.warnings, scanned.image) == ((), None)

    words = "Enough words on this page for a text layer"
    layered = make_pdf("layer.pdf", [words])
    assert "text_source" not in texts(layered, SourceOptions())[0].metadata
    [forced] = texts(layered, SourceOptions(ocr="force"))
    assert forced.metadata["text_source"] == "ocr"
    assert forced.text == words


def test_image_files_are_recognised(tmp_path: Path, drawn: Drawn) -> None:
    drawn(LINES).save(tmp_path / "slide.png")
    [record] = texts(tmp_path / "slide.png", SourceOptions(ocr_threads=1))
    assert record.text == "\n".join(LINES)
