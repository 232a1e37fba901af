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
        attended: how many of a sequence's first tokens the model attends to, None for all.
    """

    ids: list[list[int]]
    owners: list[int]
    cut: int
    attended: list[int] | None = None

    def expanded(self, token: int, length: int, *, attended: bool) -> TokenSequences:
        """Return the sequences filled up with a token to one length, which none of them exceeds."""
        filled = [sequence + [token] * (length - len(sequence)) for sequence in self.ids]
        seen = None if attended else [len(sequence) for sequence in self.ids]
        return TokenSequences(filled, self.owners, self.cut, seen)


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

    def token(self, text: str, field: str) -> int:
        """Return the id of the token ``text``, which the setting ``field`` names.

        Raises:
            InvalidInput: there is no such token.
        """
        found: int | None = self._tokenizer.token_to_id(text)
        if found is None:
            raise InvalidInput(f"{field}: the tokenizer has no token '{text}'")
        return found

    def split(
        self, texts: Sequence[str], prefix: str, limit: int, long_input: LongInput, suffix: str = ""
    ) -> TokenSequences:
        """Return the token sequences of texts, none longer than ``limit``.

        Args:
            texts: checked by `check_texts`.
            prefix: put before each text, and before each window of a long one.
            limit: the most tokens in a sequence, special tokens included.
            long_input: whether a longer text is read in windows or cut.
            suffix: put after each text, and after each window of a long one, before what the tokenizer ends
                with.

        Raises:
            UnencodableInput: a text has no tokens.
        """
        written = [prefix + text + suffix for text in texts] if prefix or suffix else texts
        encodings = self._tokenizer.encode_batch_fast(written)
        opening: list[int] = self.lead + self._tokenizer.encode(prefix.rstrip(), add_special_tokens=False).ids
        frame: list[int] = (
            self._tokenizer.encode(prefix.rstrip() + suffix).ids if suffix else opening + self.tail
        )
        ids: list[list[int]] = []
        owners: list[int] = []
        cut = 0
        for owner, encoding in enumerate(encodings):
            sequence: list[int] = encoding.ids
            if len(sequence) <= len(frame):
                raise UnencodableInput("texts", owner, f"its {len(texts[owner])} characters give no token")
            windows = [sequence]
            if len(sequence) > limit:
                windows = _windows(sequence, opening, frame, limit, cut=long_input == "truncate")
                cut += long_input == "truncate"
            ids += windows
            owners += [owner] * len(windows)
        return TokenSequences(ids, owners, cut)


def _windows(
    sequence: list[int], opening: list[int], frame: list[int], limit: int, *, cut: bool
) -> list[list[int]]:
    """Cut a long sequence in windows of equal length, each with the prefix, suffix and special tokens.

    Args:
        sequence: of the whole text.
        opening: what a sequence begins with: special tokens and the prefix.
        frame: the sequence of an empty text.
        limit: the most tokens in a window.
        cut: keep the first window only, at its full length.
    """
    # A tokenizer may merge the end of the prefix with the text, or the beginning of the suffix: what all
    # sequences share is the prefix, and the suffix.
    head = sequence[: _shared(sequence, opening)]
    rest = sequence[len(head) :]
    count = _shared(rest[::-1], frame[len(opening) :][::-1])
    body, tail = rest[: len(rest) - count], rest[len(rest) - count :]
    room = limit - len(head) - count
    if room < 1:
        raise InvalidInput(
            f"prefix and suffix: their {len(head) + count} tokens leave no room within {limit} tokens"
        )
    if cut:
        return [head + body[:room] + tail]
    windows = -(-len(body) // room)
    cuts = [position * len(body) // windows for position in range(windows + 1)]
    return [head + body[start:end] + tail for start, end in pairwise(cuts)]


def _shared(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many elements two sequences begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))


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
