"""Rerankers: a score for a query and a record read together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from ..errors import InvalidInput
from ..models import ModelSpec, locate
from ..types import FloatArray, Input
from .batches import plan_batches
from .content import Content, text_to_encode
from .pairs import PairSequences, PairTokenizer
from .session import OnnxSession
from .text import check_texts

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["OnnxReranker", "Reranker", "RerankerQuery", "load_reranker"]


@dataclass(frozen=True, slots=True)
class RerankerQuery:
    """What is asked.

    Attributes:
        text: the question in words, or None.
        image: the image that is searched by, or None.
    """

    text: str | None = None
    image: Image | None = None


@runtime_checkable
class Reranker(Protocol):
    """Scores records for a query by reading both together.

    A multimodal reranker is one whose ``inputs`` name ``image``: it is given the records' page images, where
    the index keeps them. Hand it to `search.Searcher` under the name that profiles call it by.
    """

    @property
    def query_inputs(self) -> tuple[Input, ...]:
        """What of a query it reads; one of them must be there, or nothing is reranked."""
        ...

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What of a record it reads; a record that has none of it is not handed over."""
        ...

    def score(self, query: RerankerQuery, contents: Sequence[Content]) -> FloatArray:
        """Return one score per record, higher is better.

        A score must not depend on the other records of the call: they are what fits into a batch.

        Args:
            query: the question.
            contents: title, text and image of the records, best first.

        Returns:
            Shape (n,), float32, finite, in the order of ``contents``.
        """
        ...


def load_reranker(
    spec: ModelSpec, *, provider: str = "cpu", threads: int | None = None, folder: Path | None = None
) -> OnnxReranker:
    """Return the cross-encoder of a spec of kind ``reranker``; arguments and errors as in `load.load`."""
    if spec.kind != "reranker":
        raise InvalidInput(f"model '{spec.name}': it is of kind {spec.kind}, not a reranker")
    return OnnxReranker(spec, folder or locate(spec), provider=provider, threads=threads)


class OnnxReranker:
    """A cross-encoder over (query, text) pairs (Nogueira and Cho, 2019, arXiv:1901.04085).

    A text too long for one pair is read in windows, and the best window counts: MaxP (Dai and Callan, 2019,
    arXiv:1905.09217). The score is the model's logit; with two labels, that of the second minus that of the
    first. Safe to use from several threads.

    Attributes:
        spec: the model.
        query_inputs: texts.
        inputs: texts.
    """

    query_inputs: tuple[Input, ...] = ("text",)
    inputs: tuple[Input, ...] = ("text",)

    def __init__(self, spec: ModelSpec, folder: Path, *, provider: str, threads: int | None) -> None:
        """Load the model's files from ``folder``; use `load_reranker`, which finds it."""
        tower = spec.text
        assert tower is not None  # noqa: S101 - the spec's check sees to it
        self.spec = spec
        self._tokenizer = PairTokenizer(folder / tower.tokenizer, tower)
        self._session = OnnxSession(
            folder / tower.onnx,
            "text",
            tower.output,
            provider=provider,
            threads=threads,
            settings=spec.session,
        )

    def score(self, query: RerankerQuery, contents: Sequence[Content]) -> FloatArray:
        """Return one score per record; see `Reranker.score`.

        Raises:
            UnencodableInput: a record's text is blank; ``.index`` says which.
            InvalidInput: the query has no words, or the model gives what is no score.
        """
        if query.text is None:
            raise InvalidInput(f"model '{self.spec.name}' reads no question but words")
        passages = check_texts([text_to_encode(content) for content in contents])
        if not passages:
            return np.empty(0, dtype=np.float32)
        sequences = self._tokenizer.pair(check_texts([query.text])[0], passages)
        scores = np.full(len(passages), -np.inf, dtype=np.float32)
        np.maximum.at(scores, sequences.owners, self._run(sequences))
        return scores

    def _run(self, sequences: PairSequences) -> FloatArray:
        """Return the score of each sequence, shape (s,): batches of similar length, the longest first."""
        scores = np.empty(len(sequences.ids), dtype=np.float32)
        for batch in plan_batches(
            [len(ids) for ids in sequences.ids],
            budget=self._session.budget.tokens,
            most=self._session.budget.items,
            equal="attention_mask" not in self._session.inputs,
        ):
            lengths = np.array([len(sequences.ids[position]) for position in batch])
            positions = np.arange(lengths.max())
            mask = positions < lengths[:, None]
            ids = np.zeros(mask.shape, dtype=np.int64)
            types = np.zeros(mask.shape, dtype=np.int64)
            ids[mask] = np.concatenate([sequences.ids[position] for position in batch])
            types[mask] = np.concatenate([sequences.types[position] for position in batch])
            logits = self._session.run(
                {
                    "input_ids": ids,
                    "attention_mask": mask,
                    "token_type_ids": types,
                    "position_ids": np.broadcast_to(positions, ids.shape),
                }
            )
            scores[batch] = self._checked(logits, len(batch))
        return scores

    def _checked(self, logits: FloatArray, count: int) -> FloatArray:
        labels = self.spec.dimension
        if logits.shape != (count, labels) and (logits.shape != (count,) or labels != 1):
            raise InvalidInput(
                f"model '{self.spec.name}': its output has shape {logits.shape}, expected ({count}, {labels})"
            )
        pairs = logits.reshape(count, labels)
        scores: FloatArray = pairs[:, 0] if labels == 1 else pairs[:, 1] - pairs[:, 0]
        if not np.isfinite(scores).all():
            raise InvalidInput(f"model '{self.spec.name}' gives a score that is NaN or infinite")
        return scores
