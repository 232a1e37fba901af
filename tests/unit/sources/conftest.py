from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib import pdfencrypt
from reportlab.pdfgen.canvas import Canvas


def write_pdf(path: Path, pages: Sequence[str], *, title: str = "", password: str = "") -> Path:
    """Write a PDF with one page per text; an empty text gives a blank page."""
    encrypt = pdfencrypt.StandardEncryption(password) if password else None
    canvas = Canvas(str(path), encrypt=encrypt, invariant=1)
    canvas.setTitle(title)
    for page in pages:
        for number, line in enumerate(page.splitlines()):
            canvas.drawString(72, 720 - 20 * number, line)
        canvas.showPage()
    canvas.save()
    return path


def raw_pdf(path: Path, objects: Sequence[bytes]) -> Path:
    """Write a PDF of the given objects, the first of them its catalogue."""
    data, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    data += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    data += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    path.write_bytes(data)
    return path


def draw_text(lines: Sequence[str], *, size: tuple[int, int] = (800, 300), font: int = 36) -> Image.Image:
    """Return a white image with lines of black text."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        draw.text((30, 30 + 2 * font * number), line, fill="black", font=ImageFont.load_default(font))
    return image


@pytest.fixture
def make_pdf(tmp_path: Path) -> Callable[..., Path]:
    return lambda name, pages, **options: write_pdf(tmp_path / name, pages, **options)


@pytest.fixture
def make_raw_pdf(tmp_path: Path) -> Callable[..., Path]:
    return lambda name, objects: raw_pdf(tmp_path / name, objects)


@pytest.fixture
def drawn() -> Callable[..., Image.Image]:
    return draw_text
