"""PDF by pypdfium2: text layer, page image, OCR for pages without text; one record per page.

PDFium is not thread-safe: one lock guards every call of it.
"""

from __future__ import annotations

import math
import re
import threading
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from PIL import Image

from . import ocr
from .options import SourceOptions
from .records import CannotRead, Document, Found, Record, Unreadable, record_id
from .values import clean

__all__ = ["SUFFIXES", "PdfDocument", "count_pages", "open_pdf", "page_text"]

SUFFIXES = frozenset({".pdf"})

_MIN_TEXT = 20
"""A page with fewer characters than this, white space aside, counts as one without a text layer."""

_MAX_TITLE = 300
_LIGATURE = re.compile("[\ufb00-\ufb06]")
_HYPHEN = re.compile("(?P<left>[^\\W\\d_]+)(?:[\ufffe\x02]|[-\u00ad]\n)(?P<right>[^\\W\\d_]+)")
_WORD = re.compile(r"[^\W\d_]+")
_NO_TITLE = frozenset({"untitled", "untitled document", "document", "title", "powerpoint presentation"})
_lock = threading.RLock()


@dataclass(slots=True)
class PdfDocument(Document):
    """A PDF file; it is open only while its records are read."""

    found: Found
    options: SourceOptions

    def records(self, skip: Collection[str] = ()) -> Iterator[Record | Unreadable]:
        """Yield one record per page; a page that cannot be read is reported and the others follow."""
        wanted = [(n, i) for n, i in enumerate(self.record_ids, start=1) if i not in skip]
        if not wanted:
            return
        try:
            self.found.check_unchanged()
            with _opened(self.path) as pdf:
                title = self.found.title(_title(pdf))
                for number, identity in wanted:
                    try:
                        yield self._record(pdf, number, identity, title)
                    except CannotRead as error:
                        yield Unreadable(self.path, f"page {number}: {error}")
        except CannotRead as error:
            yield Unreadable(self.path, str(error))

    def _record(self, pdf: pdfium.PdfDocument, number: int, identity: str, title: str) -> Record:
        text, image, for_ocr = _read_page(pdf, number, self.options)
        notes = () if _has_text(text) else ocr.missing_text(self.options)
        metadata = self.found.metadata(page_count=len(self.record_ids))
        if for_ocr is not None:
            recognised, notes = ocr.read_page(for_ocr, self.options)
            if recognised:
                text = recognised
                metadata["text_source"] = "ocr"
        return Record(
            id=identity,
            document_id=self.document_id,
            page=number,
            title=title,
            text=text,
            modality="page",
            metadata=metadata,
            acl=self.found.acl(self.options),
            content_sha256=self.content_sha256,
            image=image,
            image_uri=f"{self.path.as_uri()}#page={number}",
            warnings=notes,
        )


def open_pdf(found: Found, options: SourceOptions) -> PdfDocument:
    """Return the document of a PDF file, its pages counted and none of them read.

    Raises:
        CannotRead: too large, damaged, protected, or refused by the system.
    """
    found.check_size(options)
    settings = {"ocr": ocr.effective_mode(options), "dpi": options.dpi if options.render else None}
    sha256 = found.digest(options, settings)
    pages, limit = count_pages(found.path), options.limits.max_pages
    if limit and pages > limit:
        raise CannotRead(f"{pages:,} pages are over the limit of {limit:,} (option max_pages)")
    ids = [record_id(found.document_id, f"#p{number}") for number in range(1, pages + 1)]
    return PdfDocument(found.document_id, found.path, found.root, sha256, ids, found, options)


def count_pages(path: Path) -> int:
    """Return the number of pages.

    Raises:
        CannotRead: it cannot be opened.
    """
    with _opened(path) as pdf, _lock:
        return len(pdf)


@contextmanager
def _opened(path: Path) -> Iterator[pdfium.PdfDocument]:
    try:
        with _lock:
            pdf = pdfium.PdfDocument(path)
    except FileNotFoundError:
        raise CannotRead("the file does not exist any more") from None
    except pdfium.PdfiumError as error:
        raise CannotRead(_open_reason(error.err_code)) from None
    try:
        yield pdf
    finally:
        with _lock:
            pdf.close()


def _open_reason(code: int | None) -> str:
    reasons = {
        pdfium_c.FPDF_ERR_PASSWORD: "the PDF is protected by a password",
        pdfium_c.FPDF_ERR_SECURITY: "the PDF is encrypted in a way that is not supported",
        pdfium_c.FPDF_ERR_FORMAT: "the file is damaged, or not a PDF",
        pdfium_c.FPDF_ERR_FILE: "the file cannot be opened",
        pdfium_c.FPDF_ERR_SUCCESS: "the PDF has no pages",
    }
    return reasons.get(code, "the PDF cannot be opened") if code is not None else "the PDF cannot be opened"


