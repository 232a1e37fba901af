"""Image files: JPEG, PNG, WebP and TIFF, one record per frame, its text by OCR."""

from __future__ import annotations

import base64
import binascii
import io
import threading
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import InvalidInput
from . import ocr
from .options import SourceOptions
from .records import CannotRead, Document, Found, Record, Unreadable, os_reason, record_id

__all__ = ["MAX_SIDE", "SUFFIXES", "ImageDocument", "open_image", "read_base64_image", "read_image"]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"})

MAX_SIDE = 4_096
"""A page image is reduced to this many pixels along its longer side."""

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")
_lock = threading.RLock()


@dataclass(slots=True)
class ImageDocument(Document):
    """An image file."""

    found: Found
    options: SourceOptions

    def records(self, skip: Collection[str] = ()) -> Iterator[Record | Unreadable]:
        """Yield one record per frame; a broken frame is reported and the others follow."""
        for number, identity in enumerate(self.record_ids, start=1):
            if identity in skip:
                continue
            try:
                self.found.check_unchanged()
                yield self._record(identity, number)
            except CannotRead as error:
                where = f"frame {number}: " if len(self.record_ids) > 1 else ""
                yield Unreadable(self.path, f"{where}{error}")

    def _record(self, identity: str, number: int) -> Record:
        frames = len(self.record_ids)
        image = _decode(self.path, number - 1, self.options)
        text, notes = ocr.read_page(image, self.options)
        return Record(
            id=identity,
            document_id=self.document_id,
            page=number,
            title=self.found.title(),
            text=text,
            modality="page",
            metadata=self.found.metadata(page_count=frames),
            acl=self.found.acl(self.options),
            content_sha256=self.content_sha256,
            image=image if self.options.render else None,
            image_uri=self.path.as_uri() + (f"#page={number}" if frames > 1 else ""),
            warnings=notes,
        )


def open_image(found: Found, options: SourceOptions) -> ImageDocument:
    """Return the document of an image file, its frames counted and nothing decoded.

    Raises:
        CannotRead: too large, of another format, or refused by the system.
    """
    found.check_size(options)
    sha256 = found.digest(options, {"ocr": ocr.effective_mode(options), "render": options.render})
    frames = _count_frames(found.path, options)
    ids = [record_id(found.document_id, f"#p{number}") for number in range(1, frames + 1)]
    return ImageDocument(found.document_id, found.path, found.root, sha256, ids, found, options)


def read_image(data: bytes, options: SourceOptions) -> Image.Image:
    """Return the first frame of an image file's bytes: upright, RGB on white, at most `MAX_SIDE` long.

    Raises:
        CannotRead: of another format, damaged, or of more pixels than the limit, which is known before any
            is decoded.
    """
    return _decode(io.BytesIO(data), 0, options)


def read_base64_image(text: str, options: SourceOptions) -> Image.Image:
    """As `read_image`, from the file's bytes in base64.

    Raises:
        InvalidInput: not base64; and as `read_image`.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("not base64") from None
    return read_image(data, options)


@contextmanager
def _pillow() -> Iterator[None]:
    """Lift Pillow's own pixel limit, since ours is checked instead, and turn its many errors into ours."""
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        except CannotRead:
            raise
        except UnidentifiedImageError:
            raise CannotRead("the file is damaged, or not a JPEG, PNG, WebP or TIFF image") from None
        except OSError as error:
            reason = os_reason(error) if error.errno else "the image is truncated or damaged"
            raise CannotRead(reason) from error
        except Exception as error:  # decoders raise whatever a damaged file makes them stumble over
            raise CannotRead(f"the image is damaged ({type(error).__name__})") from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _count_frames(path: Path, options: SourceOptions) -> int:
    limit = options.limits.max_pages
    with _pillow(), Image.open(path, formats=_FORMATS) as image:
        _check_pixels(image, options)
        if image.format != "TIFF":
            return 1
        frames = 1
        while _seek(image, frames):
            frames += 1
            if limit and frames > limit:
                raise CannotRead(f"more frames than the limit of {limit:,} (option max_pages)")
        return frames


def _seek(image: Any, frame: int) -> bool:
    try:
        image.seek(frame)
    except EOFError:
        return False
    return True


def _check_pixels(image: Image.Image, options: SourceOptions) -> None:
    limit, (width, height) = options.limits.max_pixels, image.size
    if limit and width * height > limit:
        size = f"{width} × {height} = {width * height:,} pixels"
        raise CannotRead(f"{size} are over the limit of {limit:,} (option max_pixels)")


def _decode(file: Path | IO[bytes], frame: int, options: SourceOptions) -> Image.Image:
    """Return a frame upright, in RGB on white, at most `MAX_SIDE` long."""
    with _pillow(), Image.open(file, formats=_FORMATS) as image:
        if frame:
            image.seek(frame)
        _check_pixels(image, options)
        image.load()
        upright = ImageOps.exif_transpose(image)
        rgb = _to_rgb(upright)
        rgb.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
        return rgb


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_8_bits(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.copy() if image.mode == "RGB" else image.convert("RGB")


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Return a grey image of 16 or 32 bits with 8: integers by their upper byte, others by their range."""
    values = np.asarray(image)
    if values.dtype.kind in "iu":
        top = int(values.max())
        shift = 0 if top < 256 else max(8, top.bit_length() - 8)
        return Image.fromarray((values.clip(0) >> shift).astype(np.uint8))
    finite = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    scale = 255.0 / (high - low) if high > low else 0.0
    return Image.fromarray(((finite - low) * scale).astype(np.uint8))
