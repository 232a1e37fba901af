"""Pairs of query and passage to the token sequences that a cross-encoder reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidInput
from ..models.spec import TextTower
from .text import open_tokenizer

__all__ = ["PairSequences", "PairTokenizer"]


@dataclass(frozen=True, slots=True)
class PairSequences:
    """The token sequences of some pairs.

    Attributes:
        ids: the token ids of each sequence, special tokens included.
        types: 0 for the tokens of the query, 1 for those of the passage, as the tokenizer marks them.
        owners: per sequence the position of its passage, ascending; a long passage has several.
    """

    ids: list[list[int]]
    types: list[list[int]]
    owners: list[int]


class PairTokenizer:
    """A ``tokenizer.json`` that joins two texts by its own template, without the padding it may carry."""

    def __init__(self, path: Path, tower: TextTower) -> None:
        """Load the file.

        Args:
            path: of ``tokenizer.json``.
            tower: ``max_query_tokens`` limits the query, ``max_passage_tokens`` the whole pair.

        Raises:
            EnvironmentProblem: it is not a tokenizer.
            InvalidInput: the limits leave no room for a passage.
        """
        self._tower = tower
        self._tokenizer = open_tokenizer(path)
        self._special: int = self._tokenizer.num_special_tokens_to_add(is_pair=True)
        if tower.max_query_tokens + self._special >= tower.max_passage_tokens:
            raise InvalidInput(
                f"max_query_tokens: {tower.max_query_tokens} and {self._special} special tokens leave no "
                f"room for a passage within max_passage_tokens, {tower.max_passage_tokens}"
            )
        self._tokenizer.enable_truncation(tower.max_passage_tokens, strategy="only_second")
        self._plain = open_tokenizer(path)
        self._plain.enable_truncation(tower.max_query_tokens)

    def pair(self, query: str, passages: Sequence[str]) -> PairSequences:
        """Return the sequences of a query with each passage.

        A passage too long for one sequence is read in windows without overlap, each with the query, or cut
        where the spec's ``long_input`` is ``truncate``. A query that is too long is cut.

        Args:
            query: not blank.
            passages: none blank.
        """
        asked = self._tower.query_prefix + query
        tokens = self._plain.encode(asked, add_special_tokens=False)
        if tokens.overflowing:
            asked = asked[: tokens.offsets[-1][1]]
        prefix = self._tower.passage_prefix
        encodings = self._tokenizer.encode_batch([(asked, prefix + passage) for passage in passages])
        ids: list[list[int]] = []
        types: list[list[int]] = []
        owners: list[int] = []
        for owner, encoding in enumerate(encodings):
            windows = [encoding]
            if self._tower.long_input == "window":
                windows += encoding.overflowing
            for window in windows:
                ids.append(window.ids)
                types.append(window.type_ids)
                owners.append(owner)
        return PairSequences(ids, types, owners)
