"""What the caller decides about reading: resolution, OCR, passage size, access and limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..errors import InvalidInput

__all__ = ["Limits", "SourceOptions"]

_OCR_MODES = ("auto", "off", "force")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one input may cost; 0 or None lifts a limit.

    Attributes:
        max_file_bytes: size of a file; a JSONL file is read line by line and may be larger.
        max_pages: pages of a PDF, frames of a TIFF.
        max_pixels: pixels of one page image, checked before anything is decoded.
        max_text_chars: characters of one record.
    """

    max_file_bytes: int | None = 512 * 1024 * 1024
    max_pages: int | None = 5_000
    max_pixels: int | None = 100_000_000
    max_text_chars: int | None = 1_000_000

    def __post_init__(self) -> None:
        """Refuse negative limits."""
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and value < 0:
                raise InvalidInput(f"{name}: {value} is negative; give a positive limit, or 0 for none")


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How files become records.

    Attributes:
        dpi: resolution of the page image of a PDF.
        ocr: ``auto`` reads pages without a text layer where the extra ``ocr`` is installed, ``force``
            reads every page, ``off`` none.
        ocr_threads: threads that OCR may use; None takes half the cores, so that encoding goes on.
        passage_chars: the largest passage, in characters.
        passage_overlap: how much of the end of a passage the next one may repeat, in characters.
        limits: what one input may cost.
        acl: who may see the records of a file that names nobody itself.
        acl_map: pairs of a pattern such as ``hr/*`` (it matches across folders) and who may see the files
            whose path below the root matches; the first that matches takes the place of ``acl``.
        render: whether page images are needed; without, a PDF page with a text layer is not rendered.
    """

    dpi: int = 150
    ocr: Literal["auto", "off", "force"] = "auto"
    ocr_threads: int | None = None
    passage_chars: int = 1_200
    passage_overlap: int = 200
    limits: Limits = field(default_factory=Limits)
    acl: tuple[str, ...] = ()
    acl_map: tuple[tuple[str, tuple[str, ...]], ...] = ()
    render: bool = False

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        if not 18 <= self.dpi <= 1_200:
            raise InvalidInput(f"dpi: {self.dpi} is outside 18–1200")
        if self.ocr not in _OCR_MODES:
            raise InvalidInput(f"ocr: '{self.ocr}' is none of {', '.join(_OCR_MODES)}")
        if self.ocr_threads is not None and self.ocr_threads < 1:
            raise InvalidInput(f"ocr_threads: {self.ocr_threads} is below 1")
        if self.passage_chars < 50:
            raise InvalidInput(f"passage_chars: {self.passage_chars} is below 50")
        if not 0 <= self.passage_overlap <= self.passage_chars // 2:
            raise InvalidInput(
                f"passage_overlap: {self.passage_overlap} is outside 0–{self.passage_chars // 2}, "
                f"half of passage_chars ({self.passage_chars})"
            )
