"""Lower precisions of an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import InvalidInput
from .convert import load_proto, save_proto
from .graphs import Precision

__all__ = ["write_precision"]


def write_precision(
    source: Path, target: Path, precision: Precision, *, external_above: int
) -> tuple[Path, ...]:
    """Write an ONNX file of float32 in another precision.

    Args:
        source: the file.
        target: in another folder.
        precision: what to write.
        external_above: the size in bytes above which weights lie in a file beside it.

    Returns:
        The files written.

    Raises:
        InvalidInput: the tools cannot convert it.
    """
    try:
        if precision == "fp32":
            model: Any = load_proto(source)
        else:
            raise NotImplementedError(precision)
    except OSError:
        raise
    except Exception as error:  # the tools raise many kinds
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InvalidInput(f"precision: {source.name} cannot be written as {precision}: {reason}") from None
    return save_proto(model, target, external_above=external_above)
