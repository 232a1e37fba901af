"""Images to try preprocessing on: real pages, odd shapes, every mode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

DOCUMENTS = Path(__file__).parents[2] / "ingest" / "sample" / "documents"

PAGES = {
    "manuals/skua-400.pdf": (0, 3),
    "reports/annual-report-2025.pdf": (1,),
    "training/field-safety.pdf": (0,),
    "bulletins/sb-031.pdf": (0,),
}
"""PDF → pages, portrait and landscape, text and charts."""

SHAPES = (
    (1, 1),
    (2, 3),
    (13, 11),
    (27, 29),
    (28, 28),
    (223, 224),
    (224, 224),
    (225, 224),
    (336, 337),
    (363, 364),
    (364, 365),
    (448, 448),
    (640, 480),
    (511, 1023),
    (1, 190),
    (190, 1),
    (7, 900),
    (1200, 9),
    (2000, 80),
    (60, 1900),
    (1457, 1455),
    (1024, 768),
)
"""(width, height): tiny, very wide, very tall, one pixel off what models read."""

ORIENTATION = 0x0112


def pages(dpi: float = 100) -> Iterator[tuple[str, Image.Image]]:
    """Yield (name, image) of pages of the sample documents."""
    import pypdfium2

    for name, numbers in PAGES.items():
        with pypdfium2.PdfDocument(DOCUMENTS / name) as document:
            for number in numbers:
                yield f"{name}#{number + 1}", document[number].render(scale=dpi / 72).to_pil().convert("RGB")
    with Image.open(DOCUMENTS / "scans" / "calibration-certificate.jpg") as scan:
        yield "scan", scan.convert("RGB")


def drawn(width: int, height: int, seed: int = 0) -> Image.Image:
    """Return an image with a gradient, noise and lines, the same on every machine."""
    rng = np.random.default_rng(seed)
    across, down = np.linspace(0, 255, width), np.linspace(255, 0, height)
    values = np.stack(
        [np.broadcast_to(across, (height, width)), np.broadcast_to(down[:, None], (height, width))], axis=-1
    )
    noise = rng.integers(0, 256, (height, width, 1))
    image = Image.fromarray(np.concatenate([values, noise], axis=-1).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for line in range(0, height, 17):
        pen.line((0, line, width - 1 - line % max(1, width), line), fill=(line % 256, 40, 90), width=2)
    return image


def shapes() -> Iterator[tuple[str, Image.Image]]:
    """Yield (name, image) of every shape."""
    for number, (width, height) in enumerate(SHAPES):
        yield f"{width}x{height}", drawn(width, height, number)


def modes() -> Iterator[tuple[str, Image.Image]]:
    """Yield (name, image) of every mode that a file may have."""
    colour = drawn(150, 110, 7)
    fade = Image.linear_gradient("L").resize(colour.size)
    yield "grey", colour.convert("L")
    yield "bilevel", colour.convert("1")
    yield "palette", colour.quantize(32)
    transparent = colour.quantize(32)
    transparent.info["transparency"] = 3
    yield "palette with transparency", transparent
    rgba = colour.copy()
    rgba.putalpha(fade)
    yield "rgba", rgba
    yield "grey with alpha", rgba.convert("LA")
    yield "cmyk", colour.convert("CMYK")
    keyed = colour.copy()
    keyed.info["transparency"] = keyed.getpixel((5, 5))
    yield "rgb with a transparent colour", keyed


def turned() -> Iterator[tuple[str, Image.Image]]:
    """Yield (name, image) of every EXIF orientation."""
    for orientation in range(1, 9):
        image = drawn(120, 75, 9)
        image.getexif()[ORIENTATION] = orientation
        yield f"orientation {orientation}", image


def everything() -> Iterator[tuple[str, Image.Image]]:
    """Yield all of them."""
    yield from pages()
    yield from shapes()
    yield from modes()
    yield from turned()