def _title(pdf: pdfium.PdfDocument) -> str:
    """Return the title from the PDF's own metadata, empty where it says nothing."""
    with _lock:
        title = pdf.get_metadata_value("Title")
    title = " ".join(clean(title).removeprefix("Microsoft Word - ").split())[:_MAX_TITLE]
    return title if _WORD.search(title) and title.lower() not in _NO_TITLE else ""


def _read_page(
    pdf: pdfium.PdfDocument, number: int, options: SourceOptions
) -> tuple[str, Image.Image | None, Image.Image | None]:
    """Return the text layer, the page image where asked for, and the image for OCR where needed."""
    with _lock:
        try:
            if options.render or ocr.effective_mode(options) in ("auto", "force"):
                pdf.init_forms()
            page = pdf[number - 1]
        except pdfium.PdfiumError:
            raise CannotRead("the page cannot be loaded") from None
        try:
            text = _text_layer(page, options)
            need_ocr = ocr.wanted(options, has_text=_has_text(text))
            width, height = page.get_size()
            if not (math.isfinite(width * height) and width > 0 and height > 0):
                raise CannotRead("the page has no size")
            if need_ocr or options.render:
                _check_embedded(page, options)
            image = _render(page, options.dpi / 72, options) if options.render else None
            for_ocr = _render(page, ocr.scale_for(width, height), options) if need_ocr else None
        except (pdfium.PdfiumError, MemoryError, ValueError) as error:
            if isinstance(error, CannotRead):
                raise
            raise CannotRead(f"the page cannot be rendered ({type(error).__name__})") from None
        finally:
            page.close()
    return text, image, for_ocr


def _has_text(text: str) -> bool:
    return len("".join(text.split())) >= _MIN_TEXT


def _text_layer(page: pdfium.PdfPage, options: SourceOptions) -> str:
    textpage = page.get_textpage()
    try:
        count, limit = textpage.count_chars(), options.limits.max_text_chars
        if limit and count > limit:
            raise CannotRead(f"{count:,} characters are over the limit of {limit:,} (option max_text_chars)")
        return page_text(textpage.get_text_range()) if count > 0 else ""
    finally:
        textpage.close()


def page_text(raw: str) -> str:
    """Return a text layer with plain line ends, joined hyphenation, ligatures resolved, blanks collapsed."""
    text = raw.replace("\r\n", "\n").replace("\r", "\n")
    text = _LIGATURE.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    words = {word.lower() for word in _WORD.findall(_HYPHEN.sub(" ", text))}
    text = _HYPHEN.sub(lambda match: _joined(match["left"], match["right"], words), text)
    text = re.sub("[\ufffe\x02]", "-", text).replace("\u00ad", "")
    lines = (" ".join(line.split()) for line in clean(text).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _joined(left: str, right: str, words: set[str]) -> str:
    """Return a word divided at a line end; two words of the page keep their hyphen (question-answering)."""
    whole = (left + right).lower()
    both = len(left) > 2 and len(right) > 2 and left.lower() in words and right.lower() in words
    keep = whole not in words and (both or right[0].isupper())
    return f"{left}-{right}" if keep else left + right


def _check_embedded(page: pdfium.PdfPage, options: SourceOptions) -> None:
    """Refuse a page with an image that would take too much memory to decode."""
    limit = options.limits.max_pixels
    if not limit:
        return
    for item in page.get_objects(filter=[pdfium_c.FPDF_PAGEOBJ_IMAGE]):
        width, height = item.get_px_size()
        if width * height > limit:
            size = f"{width} × {height} = {width * height:,} pixels"
            raise CannotRead(f"an image of {size} is over the limit of {limit:,} (option max_pixels)")


def _render(page: pdfium.PdfPage, scale: float, options: SourceOptions) -> Image.Image:
    width, height = (math.ceil(side * scale) for side in page.get_size())
    limit = options.limits.max_pixels
    if limit and width * height > limit:
        size = f"{width} × {height} = {width * height:,} pixels"
        raise CannotRead(f"{size} are over the limit of {limit:,} (option max_pixels, or a lower dpi)")
    bitmap = page.render(scale=scale, rev_byteorder=True)
    try:
        image: Image.Image = bitmap.to_pil()
        return image.convert("RGB") if image.mode != "RGB" else image.copy()
    finally:
        bitmap.close()
