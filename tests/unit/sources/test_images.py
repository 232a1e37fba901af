from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from opensearch_multimodal.sources import Document, Limits, Record, SourceOptions, Unreadable, discover

PLAIN = SourceOptions(ocr="off", render=True)


def read(path: Path, options: SourceOptions = PLAIN) -> list[Record | Unreadable]:
    [document] = discover([path], options)
    assert isinstance(document, Document), document
    return list(document.records())


def image_of(path: Path, options: SourceOptions = PLAIN) -> Image.Image:
    [record] = read(path, options)
    assert isinstance(record, Record), record
    assert record.image is not None
    assert record.image.mode == "RGB"
    return record.image


def refused(path: Path, options: SourceOptions = PLAIN) -> str:
    [item] = discover([path], options)
    if isinstance(item, Document):
        [item] = item.records()
    assert isinstance(item, Unreadable), item
    return item.reason


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.JPEG", "a.webp", "a.tif"])
def test_every_format_gives_one_page(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.new("RGB", (40, 20), (200, 30, 30)).save(path)
    [record] = read(path)
    assert isinstance(record, Record)
    assert (record.id, record.page, record.modality) == ("a#p1", 1, "page")
    assert (record.title, record.image_uri) == ("a", path.as_uri())
    assert record.warnings == ("no text layer, and OCR is off",)
    assert record.image is not None
    assert record.image.size == (40, 20)
    assert np.abs(np.asarray(record.image, dtype=int) - (200, 30, 30)).max() < 12


def test_no_image_where_none_is_needed(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    [record] = read(tmp_path / "a.png", SourceOptions(ocr="off"))
    assert isinstance(record, Record)
    assert record.image is None


def test_a_tiff_gives_one_page_per_frame(tmp_path: Path) -> None:
    frames = [Image.new("L", (10 + n, 10), 80 * n) for n in range(3)]
    frames[0].save(tmp_path / "scan.tiff", save_all=True, append_images=frames[1:])
    [document] = discover([tmp_path / "scan.tiff"], PLAIN)
    assert isinstance(document, Document)
    assert list(document.record_ids) == ["scan#p1", "scan#p2", "scan#p3"]
    records = [item for item in document.records({"scan#p1"}) if isinstance(item, Record)]
    assert [record.page for record in records] == [2, 3]
    assert [record.image.size for record in records if record.image] == [(11, 10), (12, 10)]
    assert [record.image.getpixel((0, 0)) for record in records if record.image] == [(80,) * 3, (160,) * 3]
    assert records[0].image_uri == (tmp_path / "scan.tiff").as_uri() + "#page=2"
    assert records[0].metadata["page_count"] == 3
    assert refused(tmp_path / "scan.tiff", SourceOptions(limits=Limits(max_pages=2))) == (
        "more frames than the limit of 2 (option max_pages)"
    )


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right by a quarter
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert image_of(tmp_path / "a.jpg").size == (20, 40)


def test_transparency_becomes_white(tmp_path: Path) -> None:
    for mode, colour in (("RGBA", (0, 0, 0, 0)), ("LA", (0, 0))):
        Image.new(mode, (4, 4), colour).save(tmp_path / "a.png")
        assert image_of(tmp_path / "a.png").getpixel((1, 1)) == (255, 255, 255)
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.save(tmp_path / "a.png", transparency=0)
    assert image_of(tmp_path / "a.png").getpixel((1, 1)) == (255, 255, 255)


def test_palette_cmyk_bilevel_and_deep_grey(tmp_path: Path) -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.save(tmp_path / "p.png")
    assert image_of(tmp_path / "p.png").getpixel((0, 0)) == (255, 0, 0)
    Image.new("CMYK", (8, 8), (0, 0, 0, 255)).save(tmp_path / "c.tif")
    assert image_of(tmp_path / "c.tif").getpixel((0, 0)) == (0, 0, 0)
    Image.new("1", (4, 4), 1).save(tmp_path / "b.tif")
    assert image_of(tmp_path / "b.tif").getpixel((0, 0)) == (255, 255, 255)
    ramp = np.array([[0, 32_768, 65_535]], dtype=np.uint16)
    Image.fromarray(ramp).save(tmp_path / "d.png")
    assert [image_of(tmp_path / "d.png").getpixel((x, 0)) for x in range(3)] == [
        (0,) * 3,
        (128,) * 3,
        (255,) * 3,
    ]
    Image.fromarray(np.array([[-1.0, 0.0, 1.0]], dtype=np.float32)).save(tmp_path / "f.tif")
    assert [image_of(tmp_path / "f.tif").getpixel((x, 0)) for x in range(3)] == [
        (0,) * 3,
        (127,) * 3,
        (255,) * 3,
    ]


def test_large_images_are_reduced(tmp_path: Path) -> None:
    Image.new("L", (8_192, 100)).save(tmp_path / "a.png")
    assert image_of(tmp_path / "a.png").size == (4_096, 50)


def bomb(path: Path, width: int, height: int) -> Path:
    """Write a PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")))
    return path


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = bomb(tmp_path / "a.png", 60_000, 60_000)
    expected = "60000 × 60000 = 3,600,000,000 pixels are over the limit of 100,000,000 (option max_pixels)"
    assert refused(path) == expected
    limit = Image.MAX_IMAGE_PIXELS
    assert "truncated" in refused(bomb(path, 9_600, 10_000))  # under our limit, over Pillow's own
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
def test_truncated_images_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    for part in (0.9, 0.5, 0.05):
        path.write_bytes(whole[: int(len(whole) * part)])
        assert refused(path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
def test_damaged_images_raise_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    for _ in range(100):
        damaged = whole.copy()
        damaged[rng.integers(0, min(len(whole), 200), 8)] = rng.integers(0, 256, 8)
        path.write_bytes(damaged.tobytes())
        [item] = discover([path], PLAIN)
        results = list(item.records()) if isinstance(item, Document) else [item]
        assert all(isinstance(result, (Record, Unreadable)) for result in results)


def test_another_format_under_a_known_name_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.gif")
    path = (tmp_path / "a.gif").rename(tmp_path / "a.png")
    assert refused(path) == "the file is damaged, or not a JPEG, PNG, WebP or TIFF image"
