"""Text of page images by RapidOCR (extra ``ocr``); its models lie in its package, nothing is downloaded."""

from __future__ import annotations

import importlib.util
import math
import os
import threading
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import EnvironmentProblem, MissingExtra
from .options import SourceOptions
from .values import clean

__all__ = ["available", "effective_mode", "missing_text", "read_page", "recognise", "scale_for", "wanted"]

_PIXELS = 1_200_000
"""Pixels of an image for OCR: an A4 page at about 110 dpi; more costs time and finds hardly more."""

_MAX_SIDE = 4_096
_MIN_SIDE = 64
_MARGIN = 16
_LEGIBLE = 8
"""An image with a side of fewer pixels holds no legible text."""

_UPSCALE, _UPSCALED_SIDE = 2.0, 2_000
"""Small images are enlarged, at most so much and to at most so many pixels along the longer side."""

_MODELS = {"Det": "*_det_*.onnx", "Rec": "*_rec_*.onnx"}
_lock = threading.Lock()


def available() -> bool:
    """Return whether the extra ``ocr`` is installed."""
    return importlib.util.find_spec("rapidocr") is not None


def effective_mode(options: SourceOptions) -> Literal["auto", "force", "off", "missing"]:
    """Return what OCR will really do: ``auto`` without the extra is ``missing``.

    Raises:
        MissingExtra: OCR is forced and the extra is not installed.
    """
    if options.ocr == "off" or available():
        return options.ocr
    if options.ocr == "force":
        raise MissingExtra("OCR of every page", "ocr")
    return "missing"


def wanted(options: SourceOptions, *, has_text: bool) -> bool:
    """Return whether a page with or without a text layer is to be recognised."""
    mode = effective_mode(options)
    return mode == "force" or (mode == "auto" and not has_text)


def missing_text(options: SourceOptions) -> tuple[str, ...]:
    """Return the warning for a page that has no text because OCR does not run, nothing where it does."""
    reasons = {
        "off": "no text layer, and OCR is off",
        "missing": "no text layer, and OCR needs the extra 'ocr'",
    }
    reason = reasons.get(effective_mode(options))
    return (reason,) if reason else ()


def scale_for(width: float, height: float) -> float:
    """Return the factor that brings a page of this size to what OCR reads well and cheaply."""
    return min(math.sqrt(_PIXELS / (width * height)), _MAX_SIDE / max(width, height))


def read_page(image: Image.Image, options: SourceOptions) -> tuple[str, tuple[str, ...]]:
    """Return the text of an RGB page image, and warnings where there is none."""
    if effective_mode(options) in ("off", "missing"):
        return "", missing_text(options)
    if _is_blank(image):
        return "", ()
    try:
        text = recognise(image, options.ocr_threads)
    except EnvironmentProblem:
        raise
    except Exception as error:  # the engine wraps several libraries, each with errors of its own
        return "", (f"OCR failed ({type(error).__name__})",)
    return text, () if text else ("OCR found no text",)


def recognise(image: Image.Image, threads: int | None = None) -> str:
    """Return the text of an RGB image, row by row from top to bottom.

    Args:
        image: any size; it is reduced to what OCR needs.
        threads: threads to use, None for half the cores.
    """
    width, height = image.size
    if min(width, height) < _LEGIBLE:
        return ""
    scale = min(scale_for(width, height), max(1.0, min(_UPSCALE, _UPSCALED_SIDE / max(width, height))))
    if scale < 0.95 or scale > 1.5:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    with _lock:
        result = _engine(threads or _default_threads())(_padded(image))
    if result.boxes is None or not result.txts:
        return ""
    return clean(_in_rows(np.asarray(result.boxes, dtype=np.float32), list(result.txts)))


def _is_blank(image: Image.Image) -> bool:
    """Return whether every pixel has (almost) the same colour."""
    extrema = image.convert("L").getextrema()
    return float(extrema[1]) - float(extrema[0]) < 8  # type: ignore[arg-type]


def _padded(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return BGR pixels, shape (height, width, 3), with a margin so that no line touches the border."""
    width = max(image.width + 2 * _MARGIN, _MIN_SIDE)
    height = max(image.height + 2 * _MARGIN, _MIN_SIDE)
    canvas = Image.new("RGB", (width, height), image.getpixel((0, 0)))
    canvas.paste(image, (_MARGIN, _MARGIN))
    return np.ascontiguousarray(np.asarray(canvas)[:, :, ::-1])


def _in_rows(boxes: npt.NDArray[np.float32], texts: list[str]) -> str:
    """Join texts whose boxes stand side by side, rows from top to bottom.

    Args:
        boxes: shape (n, 4, 2), float32: the corners of each text as (x, y).
        texts: n texts.
    """
    top, bottom, left = boxes[:, :, 1].min(1), boxes[:, :, 1].max(1), boxes[:, :, 0].min(1)
    middle, half = (top + bottom) / 2, (bottom - top) / 2
    rows: list[list[int]] = []
    for item in np.argsort(middle, kind="stable").tolist():
        first = rows[-1][0] if rows else item
        if rows and middle[item] - middle[first] < min(half[item], half[first]):
            rows[-1].append(item)
        else:
            rows.append([item])
    lines = (" ".join(texts[i].strip() for i in sorted(row, key=lambda i: float(left[i]))) for row in rows)
    return "\n".join(line for line in lines if line)


def _default_threads() -> int:
    return max(
        1, (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) // 2
    )


@cache
def _engine(threads: int) -> Any:
    """Return the loaded engine; naming its model files keeps it from looking for them on the network."""
    import rapidocr

    folder = Path(rapidocr.__file__).parent / "models"
    models = {kind: sorted(folder.glob(pattern)) for kind, pattern in _MODELS.items()}
    if missing := [kind for kind, files in models.items() if not files]:
        raise EnvironmentProblem(
            f"rapidocr was installed without its models ({', '.join(missing)}): install rapidocr>=3.10 anew"
        )
    return rapidocr.RapidOCR(
        params={
            **{f"{kind}.model_path": str(files[0]) for kind, files in models.items()},
            "Global.log_level": "critical",
            "Global.use_cls": False,
            "Global.use_vertical_padding": False,
            "Global.max_side_len": 2 * _MAX_SIDE,
            "Det.limit_type": "max",
            "Det.limit_side_len": 2 * _MAX_SIDE,
            "Rec.rec_batch_num": 1,
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
