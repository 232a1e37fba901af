"""Texts to token sequences that fit a model: prefixes, special tokens, windows of long texts."""

from __future__ import annotations

import os
import string
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from pathlib import Path

import numpy as np
import numpy.typing as npt

# tokenizers would start a thread per core, for 1% of the work, and warn after every fork.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from tokenizers import Tokenizer

from ..errors import EnvironmentProblem, InvalidInput
from ..models.spec import LongInput

__all__ = ["TextTokenizer", "TokenSequences", "UnencodableInput", "check_texts", "open_tokenizer"]


class UnencodableInput(InvalidInput):
    """One input of a batch has no vector.

    Attributes:
        index: its position in the batch.
        reason: why, quoting nothing of it.
    """

    def __init__(self, field: str, index: int, reason: str) -> None:
        """Name the input and say why."""
        self.index = index
        self.reason = reason
        super().__init__(f"{field}[{index}]: {reason}")


@dataclass(frozen=True, slots=True)
class TokenSequences:
    """The token sequences of a batch of texts.

    Attributes:
        ids: the token ids of each sequence, special tokens included.
        owners: per sequence the position of its text, ascending; a long text has several.
        cut: how many texts were cut at the model's limit.
    """

    ids: list[list[int]]
    owners: list[int]
    cut: int


def open_tokenizer(path: Path) -> Tokenizer:
    """Return the tokenizer of a ``tokenizer.json``, without the padding and truncation that it may carry.

    Raises:
        EnvironmentProblem: it is not a tokenizer.
    """
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing more special
        raise EnvironmentProblem(f"{path}: not a tokenizer: {error}") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


class TextTokenizer:
    """A ``tokenizer.json``, without the padding and truncation that it may carry."""

    def __init__(self, path: Path) -> None:
        """Load the file.

        Raises:
            EnvironmentProblem: it is not a tokenizer.
        """
        self._tokenizer = open_tokenizer(path)
        example = self._tokenizer.encode("a")
        plain = np.flatnonzero(np.array(example.special_tokens_mask) == 0)
        self.lead: list[int] = example.ids[: plain[0]] if plain.size else []
        self.tail: list[int] = example.ids[plain[-1] + 1 :] if plain.size else []

    def punctuation(self) -> npt.NDArray[np.int64]:
        """Return the ids of the tokens that are one ASCII punctuation character each."""
        encodings = self._tokenizer.encode_batch(list(string.punctuation), add_special_tokens=False)
        return np.unique([encoding.ids[0] for encoding in encodings if len(encoding.ids) == 1])

    def split(self, texts: Sequence[str], prefix: str, limit: int, long_input: LongInput) -> TokenSequences:
        """Return the token sequences of texts, none longer than ``limit``.

        Args:
            texts: checked by `check_texts`.
            prefix: put before each text, and before each window of a long one.
            limit: the most tokens in a sequence, special tokens included.
            long_input: whether a longer text is read in windows or cut.

        Raises:
            UnencodableInput: a text has no tokens.
        """
        encodings = self._tokenizer.encode_batch_fast([prefix + text for text in texts] if prefix else texts)
        opening: list[int] = self._tokenizer.encode(prefix.rstrip(), add_special_tokens=False).ids
        empty = len(self.lead) + len(opening) + len(self.tail)
        ids: list[list[int]] = []
        owners: list[int] = []
        cut = 0
        for owner, encoding in enumerate(encodings):
            sequence: list[int] = encoding.ids
            if len(sequence) <= empty:
                raise UnencodableInput("texts", owner, f"its {len(texts[owner])} characters give no token")
            windows = [sequence] if len(sequence) <= limit else self._windows(sequence, opening, limit)
            if long_input == "truncate" and len(windows) > 1:
                windows = [sequence[: limit - len(self.tail)] + self.tail]
                cut += 1
            ids += windows
            owners += [owner] * len(windows)
        return TokenSequences(ids, owners, cut)

    def _windows(self, sequence: list[int], opening: list[int], limit: int) -> list[list[int]]:
        """Cut a long sequence in windows of equal length, each with the prefix and the special tokens."""
        # A tokenizer may merge the end of the prefix with the text: what they share is the prefix.
        shared = takewhile(lambda pair: pair[0] == pair[1], zip(self.lead + opening, sequence, strict=False))
        head = [token for token, _ in shared]
        body = sequence[len(head) : len(sequence) - len(self.tail)]
        room = limit - len(head) - len(self.tail)
        if room < 1:
            raise InvalidInput(f"prefix: its {len(opening)} tokens leave no room within {limit} tokens")
        count = -(-len(body) // room)
        cuts = [position * len(body) // count for position in range(count + 1)]
        return [head + body[start:end] + self.tail for start, end in pairwise(cuts)]


def check_texts(texts: Sequence[str]) -> list[str]:
    """Return the texts as a list if each of them can be encoded.

    Raises:
        InvalidInput: not a sequence of texts.
        UnencodableInput: one is no text, is blank, or holds a lone surrogate.
    """
    if isinstance(texts, str | bytes):
        raise InvalidInput(f"texts: expected a sequence of texts, got one {type(texts).__name__}")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise UnencodableInput("texts", index, f"expected a text, got {type(text).__name__}")
        if not text or text.isspace():
            raise UnencodableInput("texts", index, f"its {len(text)} characters are blank")
        if not text.isascii():
            try:
                text.encode("utf-8")
            except UnicodeEncodeError as error:
                raise UnencodableInput(
                    "texts", index, f"character {error.start} is a lone surrogate, which no encoding has"
                ) from None
    return list(texts)
