"""A model's tokenizer as one ``tokenizer.json``, shown to give the library's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, normalizers

from ..errors import InvalidInput
from ..models.hints import read_object
from .weights import ONLY_FOLDER, quiet_transformers

__all__ = ["SAMPLE", "SourceTokenizer", "read_tokenizer"]

SAMPLE = (
    "The pump draws cold water from the lower tank; see figure 3.2 (page 14).",
    "Wie öffnet man das Ventil, ohne Öl zu verlieren?",
    "Où se trouve l'élément n° 7 de l'équipement à 400 °C ?",
    "¿Cuántos kilómetros hay entre Málaga y São Paulo?",
    "Как часто нужно менять фильтр насоса?",
    "弁の開け方と、ポンプの保守点検について。",
    "如何更换冷却水过滤器?",
    "كيف أفتح الصمام؟",
    "पंप को कैसे साफ करें?",
    "밸브를 여는 방법",
    "E=mc², ∑ xᵢ ≤ 1e-3, naïve café, ½ turn, \u201cquotes\u201d – and\u2026 a \U0001f600",
    "  two  spaces,\ttabs\nand a line break, then MixedCase_snake-kebab.v2",
    "def f(x): return x**2  # 100% of code",
    "a",
)
"""A multilingual sample, on which tokenizers are compared."""


_FULL = 0.9
"""The share of an embedding's rows that a model's own tokenizer fills; some rows are spare."""
_OWN = 0.5
"""The share below which it is another model's."""


@dataclass(frozen=True)
class SourceTokenizer:
    """What a text tower's tokenizer is made from.

    Attributes:
        content: of ``tokenizer.json``.
        tokenizer: the same, loaded.
        notes: sentences for the report.
    """

    content: bytes
    tokenizer: Tokenizer
    notes: tuple[str, ...] = ()

    def with_special(self, tokens: Sequence[str]) -> SourceTokenizer:
        """Return a tokenizer that takes these tokens of the vocabulary as one, wherever they stand.

        Markers such as ``[unused0]`` are in the vocabulary, but a tokenizer would cut them apart.
        """
        made = Tokenizer.from_str(self.content.decode("utf-8"))
        made.add_special_tokens([token for token in tokens if made.token_to_id(token) is not None])
        return SourceTokenizer(made.to_str().encode("utf-8"), made, self.notes)


def read_tokenizer(folder: Path, rows: int) -> SourceTokenizer:
    """Return the tokenizer of a folder, after comparing it with the model and with transformers.

    Where ``tokenizer.json`` is missing, or transformers changes what it says (by ``add_eos_token`` and the
    like), it is what transformers makes of the folder.

    Args:
        folder: of the tokenizer's files.
        rows: of the model's embedding.

    Raises:
        InvalidInput: there is no tokenizer, or it has more tokens than the embedding has rows, or less
            than half as many, or it lacks the special tokens that its configuration names.
    """
    path = folder / "tokenizer.json"
    library = _library(folder)
    if path.is_file():
        try:
            stored = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises nothing more special
            raise InvalidInput(f"tokenizer: {path} is not a tokenizer: {str(error)[:200]}") from None
        made = _plain(stored)
        notes: tuple[str, ...] = ()
        if library is not None and not _agree(made, library):
            made = _of(library)
            notes = ("tokenizer.json alone gives other tokens than transformers: theirs was written.",)
    elif library is not None and _has_words(library):
        made = _of(library)
        notes = ("There was no tokenizer.json: it was made by transformers from the folder's other files.",)
    else:
        raise InvalidInput(
            f"tokenizer: {folder} has no tokenizer.json, and transformers cannot make one of what is there"
        )
    if library is not None and not _agree(made, library):
        raise InvalidInput(
            f"tokenizer: no tokenizer.json gives the tokens that {type(library).__name__} gives"
        )
    if read_object(folder / "sentence_bert_config.json").get("do_lower_case") is True:
        inner = [made.normalizer] if made.normalizer is not None else []
        made.normalizer = normalizers.Sequence([normalizers.Lowercase(), *inner])
    _check(made, folder, rows)
    count = made.get_vocab_size(with_added_tokens=True)
    if count < _FULL * rows:
        notes += (
            f"The tokenizer has {count} tokens, the model's embedding {rows} rows: is it the model's own?",
        )
    return SourceTokenizer(made.to_str().encode("utf-8"), made, notes)


def _library(folder: Path) -> Any | None:
    """Return the tokenizer of transformers, None where it cannot load one."""
    from transformers import AutoTokenizer

    try:
        with quiet_transformers():
            return AutoTokenizer.from_pretrained(str(folder), **ONLY_FOLDER)
    except Exception:  # many kinds; without it, tokenizer.json is taken at its word
        return None


def _of(library: Any) -> Tokenizer:
    backend = getattr(library, "backend_tokenizer", None)
    if backend is None:
        raise InvalidInput(
            f"tokenizer: {type(library).__name__} of transformers has no tokenizer.json equivalent"
        )
    return _plain(Tokenizer.from_str(backend.to_str()))


def _has_words(library: Any) -> bool:
    """Say whether there are more than special tokens: transformers makes a tokenizer of no files at all."""
    return bool(set(library.get_vocab()) - set(library.all_special_tokens))


def _plain(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _agree(tokenizer: Tokenizer, library: Any) -> bool:
    with quiet_transformers():
        return all(tokenizer.encode(text).ids == list(library(text)["input_ids"]) for text in SAMPLE)


def _check(tokenizer: Tokenizer, folder: Path, rows: int) -> None:
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    token, highest = max(vocabulary.items(), key=lambda item: item[1])
    if highest >= rows:
        raise InvalidInput(
            f"tokenizer: it numbers its {len(vocabulary)} tokens up to {highest} ({token!r}), the model's "
            f"embedding has {rows} rows: it is another model's tokenizer"
        )
    config = read_object(folder / "tokenizer_config.json")
    for name in ("cls_token", "sep_token", "pad_token", "mask_token", "unk_token", "bos_token", "eos_token"):
        value = config.get(name)
        value = value.get("content") if isinstance(value, dict) else value
        if isinstance(value, str) and value not in vocabulary:
            raise InvalidInput(
                f"tokenizer: its tokenizer_config.json names {value!r} as {name}, which its tokenizer.json "
                "lacks: they are of two models"
            )
    if len(vocabulary) < _OWN * rows:
        raise InvalidInput(
            f"tokenizer: it has {len(vocabulary)} tokens, the model's embedding {rows} rows: it is another "
            "model's tokenizer"
        )
