"""What the records of a model's spec are made of."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

__all__ = ["FilePath", "Record"]


class Record(BaseModel):
    """A frozen record; unknown keys, NaN and infinity are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _safe_path(path: str) -> str:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or pure.name.startswith("."):
        raise ValueError("a file is named by a relative path with '/' that does not leave the model's folder")
    return str(pure)


FilePath = Annotated[str, AfterValidator(_safe_path)]
"""A path relative to the model's folder."""
