"""Find the model to export: in a folder, in an installed package, or on the model hub."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from pathlib import Path
from typing import Any

from ..errors import EnvironmentProblem, InvalidInput
from ..models.hints import read_object
from .packages import find_packaged
from .source import Source

__all__ = ["open_source"]

_SPDX = {
    name.lower(): name
    for name in (
        *("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Unlicense", "CC0-1.0", "MPL-2.0"),
        *("CC-BY-4.0", "CC-BY-3.0", "CC-BY-SA-4.0", "CC-BY-SA-3.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"),
        *("CC-BY-ND-4.0", "CC-BY-NC-ND-4.0", "GPL-2.0", "GPL-3.0", "LGPL-2.1", "LGPL-3.0", "AGPL-3.0"),
    )
}
_BY_TEXT = (
    ("Apache-2.0", r"Apache License\s+Version 2\.0"),
    ("MIT", r"Permission is hereby granted, free of charge, to any person obtaining a copy"),
    ("BSD-3-Clause", r"Neither the name of .{0,200}? nor the names of"),
)
_TRANSFORMER_MODULE = re.compile(r"(^|\.)Transformer$")
_FROM_HUB = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.md", "LICENSE*", "LICENCE*")


def open_source(given: str, *, revision: str | None = None) -> Source:
    """Return the model in a folder, in an importable package, or of the model hub.

    Args:
        given: a folder; the name of an importable package that holds one, which is not imported; or a model's
            id such as ``BAAI/bge-small-en-v1.5``, which huggingface_hub fetches or finds in its cache.
        revision: branch, tag or commit; of an id only.

    Raises:
        InvalidInput: there is no such folder, or it holds no ``config.json``.
        EnvironmentProblem: the model hub cannot be reached.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        return _described(path.resolve(), "", revision or "")
    if packaged := find_packaged(given):
        return packaged
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", given) and (found := _package(given)):
        return _described(*found)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", given) and not path.parent.is_dir():
        return _described(*_fetched(given, revision))
    raise InvalidInput(
        f"folder: {given!r} is no folder, no importable package with a model in it, and no id of a model hub "
        "(owner/name)"
    )


def _described(root: Path, origin: str, revision: str, licence: str = "unknown") -> Source:
    folder = _transformer_folder(root)
    _refuse_adapter(folder)
    if not (folder / "config.json").is_file():
        raise InvalidInput(
            f"folder: {folder} has no config.json: it is no model as transformers or sentence-transformers "
            "save it (for ONNX files: 'osmm models add')"
        )
    config = read_object(folder / "config.json")
    return Source(
        root,
        folder,
        config,
        origin,
        revision or str(config.get("_commit_hash") or ""),
        _licence(root, licence),
    )


def _refuse_adapter(folder: Path) -> None:
    """Refuse a folder with an adapter of peft, whose weights mean nothing without its base model's."""
    adapter = read_object(folder / "adapter_config.json")
    if not adapter:
        return
    if any(folder.glob("model*.safetensors")) or any(folder.glob("pytorch_model*.bin")):
        if not any(folder.glob("adapter_model.*")):
            return  # what merging left behind
        raise InvalidInput(
            f"folder: {folder} holds a whole model and an adapter beside it, and only one of them is what is "
            "meant: move adapter_config.json and adapter_model.* away to export the model as it is, or merge "
            "the adapter first (merge_and_unload(), save_pretrained() into a new folder)"
        )
    kind, base = (
        adapter.get("peft_type") or "peft",
        adapter.get("base_model_name_or_path") or "its base model",
    )
    raise InvalidInput(
        f"folder: {folder} holds a {kind} adapter for {base}, no model: load both with the library they were "
        "trained with, call merge_and_unload(), save_pretrained() model and processor into one folder, and "
        "export that"
    )


def _transformer_folder(root: Path) -> Path:
    """Return the folder of sentence-transformers' Transformer module, ``root`` where there is none."""
    import json

    path = root / "modules.json"
    try:
        modules = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return root
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path}: not JSON: {error}") from None
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise InvalidInput(f"{path}: expected a list of modules")
    for module in modules:
        if _TRANSFORMER_MODULE.search(str(module.get("type"))):
            return root / str(module.get("path") or "")
    return root


def _package(name: str) -> tuple[Path, str, str, str] | None:
    """Return the model's folder inside a package, and which distribution it came with."""
    top, *inner = name.split(".")
    try:
        found = importlib.util.find_spec(top)  # of a dotted name it would import what stands before the dot
    except (ImportError, ValueError):
        return None
    for location in (found.submodule_search_locations or []) if found else []:
        base = Path(location).joinpath(*inner)
        for config in sorted([*base.glob("config.json"), *base.glob("*/config.json")]):
            [distribution, *_] = importlib.metadata.packages_distributions().get(top) or [""]
            version = importlib.metadata.version(distribution) if distribution else ""
            return (
                config.parent,
                f"https://pypi.org/project/{distribution}" if distribution else "",
                version,
                "unknown",
            )
    return None


def _fetched(identity: str, revision: str | None) -> tuple[Path, str, str]:
    try:
        import huggingface_hub
    except ImportError:
        raise EnvironmentProblem(
            f"{identity} is no folder here, and huggingface_hub, which would fetch it, is not installed: "
            "give the folder of a model"
        ) from None
    try:
        folder = _snapshot(huggingface_hub, identity, revision, _FROM_HUB)
        if not any(folder.glob("*.safetensors")):
            folder = _snapshot(huggingface_hub, identity, revision, (*_FROM_HUB, "*.bin"))
    except Exception as error:  # its exceptions and those of its HTTP client have no common base but this
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:120]}"
        raise EnvironmentProblem(
            f"{identity} cannot be fetched from the model hub and is not in its cache ({reason}): fetch it "
            "elsewhere, and give its folder"
        ) from None
    return folder, f"https://huggingface.co/{identity}", folder.name


def _snapshot(hub: Any, identity: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    return Path(hub.snapshot_download(identity, revision=revision, allow_patterns=list(patterns)))


def _licence(root: Path, known: str) -> str:
    """Return the licence that the model card's head names, else that of a licence file."""
    card = root / "README.md"
    if card.is_file():
        head = re.match(r"---\s*\n(.*?)\n---", card.read_text("utf-8", errors="replace"), re.S)
        named = re.search(r"^license:\s*['\"]?([\w.+-]+)", head[1], re.M) if head else None
        if named and named[1].lower() != "other":
            return _SPDX.get(named[1].lower(), named[1])
    for path in sorted([*root.glob("LICENSE*"), *root.glob("LICENCE*")]):
        text = path.read_text("utf-8", errors="replace")
        for name, pattern in _BY_TEXT:
            if re.search(pattern, text, re.S):
                return name
    return known
