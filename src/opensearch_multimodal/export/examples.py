"""Generated texts for the parity report, and how they are padded into batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from tokenizers import Tokenizer

from .graphs import Batch
from .tokens import SAMPLE

__all__ = ["TextExamples", "collate_text", "widen_text"]

_LONGEST = 384
"""Tokens of the longest example: attention on a CPU costs their square."""
_SHORT = 12


@dataclass(frozen=True)
class TextExamples:
    """Makes token sequences out of words of a tokenizer's vocabulary, of many lengths, the first the longest.

    Attributes:
        tokenizer: the model's.
        limit: the most tokens in a sequence.
        pairs: whether each is a pair of texts.
        names: the inputs wanted: input_ids, attention_mask, token_type_ids.
        filled: for every second one, (token id, length): it is filled up with that token to that length.
        attended: whether the filling is attended.
    """

    tokenizer: Tokenizer
    limit: int
    pairs: bool = False
    names: tuple[str, ...] = ("input_ids", "attention_mask")
    filled: tuple[int, int] | None = None
    attended: bool = False
    _words: list[str] = field(default_factory=list)

    def __call__(self, rng: np.random.Generator, count: int) -> list[Batch]:
        """Return ``count`` sequences, each as a batch of one."""
        longest = min(self.limit, _LONGEST)
        self.tokenizer.enable_truncation(longest)
        examples = []
        for number in range(count):
            words = longest if number == 0 else int(np.exp(rng.uniform(0, np.log(longest))))
            filling = self.filled if number % 2 else None
            if filling:
                words = min(words, _SHORT)
                self.tokenizer.enable_truncation(min(longest, filling[1]))
            examples.append(self._example(rng, words, filling))
            self.tokenizer.enable_truncation(longest)
        self.tokenizer.no_truncation()
        return examples

    def widen(self, example: Batch) -> Batch:
        """Return a sequence with a few tokens of padding more, as many as the model can number."""
        return {name: _padded(array, min(self.limit, array.shape[1] + 7)) for name, array in example.items()}

    def _example(self, rng: np.random.Generator, words: int, filling: tuple[int, int] | None) -> Batch:
        text = self._text(rng, words)
        encoding = (
            self.tokenizer.encode(self._text(rng, min(words, _SHORT)), text)
            if self.pairs
            else self.tokenizer.encode(text)
        )
        ids, types, mask = list(encoding.ids), list(encoding.type_ids), [1] * len(encoding.ids)
        if filling and len(ids) < filling[1]:
            rest = filling[1] - len(ids)
            ids, types = ids + [filling[0]] * rest, types + [0] * rest
            mask += [int(self.attended)] * rest
        arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        return {name: np.array([arrays[name]], dtype=np.int64) for name in self.names}

    def _text(self, rng: np.random.Generator, words: int) -> str:
        if not self._words:
            vocabulary = sorted(self.tokenizer.get_vocab(with_added_tokens=False))
            plain = (token.removeprefix("##").strip("Ġ▁ ") for token in vocabulary)
            self._words.extend(word for word in plain if word and not (word[0] in "[<" and word[-1] in "]>"))
        drawn = [self._words[i] for i in rng.integers(0, len(self._words), size=words)]
        sentence = SAMPLE[int(rng.integers(0, len(SAMPLE)))]
        return " ".join([*drawn[: words // 2], sentence, *drawn[words // 2 :]] if words > _SHORT else drawn)


def collate_text(examples: Sequence[Batch]) -> Batch:
    """Return one batch of sequences, padded at the right with 0."""
    longest = max(example["input_ids"].shape[1] for example in examples)
    return {
        name: np.concatenate([_padded(example[name], longest) for example in examples])
        for name in examples[0]
    }


def widen_text(example: Batch) -> Batch:
    """Return a sequence with a few tokens of padding more, for models that number as many as there are."""
    return {name: _padded(array, array.shape[1] + 7) for name, array in example.items()}


def _padded(
    array: np.ndarray[tuple[int, ...], np.dtype[np.int64]], length: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.pad(array, ((0, 0), (0, length - array.shape[1])))
