"""What the files of sentence-transformers, transformers and PyLate beside a model say about its use."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InvalidInput
from .spec import Pooling

__all__ = [
    "ImageHints",
    "TextHints",
    "image_hints",
    "max_tokens_hint",
    "mrl_hint",
    "prefix_hints",
    "read_object",
    "text_hints",
]

_POOLING: dict[str, Pooling] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "last",
}
_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers, which transformers writes."""


@dataclass(frozen=True)
class TextHints:
    """Defaults for a text tower; None where no file says anything.

    Attributes:
        pooling: of the token states.
        query_prefix: put before queries.
        passage_prefix: put before passages.
        max_query_tokens: the longest query.
        max_passage_tokens: the longest passage.
        skip_punctuation: whether passage rows of punctuation are left out.
        dense_dimension: what a Dense module after the pooling yields.
    """

    pooling: Pooling | None = None
    query_prefix: str = ""
    passage_prefix: str = ""
    max_query_tokens: int = 512
    max_passage_tokens: int = 512
    skip_punctuation: bool = False
    dense_dimension: int | None = None


@dataclass(frozen=True)
class ImageHints:
    """Defaults for an image tower.

    Attributes:
        size: (height, width), None where no file says it.
        settings: further fields of `ImageTower`.
    """

    size: tuple[int, int] | None = None
    settings: dict[str, Any] = field(default_factory=dict)


def text_hints(folder: Path) -> TextHints:
    """Read the hints for texts below ``folder``.

    Raises:
        InvalidInput: a configuration file is not a JSON object, or asks for what is not offered.
    """
    model = read_object(folder / "config_sentence_transformers.json")
    query_prefix, passage_prefix = prefix_hints(model)
    limit = max_tokens_hint(folder)
    return TextHints(
        pooling=_pooling(folder),
        query_prefix=query_prefix,
        passage_prefix=passage_prefix,
        max_query_tokens=min(limit, model.get("query_length") or limit),
        max_passage_tokens=min(limit, model.get("document_length") or limit),
        skip_punctuation=bool(model.get("skiplist_words")),
        dense_dimension=_dense_dimension(folder),
    )


def image_hints(folder: Path) -> ImageHints:
    """Read the hints for images below ``folder``.

    Raises:
        InvalidInput: ``preprocessor_config.json`` asks for what is not offered.
    """
    path = folder / "preprocessor_config.json"
    config = read_object(path)
    if not config:
        return ImageHints()
    settings: dict[str, Any] = {"resize": "stretch"}
    size = _size(config.get("size"))
    if config.get("do_center_crop"):
        cut = _size(config.get("crop_size")) or size
        stretched = isinstance(config.get("size"), dict) and "height" in config["size"]
        if stretched and cut != size:
            raise InvalidInput(
                f"{path}: it stretches to {size} and cuts {cut}; only what keeps its shape is cut"
            )
        if not stretched:
            settings["resize"] = "crop"
            if size and cut and (cut != size or cut[0] != cut[1]):
                settings["shortest_edge"] = size[0]
        size = cut
    elif isinstance(config.get("size"), dict) and "shortest_edge" in config["size"]:
        raise InvalidInput(f"{path}: it keeps the shape of the image; only one fixed size is offered")
    if config.get("resample") in _RESAMPLE:
        settings["resample"] = _RESAMPLE[config["resample"]]
    normalize = config.get("do_normalize", True)
    settings["mean"] = tuple(config.get("image_mean", (0.5,) * 3)) if normalize else (0.0,) * 3
    settings["std"] = tuple(config.get("image_std", (0.5,) * 3)) if normalize else (1.0,) * 3
    settings["rescale"] = config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1.0
    return ImageHints(size, settings)


def mrl_hint(folder: Path, dimension: int) -> tuple[int, ...]:
    """Return to what dimensions vectors of ``dimension`` components may be cut, by ``config.json``.

    Raises:
        InvalidInput: the file is not a JSON object.
    """
    listed = read_object(folder / "config.json").get("matryoshka_dimensions")
    numbers = {value for value in listed if type(value) is int} if isinstance(listed, list) else set()
    return tuple(sorted(value for value in numbers if 0 < value < dimension))


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file, empty where there is no such file.

    Raises:
        InvalidInput: it is not a JSON object.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path}: not JSON: {error}") from None
    if not isinstance(content, dict):
        raise InvalidInput(f"{path}: expected a JSON object, got {type(content).__name__}")
    return content


def _pooling(folder: Path) -> Pooling | None:
    path = folder / "1_Pooling" / "config.json"
    chosen = [
        name for name, on in read_object(path).items() if name.startswith("pooling_mode_") and on is True
    ]
    if not chosen:
        return None
    if len(chosen) > 1 or chosen[0] not in _POOLING:
        raise InvalidInput(f"{path}: {' and '.join(chosen)} is not offered, only {', '.join(_POOLING)}")
    return _POOLING[chosen[0]]


def _dense_dimension(folder: Path) -> int | None:
    found = [read_object(path).get("out_features") for path in sorted(folder.glob("*_Dense/config.json"))]
    return found[-1] if found else None


def prefix_hints(model: dict[str, Any]) -> tuple[str, str]:
    """Return what ``config_sentence_transformers.json`` has put before queries and before passages."""
    prompts = model.get("prompts") or {}
    query = model.get("query_prefix") or prompts.get("query") or ""
    return query, model.get("document_prefix") or prompts.get("document") or prompts.get("passage") or ""


def max_tokens_hint(*folders: Path) -> int:
    """Return the longest text by what the files of the folders say, 512 where they say nothing.

    Raises:
        InvalidInput: a file is not a JSON object.
    """
    known = [
        read_object(folder / name).get(key)
        for folder in folders
        for name, key in (
            ("sentence_bert_config.json", "max_seq_length"),
            ("tokenizer_config.json", "model_max_length"),
            ("config.json", "max_position_embeddings"),
        )
    ]
    limits = [int(value) for value in known if isinstance(value, int | float) and 8 <= value <= 1_000_000]
    return min(limits, default=512)


def _size(value: object) -> tuple[int, int] | None:
    if isinstance(value, int):
        return value, value
    if isinstance(value, dict):
        if "height" in value and "width" in value:
            return value["height"], value["width"]
        if "shortest_edge" in value:
            return value["shortest_edge"], value["shortest_edge"]
    return None
