"""A model's folder: what it says of itself, its weights and its tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..models.hints import read_object
from .tokens import SourceTokenizer, read_tokenizer
from .weights import check_weights, load_model, read_tensor

__all__ = ["Source"]


@dataclass(frozen=True)
class Source:
    """A folder with a model of transformers, or of sentence-transformers around one.

    Attributes:
        root: the whole folder, with ``modules.json`` where sentence-transformers wrote it.
        folder: the one with ``config.json``: ``root``, or the folder of its Transformer module.
        config: ``config.json``.
        origin: where it was published, empty where nothing says so.
        revision: of the origin.
        licence: SPDX id where the folder's word for it is one we know.
    """

    root: Path
    folder: Path
    config: dict[str, Any]
    origin: str = ""
    revision: str = ""
    licence: str = "unknown"

    def read(self, name: str) -> dict[str, Any]:
        """Return the JSON object of a file, beside the weights or else in the whole folder; empty without.

        Raises:
            InvalidInput: it is not a JSON object.
        """
        return read_object(self.folder / name) or read_object(self.root / name)

    def weights(self) -> int:
        """Return the bytes of the weights; see `weights.check_weights`."""
        return check_weights(self.folder)

    def model(self, load: Callable[..., Any], *, unused: Collection[str] = (), **settings: Any) -> Any:
        """Return the model with every weight from the folder; see `weights.load_model`."""
        return load_model(load, self.folder, unused=unused, **settings)

    def tensor(self, *names: str) -> Any:
        """Return the one tensor of the checkpoint that has one of these names; see `weights.read_tensor`."""
        return read_tensor(self.folder, names)

    def tokenizer(self, rows: int) -> SourceTokenizer:
        """Return the tokenizer, checked against the rows of the embedding; see `tokens.read_tokenizer`."""
        folder = self.folder if (self.folder / "tokenizer_config.json").is_file() else self.root
        return read_tokenizer(folder, rows)
