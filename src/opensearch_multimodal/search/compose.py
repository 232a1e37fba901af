"""The parts of a composed question: texts and images with weights, read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from PIL import Image

from ..errors import InvalidInput
from ..sources import SourceOptions
from ..sources.images import read_base64_image
from ..types import Input

__all__ = ["MAX_IMAGES", "MAX_PARTS", "MAX_WEIGHT", "Part", "Words", "parse_parts", "words_of"]

MAX_PARTS = 16
MAX_IMAGES = 4
MAX_WEIGHT = 100.0
_SHOWN_CHARACTERS = 60

Words: TypeAlias = str | tuple[tuple[str, float], ...]
"""What BM25 reads of a question: its text, or texts with positive weights."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a composed query.

    Attributes:
        weight: its say; what a negative part describes is moved away from.
        text: words, or None for an image.
        image: an image, or None for words.
    """

    weight: float
    text: str | None = None
    image: Image.Image | None = None

    @property
    def input(self) -> Input:
        """What kind of model can read it."""
        return "text" if self.text is not None else "image"

    def shown(self) -> str:
        """Return what it is in a few words."""
        if self.image is not None:
            return f"image, {self.image.width} × {self.image.height}"
        text = " ".join((self.text or "").split())
        return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def parse_parts(value: Any) -> tuple[Part, ...]:
    """Read ``overrides.compose``.

    Args:
        value: a list of ``{"text": …, "weight": …}`` and ``{"image": …, "weight": …}``; the weight is 1 by
            default. An image is an image file in base64, or a Pillow image.

    Raises:
        InvalidInput: naming the part, the value and the limit.
    """
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not value:
        raise InvalidInput(f"compose: expected a list of parts, got {_kind(value)}")
    if len(value) > MAX_PARTS:
        raise InvalidInput(f"compose: {len(value)} parts, the limit is {MAX_PARTS}")
    parts = tuple(_part(f"compose[{position}]", one) for position, one in enumerate(value))
    images = sum(part.image is not None for part in parts)
    if images > MAX_IMAGES:
        raise InvalidInput(f"compose: {images} images, the limit is {MAX_IMAGES}")
    return parts


def words_of(parts: Sequence[Part]) -> tuple[tuple[str, float], ...] | None:
    """Return the positive texts with their weights, None where there is no such part."""
    return tuple((part.text, part.weight) for part in parts if part.text and part.weight > 0) or None


def _part(name: str, value: Any) -> Part:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{name}: expected an object with 'text' or 'image', got {_kind(value)}")
    if unknown := sorted(set(value) - {"text", "image", "weight"}):
        raise InvalidInput(f"{name}: unknown key '{str(unknown[0])[:40]}' (known: text, image, weight)")
    if ("text" in value) == ("image" in value):
        raise InvalidInput(f"{name}: give 'text' or 'image', one of them")
    weight = _weight(name, value.get("weight", 1.0))
    if "image" in value:
        return Part(weight, image=_image(name, value["image"]))
    text = value["text"]
    if not isinstance(text, str) or not text.strip():
        raise InvalidInput(f"{name}.text: expected words, got {_kind(text)}")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInput(f"{name}.text: is not valid Unicode, it has half of a surrogate pair")
    return Part(weight, text=text)


def _weight(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"{name}.weight: expected a number, got {_kind(value)}")
    if not 0 < abs(value) <= MAX_WEIGHT:  # NaN and integers too large for a float are outside as well
        shown = "an integer" if isinstance(value, int) and abs(value) > 10**9 else value
        raise InvalidInput(f"{name}.weight: {shown} is 0 or outside −{MAX_WEIGHT:g}–{MAX_WEIGHT:g}")
    return float(value)


def _image(name: str, value: Any) -> Image.Image:
    if isinstance(value, Image.Image):
        return value
    if not isinstance(value, str):
        raise InvalidInput(f"{name}.image: expected an image file in base64, got {_kind(value)}")
    try:
        return read_base64_image(value, SourceOptions())
    except InvalidInput as error:
        raise InvalidInput(f"{name}.image: {error}") from None


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"a text of {len(value)} characters"
    return f"an empty {type(value).__name__}" if value in ([], {}, ()) else type(value).__name__
