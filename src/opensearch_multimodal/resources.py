"""Find the files that ship with the project, and the folders in which it keeps its own."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import platformdirs

from .errors import EnvironmentProblem

__all__ = ["cache_folder", "find", "home_folder"]

_PACKAGE = Path(__file__).resolve().parent


@cache
def _root() -> Path:
    """Return the checkout if this is one, else the data folder inside the installed package.

    The checkout wins: an editable install leaves a stale copy of the data folder behind.
    """
    checkout = _PACKAGE.parent.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "mappings").is_dir():
        return checkout
    return _PACKAGE / "_data"


def find(relative: str) -> Path:
    """Return the path of a shipped file or folder, such as ``"mappings/pages.json"``.

    Raises:
        EnvironmentProblem: it does not ship with this installation.
    """
    path = _root() / relative
    if not path.exists():
        raise EnvironmentProblem(f"{relative} is missing from this installation ({_root()})")
    return path


def home_folder() -> Path:
    """Return where specs, model artifacts and dead letters live: ``$OSMM_HOME``, else the XDG data folder."""
    return _folder("OSMM_HOME", platformdirs.user_data_path("opensearch-multimodal"))


def cache_folder() -> Path:
    """Return where things that can be fetched again live: ``$OSMM_CACHE``, else the XDG cache folder."""
    return _folder("OSMM_CACHE", platformdirs.user_cache_path("opensearch-multimodal"))


def _folder(variable: str, default: Path) -> Path:
    value = os.environ.get(variable)
    return Path(value).expanduser().resolve() if value else default
