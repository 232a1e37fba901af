"""The house style of the sample: page templates, tables, charts, and images made from pages."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pypdfium2
from PIL import Image
from reportlab.graphics.charts.barcharts import HorizontalBarChart, VerticalBarChart
from reportlab.graphics.charts.lineplots import LinePlot
from reportlab.graphics.shapes import Drawing, Rect, String
from reportlab.graphics.widgets.markers import makeMarker
from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.pagesizes import B5
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    KeepTogether,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
)

__all__ = [
    "AMBER",
    "INK",
    "MUTED",
    "SLATE",
    "TEAL",
    "bar_chart",
    "grouped_bar_chart",
    "heading",
    "line_chart",
    "note",
    "numbered",
    "render",
    "table",
    "text",
    "title",
    "write_pdf",
]

INK = HexColor("#1d2733")
MUTED = HexColor("#5c6b7a")
SLATE = HexColor("#21405f")
TEAL = HexColor("#2b8592")
AMBER = HexColor("#d9932b")
_PALE = HexColor("#eef3f6")
_RULE = HexColor("#c8d3db")
_BARS = (SLATE, TEAL)
_LINES = (SLATE, AMBER)

_MARGIN = 17 * mm
_WIDTH = B5[0] - 2 * _MARGIN

_BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=10, leading=14.5, textColor=INK, spaceAfter=7)
_TITLE = ParagraphStyle("title", _BODY, fontName="Helvetica-Bold", fontSize=21, leading=26, textColor=SLATE)
_HEADING = ParagraphStyle(
    "heading", _BODY, fontName="Helvetica-Bold", fontSize=13, leading=17, textColor=SLATE, spaceBefore=8
)
_CELL = ParagraphStyle("cell", _BODY, fontSize=9.3, leading=12, spaceAfter=0)
_NUMBER = ParagraphStyle("number", _CELL, alignment=2)
_HEAD = ParagraphStyle("head", _CELL, fontName="Helvetica-Bold", textColor=white)
_HEAD_NUMBER = ParagraphStyle("head-number", _HEAD, alignment=2)
_NOTE = ParagraphStyle(
    "note", _BODY, backColor=HexColor("#fdf4e3"), borderColor=AMBER, borderWidth=0.8, borderPadding=7,
    leftIndent=8, rightIndent=8, spaceBefore=18, spaceAfter=16,
)  # fmt: skip


def title(words: str, subtitle: str) -> list[Flowable]:
    """Return the large title of a document's first page."""
    small = ParagraphStyle("subtitle", _BODY, fontSize=11.5, leading=15, textColor=MUTED, spaceAfter=14)
    return [Paragraph(words, _TITLE), Spacer(1, 4), Paragraph(subtitle, small)]


def heading(words: str) -> Flowable:
    """Return a section heading."""
    return Paragraph(words, _HEADING)


def text(words: str) -> Flowable:
    """Return a paragraph of running text."""
    return Paragraph(words, _BODY)


def note(words: str) -> Flowable:
    """Return a boxed warning."""
    return Paragraph(words, _NOTE)


def numbered(items: Sequence[str]) -> list[Flowable]:
    """Return numbered steps."""
    step = ParagraphStyle("step", _BODY, leftIndent=16, bulletIndent=0, spaceAfter=4)
    return [Paragraph(item, step, bulletText=f"{n}.") for n, item in enumerate(items, 1)] + [Spacer(1, 5)]


def table(rows: Sequence[Sequence[str]], widths: Sequence[float], *, numbers: Sequence[int] = ()) -> Flowable:
    """Return a table whose first row is its head.

    Args:
        rows: the cells' text, head included.
        widths: the columns' shares of the page width; they are scaled to fill it.
        numbers: the columns whose cells are set flush right.
    """

    def cell(row: int, column: int, words: str) -> Paragraph:
        if row == 0:
            return Paragraph(words, _HEAD_NUMBER if column in numbers else _HEAD)
        return Paragraph(words, _NUMBER if column in numbers else _CELL)

    scale = _WIDTH / sum(widths)
    return Table(
        [[cell(r, c, words) for c, words in enumerate(row)] for r, row in enumerate(rows)],
        colWidths=[width * scale for width in widths],
        spaceBefore=4,
        spaceAfter=12,
        style=[
            ("BACKGROUND", (0, 0), (-1, 0), SLATE),
            ("ROWBACKGROUNDS", (0, 1), (-1, -1), [white, _PALE]),
            ("LINEBELOW", (0, 1), (-1, -1), 0.5, _RULE),
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
            ("TOPPADDING", (0, 0), (-1, -1), 4),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
        ],
    )


