"""A slide deck saved as images: nothing in the file but pixels, so that only OCR can read it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from .layout import AMBER, INK, MUTED, SLATE, TEAL, render

__all__ = ["write_deck"]

_SIZE = (960.0, 540.0)
_DPI = 100
_PALE = HexColor("#eef3f6")


def write_deck(folder: Path) -> None:
    """Write ``field-safety.pdf``: four slides, each one a JPEG."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    canvas = Canvas(drawn, pagesize=_SIZE, invariant=1)
    for slide in (_cover, _thunder, _lifting, _injuries):
        slide(canvas)
        canvas.showPage()
    canvas.save()

    deck = Canvas(str(folder / "field-safety.pdf"), pagesize=_SIZE, invariant=1)
    deck.setTitle("Spring safety training")
    deck.setAuthor("Tarnwick Instruments")
    for image in render(drawn.getvalue(), _DPI):
        photograph = io.BytesIO()
        image.save(photograph, "JPEG", quality=70, optimize=True)
        deck.drawImage(ImageReader(photograph), 0, 0, *_SIZE)
        deck.showPage()
    deck.save()


def _cover(canvas: Canvas) -> None:
    canvas.setFillColor(SLATE)
    canvas.rect(0, 0, *_SIZE, stroke=0, fill=1)
    canvas.setFillColor(TEAL)
    canvas.rect(0, 0, 960, 96, stroke=0, fill=1)
    _write(canvas, 70, 330, "Safe in the field", 54, white, bold=True)
    _write(canvas, 70, 278, "Spring training for fitters, two hours", 26, HexColor("#cfdde6"))
    _write(canvas, 70, 40, "Tarnwick Instruments, April 2025", 20, white)


def _thunder(canvas: Canvas) -> None:
    _frame(canvas, "Thunder: leave the mast", 2)
    steps = (
        ("See the flash", "Count the seconds until you hear it."),
        ("Under 30 seconds?", "Tools down. Go to the van, close windows and doors."),
        ("Wait 30 minutes", "after the last thunder before you go back to the mast."),
    )
    for n, (lead, rest) in enumerate(steps):
        top = 370 - 100 * n
        canvas.setFillColor(_PALE)
        canvas.roundRect(60, top - 34, 840, 84, 10, stroke=0, fill=1)
        canvas.setFillColor(AMBER)
        canvas.circle(110, top + 8, 25, stroke=0, fill=1)
        _write(canvas, 102, top - 1, str(n + 1), 26, white, bold=True)
        _write(canvas, 160, top + 14, lead, 25, SLATE, bold=True)
        _write(canvas, 160, top - 16, rest, 22, INK)
    _write(canvas, 60, 78, "A tree is no shelter. Neither is a steel fence.", 20, MUTED)


def _lifting(canvas: Canvas) -> None:
    _frame(canvas, "Lifting and carrying", 3)
    rows = (
        ("Load", "Who", "How"),
        ("up to 20 kg", "one person", "close to the body, bent knees"),
        ("20 to 40 kg", "two persons", "one of them gives the word"),
        ("over 40 kg", "nobody", "trolley, winch or crane"),
    )
    for n, row in enumerate(rows):
        y = 372 - 62 * n
        canvas.setFillColor(SLATE if n == 0 else _PALE if n % 2 else white)
        canvas.rect(60, y - 20, 840, 60, stroke=0, fill=1)
        for x, words in zip((84, 300, 510), row, strict=True):
            _write(canvas, x, y + 2, words, 23, white if n == 0 else INK, bold=n == 0 or x == 84)
    _write(canvas, 60, 110, "Concrete sets your back, not your pride: ask for help.", 21, MUTED)


def _injuries(canvas: Canvas) -> None:
    _frame(canvas, "What hurt us, 2021 to 2025", 4)
    bars: Sequence[tuple[str, int, Color]] = (
        ("Falls from ladders", 13, AMBER),
        ("Cuts from sheet metal", 8, TEAL),
        ("Road accidents", 5, TEAL),
        ("Strained backs", 4, TEAL),
        ("Insect stings", 2, TEAL),
    )
    for n, (cause, count, colour) in enumerate(bars):
        y = 374 - 58 * n
        _write(canvas, 60, y + 8, cause, 22, INK)
        canvas.setFillColor(colour)
        canvas.rect(330, y, 38 * count, 34, stroke=0, fill=1)
        _write(canvas, 342 + 38 * count, y + 8, str(count), 23, INK, bold=True)
    _write(canvas, 60, 84, "Injuries of field crews that needed a doctor", 20, MUTED)


def _frame(canvas: Canvas, title: str, number: int) -> None:
    canvas.setFillColor(white)
    canvas.rect(0, 0, *_SIZE, stroke=0, fill=1)
    canvas.setFillColor(TEAL)
    canvas.rect(0, 452, 16, 60, stroke=0, fill=1)
    _write(canvas, 60, 468, title, 38, SLATE, bold=True)
    _write(canvas, 60, 28, "Safe in the field", 15, MUTED)
    _write(canvas, 890, 28, str(number), 15, MUTED)


def _write(
    canvas: Canvas, x: float, y: float, words: str, size: float, colour: Color, *, bold: bool = False
) -> None:
    canvas.setFont("Helvetica-Bold" if bold else "Helvetica", size)
    canvas.setFillColor(colour)
    canvas.drawString(x, y, words)
