"""Architectures that can be exported, one module each; every module here has an ``ARCHITECTURE``."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from ...errors import InvalidInput
from ..graphs import Architecture, ExportOptions

__all__ = ["architectures", "recognise", "supported"]


@cache
def architectures() -> tuple[Architecture, ...]:
    """Return every architecture there is, by name. None of them imports torch before it is used."""
    modules = [
        importlib.import_module(f"{__name__}.{found.name}")
        for found in pkgutil.iter_modules(__path__)
        if not found.name.startswith("_")
    ]
    return tuple(sorted((module.ARCHITECTURE for module in modules), key=lambda one: one.name))


def recognise(config: dict[str, Any], options: ExportOptions) -> Architecture:
    """Return the architecture of a model by its ``config.json``.

    Raises:
        InvalidInput: none of them is, or it cannot yield what is asked for; the message lists what can be
            exported.
    """
    found = config.get("model_type")
    known = architectures() if isinstance(found, str) else ()
    suited = [architecture for architecture in known if found in architecture.model_types]
    for architecture in suited:
        if options.kind in architecture.kinds:
            return architecture
    if suited:
        kinds = [kind for architecture in suited for kind in architecture.kinds]
        raise InvalidInput(
            f"kind: a model of the {' and the '.join(one.name for one in suited)} yields "
            f"{' or '.join(kinds)}, not {options.kind}"
        )
    raise InvalidInput(
        f"architecture: model_type {found!r} of config.json is not supported; supported are {supported()}"
    )


def supported() -> str:
    """Return what can be exported, as one line."""
    return "; ".join(
        f"{one.name} ({', '.join(sorted(one.model_types))}: {', '.join(one.kinds)})"
        for one in architectures()
    )