def bar_chart(
    caption: str, categories: Sequence[str], values: Sequence[float], *, axis: str, horizontal: bool = False
) -> Flowable:
    """Return a bar chart that writes each value at its bar; ``axis`` says what the values count."""
    chart = HorizontalBarChart() if horizontal else VerticalBarChart()
    drawing = _chart_frame(caption, axis)
    _fill(drawing, chart, categories, [values])
    chart.bars[0].fillColor = TEAL
    if horizontal:
        chart.x, chart.width = 150, _WIDTH - 200
        chart.categoryAxis.reverseDirection = 1
        chart.barLabels.boxAnchor, chart.barLabels.nudge = "w", 5
    return _spaced(drawing)


def grouped_bar_chart(
    caption: str, categories: Sequence[str], series: dict[str, Sequence[float]], *, axis: str
) -> Flowable:
    """Return a bar chart with one bar per series in every category, and a legend."""
    chart = VerticalBarChart()
    drawing = _chart_frame(caption, axis)
    _fill(drawing, chart, categories, list(series.values()))
    chart.groupSpacing = 12
    chart.categoryAxis.labels.fontSize = 8
    _legend(drawing, list(series), _BARS)
    for n in range(len(series)):
        chart.bars[n].fillColor = _BARS[n]
    return _spaced(drawing)


def line_chart(
    caption: str, series: dict[str, Sequence[tuple[float, float]]], *, x_axis: str, y_axis: str
) -> Flowable:
    """Return a line chart with a legend; every point carries its value."""
    drawing = _chart_frame(caption, y_axis)
    plot = LinePlot()
    plot.x, plot.y, plot.width, plot.height = 40, 38, _WIDTH - 70, 115
    plot.data = [list(points) for points in series.values()]
    plot.joinedLines = 1
    for n in range(len(series)):
        plot.lines[n].strokeColor = _LINES[n]
        plot.lines[n].strokeWidth = 1.6
        plot.lines[n].symbol = makeMarker("FilledCircle", size=4)
    plot.lineLabelFormat = "%g"
    plot.lineLabels.fontName, plot.lineLabels.fontSize = "Helvetica", 8
    for n, points in enumerate(series.values()):
        for i in range(len(points)):
            plot.lineLabels[n, i].dy = 4 if n else -20
        plot.lineLabels[n, 0].visible = n == 0
    for values in (plot.xValueAxis, plot.yValueAxis):
        _soften(values)
        values.labelTextFormat = "%g"
    plot.yValueAxis.visibleGrid = 1
    plot.yValueAxis.valueMin = 0
    plot.yValueAxis.valueMax = 1.1 * max(y for points in series.values() for _, y in points)
    plot.xValueAxis.valueSteps = [x for x, _ in next(iter(series.values()))]
    drawing.add(plot)
    drawing.add(_words(_WIDTH / 2, 8, x_axis, 8.5, anchor="middle"))
    _legend(drawing, list(series), _LINES)
    return _spaced(drawing)


def _chart_frame(caption: str, axis: str) -> Drawing:
    drawing = Drawing(_WIDTH, 214)
    drawing.add(Rect(0, 0, _WIDTH, 214, fillColor=HexColor("#fafcfd"), strokeColor=_RULE, strokeWidth=0.6))
    drawing.add(String(12, 196, caption, fontName="Helvetica-Bold", fontSize=10, fillColor=SLATE))
    drawing.add(_words(12, 181, axis, 8.5))
    return drawing


def _spaced(drawing: Drawing) -> Flowable:
    return KeepTogether([Spacer(1, 6), drawing, Spacer(1, 12)])


def _fill(
    drawing: Drawing,
    chart: HorizontalBarChart | VerticalBarChart,
    categories: Sequence[str],
    rows: list[Sequence[float]],
) -> None:
    chart.x, chart.y, chart.width, chart.height = 40, 26, _WIDTH - 70, 140
    chart.data = [tuple(row) for row in rows]
    chart.categoryAxis.categoryNames = list(categories)
    chart.valueAxis.valueMin = 0
    chart.valueAxis.valueMax = 1.15 * max(max(row) for row in rows)
    chart.valueAxis.visible = 0
    chart.categoryAxis.visibleTicks = 0
    _soften(chart.categoryAxis)
    chart.barLabelFormat = "{:,g}".format
    chart.barLabels.nudge = 9
    chart.barLabels.fontName, chart.barLabels.fontSize = "Helvetica-Bold", 9
    chart.barLabels.fillColor = INK
    chart.bars.strokeColor = None
    drawing.add(chart)


def _soften(axis: object) -> None:
    axis.strokeColor = _RULE  # type: ignore[attr-defined]
    axis.gridStrokeColor = _RULE  # type: ignore[attr-defined]
    axis.labels.fontName, axis.labels.fontSize = "Helvetica", 9  # type: ignore[attr-defined]
    axis.labels.fillColor = INK  # type: ignore[attr-defined]


def _legend(drawing: Drawing, names: Sequence[str], colours: Sequence[Color]) -> None:
    right = _WIDTH - 14
    for name, colour in reversed(list(zip(names, colours, strict=False))):
        right -= 6 + 4.6 * len(name)
        drawing.add(_words(right, 181, name, 8.5))
        right -= 13
        drawing.add(Rect(right, 180.5, 8, 8, fillColor=colour, strokeColor=None))
        right -= 14


def _words(x: float, y: float, words: str, size: float, *, anchor: str = "start") -> String:
    return String(x, y, words, fontName="Helvetica", fontSize=size, fillColor=MUTED, textAnchor=anchor)


def write_pdf(path: Path, name: str, code: str, pages: Sequence[Sequence[Flowable]]) -> None:
    """Write a B5 document of exactly the given pages.

    Args:
        path: the file to write.
        name: the document's title: in its properties and at the top of every page.
        code: the document's number and revision, at the foot of every page.
        pages: the contents, page by page.

    Raises:
        ValueError: a page's contents do not fit on one page.
    """

    def furniture(canvas: Canvas, document: BaseDocTemplate) -> None:
        canvas.setStrokeColor(_RULE)
        canvas.setFont("Helvetica-Bold", 8)
        canvas.setFillColor(TEAL)
        canvas.drawString(_MARGIN, B5[1] - 14 * mm, "TARNWICK INSTRUMENTS")
        canvas.setFont("Helvetica", 8)
        canvas.setFillColor(MUTED)
        canvas.drawRightString(B5[0] - _MARGIN, B5[1] - 14 * mm, name)
        canvas.line(_MARGIN, B5[1] - 16.5 * mm, B5[0] - _MARGIN, B5[1] - 16.5 * mm)
        canvas.drawString(_MARGIN, 12 * mm, code)
        canvas.drawRightString(B5[0] - _MARGIN, 12 * mm, f"{document.page} / {len(pages)}")

    document = BaseDocTemplate(
        str(path),
        pagesize=B5,
        title=name,
        author="Tarnwick Instruments",
        subject=code,
        invariant=1,
        lang="en",
    )
    frame = Frame(_MARGIN, 18 * mm, _WIDTH, B5[1] - 38 * mm, 0, 0, 0, 0)
    document.addPageTemplates(PageTemplate(frames=[frame], onPage=furniture))
    story = [flowable for page in pages for flowable in (*page, PageBreak())][:-1]
    document.build(story)
    if document.page != len(pages):
        raise ValueError(f"{path.name}: {len(pages)} pages were meant, {document.page} came out")


def render(pdf: bytes, dpi: int) -> list[Image.Image]:
    """Return the pages of ``pdf`` as RGB images."""
    with pypdfium2.PdfDocument(io.BytesIO(pdf)) as document:
        return [page.render(scale=dpi / 72).to_pil().convert("RGB") for page in document]
