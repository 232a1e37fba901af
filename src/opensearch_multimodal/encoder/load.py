"""The encoder of one model: batches in, unit vectors out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import EnvironmentProblem, InvalidInput
from ..models import ModelSpec, locate
from ..types import FloatArray
from .batches import plan_batches
from .pages import PageTower
from .session import OnnxSession
from .text import TextTokenizer, TokenSequences, UnencodableInput, check_texts
from .vectors import pool, unit_rows

__all__ = ["OnnxEncoder", "load"]

_PAGE = (827, 1169)
"""Width and height in pixels of a sheet of A4 at 100 dots per inch."""


def load(
    spec: ModelSpec, *, provider: str = "cpu", threads: int | None = None, folder: Path | None = None
) -> OnnxEncoder:
    """Return the encoder of a model.

    Args:
        spec: the model; its files were fetched by `models.pull`.
        provider: ``cpu``, ``cuda``, ``tensorrt``, ``rocm``, ``migraphx``, ``openvino``, ``directml`` or
            ``coreml``; where it does not load, a `ProviderWarning` says so and the CPU takes over.
        threads: threads that run one operator, None for one per core that this process may use.
        folder: where the files are, instead of the place where `models` keeps them; they are not checked.

    Raises:
        InvalidInput: the spec is a reranker's, or does not fit its ONNX files.
        EnvironmentProblem: a file is missing, damaged, or cannot be loaded.
    """
    if spec.kind == "reranker":
        raise InvalidInput(f"model '{spec.name}': a reranker scores pairs, it does not encode")
    return OnnxEncoder(spec, folder or locate(spec), provider=provider, threads=threads)


class OnnxEncoder:
    """Turns texts and page images into the vectors of one model; see `types.Encoder`.

    A vector does not depend on what else is in its batch: components differ by less than 1e-5 with fp32
    weights. Safe to use from several threads.

    Attributes:
        spec: the model.
        fingerprint: of the model.
        dimension: d of every vector.
    """

    def __init__(self, spec: ModelSpec, folder: Path, *, provider: str, threads: int | None) -> None:
        """Load the model's files from ``folder``; use `load`, which finds it."""
        self.spec = spec
        self.fingerprint = spec.fingerprint
        self.dimension = spec.dimension
        self._truncated = 0
        self._lock = threading.Lock()
        self._projection = _read_projection(spec, folder)
        if spec.text:
            self._tokenizer = TextTokenizer(folder / spec.text.tokenizer)
            self._text = OnnxSession(
                folder / spec.text.onnx,
                "text",
                spec.text.output,
                provider=provider,
                threads=threads,
                settings=spec.session,
            )
            filler = spec.text.query_expansion
            self._filler = None if filler is None else self._tokenizer.token(filler, "query_expansion")
            self._skipped = self._tokenizer.punctuation() if spec.text.skip_punctuation else None
        self._pages = PageTower(spec, folder, provider=provider, threads=threads) if spec.image else None

    @property
    def truncated(self) -> int:
        """How many texts were cut at the model's limit so far (``long_input = "truncate"``)."""
        return self._truncated

    def warm_up(self) -> None:
        """Run every graph once, so that the first caller does not wait for memory, kernels and engines."""
        if self.spec.text:
            self.encode_queries(["warm up"])
        if self.spec.image:
            self.encode_pages([Image.new("RGB", _PAGE, "white")])

    def encode_queries(self, texts: Sequence[str]) -> Any:
        """Encode search queries.

        Args:
            texts: any number, none blank.

        Returns:
            dense: shape (n, d), float32, one unit row per text. multi_vector: a list of n arrays of shape
            (nᵢ, d), float32, a unit row per token. Both in input order.

        Raises:
            UnencodableInput: a text is blank, no text, or has no vector; ``.index`` says which.
            InvalidInput: the model takes no text queries.
        """
        tower = self.spec.text
        if tower is None:
            raise InvalidInput(f"model '{self.spec.name}' does not read text")
        checked = check_texts(texts)
        sequences = self._tokenizer.split(
            checked, tower.query_prefix, tower.max_query_tokens, tower.long_input, tower.query_suffix
        )
        if self._filler is not None:
            sequences = sequences.expanded(
                self._filler, tower.max_query_tokens, attended=tower.expansion_attended
            )
        return self._encode_text(sequences, len(checked), keep_all=True)

    def encode_passages(self, texts: Sequence[str]) -> Any:
        """Encode passages; arguments, result and errors are those of `encode_queries`."""
        tower = self.spec.text
        if tower is None or "text" not in self.spec.inputs:
            raise InvalidInput(f"model '{self.spec.name}' does not read passages, only images")
        checked = check_texts(texts)
        sequences = self._tokenizer.split(
            checked, tower.passage_prefix, tower.max_passage_tokens, tower.long_input, tower.passage_suffix
        )
        return self._encode_text(sequences, len(checked), keep_all=False)

    def encode_pages(self, images: Sequence[Image.Image]) -> Any:
        """Encode page images.

        Args:
            images: any number, of any size and mode.

        Returns:
            As `encode_queries`; a multi_vector model gives a row per patch, or per token of its prompt.

        Raises:
            UnencodableInput: one is no image, has a shape that the model cannot read, or has no vector;
                ``.index`` says which.
            InvalidInput: the model does not read images.
        """
        tower = self.spec.image
        if tower is None or self._pages is None:
            raise InvalidInput(f"model '{self.spec.name}' does not read images")
        rows: list[FloatArray] = [np.empty(0, np.float32)] * len(images)
        for ran in self._pages.run(images):
            vectors = self._vectors(ran.states, ran.mask, ran.mask, tower.pooling)
            for position, found in zip(ran.positions, vectors, strict=True):
                rows[position] = found
        return self._result("images", rows, list(range(len(images))), len(images))

    def _encode_text(self, sequences: TokenSequences, count: int, *, keep_all: bool) -> Any:
        with self._lock:
            self._truncated += sequences.cut
        rows: list[FloatArray] = [np.empty(0, np.float32)] * len(sequences.ids)
        for batch in plan_batches(
            [len(ids) for ids in sequences.ids],
            budget=self._text.budget.tokens,
            most=self._text.budget.items,
            equal="attention_mask" not in self._text.inputs,
        ):
            encoded = self._run_text(sequences, batch, keep_all=keep_all)
            for position, vectors in zip(batch, encoded, strict=True):
                rows[position] = vectors
        return self._result("texts", rows, sequences.owners, count)

    def _run_text(
        self, sequences: TokenSequences, batch: Sequence[int], *, keep_all: bool
    ) -> list[FloatArray]:
        tower = self.spec.text
        assert tower is not None  # noqa: S101 - the callers looked
        chosen = [sequences.ids[position] for position in batch]
        lengths = np.array([len(ids) for ids in chosen])
        positions = np.arange(lengths.max())
        mask = positions < lengths[:, None]
        ids = np.zeros(mask.shape, dtype=np.int64)
        ids[mask] = np.concatenate([np.asarray(sequence, dtype=np.int64) for sequence in chosen])
        attended = mask
        if sequences.attended is not None:
            attended = positions < np.array([sequences.attended[position] for position in batch])[:, None]
        states = self._text.run(
            {
                "input_ids": ids,
                "attention_mask": attended,
                "token_type_ids": np.zeros_like(ids),
                "position_ids": np.broadcast_to(positions, ids.shape),
            }
        )
        kept = mask if keep_all or self.spec.kind == "dense" else self._kept(ids, mask, lengths)
        return self._vectors(states, mask, kept, tower.pooling)

    def _kept(
        self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.bool_], lengths: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Return which states of passages become rows; a passage that would keep none keeps all."""
        tower = self.spec.text
        assert tower is not None  # noqa: S101 - the caller looked
        kept = mask
        if tower.skip_special:
            positions = np.arange(mask.shape[1])
            inner = lengths[:, None] - len(self._tokenizer.tail)
            kept = (positions >= len(self._tokenizer.lead)) & (positions < inner)
        if self._skipped is not None:
            kept = kept & ~np.isin(ids, self._skipped)
        return np.where(kept.any(axis=1, keepdims=True), kept, mask)

    def _vectors(
        self,
        output: FloatArray,
        mask: npt.NDArray[np.bool_],
        kept: npt.NDArray[np.bool_],
        pooling: str,
    ) -> list[FloatArray]:
        """Return per item its unit vector (d,) or its unit rows (nᵢ, d)."""
        if self.spec.kind == "dense":
            return list(self._finish(pool(output, mask, pooling, self.spec.name)))
        if output.ndim != 3 or output.shape[:2] != mask.shape:
            raise InvalidInput(
                f"model '{self.spec.name}': its output has shape {output.shape}, not (n, rows, d)"
            )
        rows = self._finish(output[kept])
        return np.split(rows, np.cumsum(kept.sum(axis=1))[:-1])

    def _finish(self, vectors: FloatArray) -> FloatArray:
        unit = unit_rows(vectors)
        return unit if self._projection is None else unit_rows(unit @ self._projection)

    def _result(self, field: str, rows: list[FloatArray], owners: list[int], count: int) -> Any:
        """Join the windows of each text, after checking that every vector is one."""
        for owner, vectors in zip(owners, rows, strict=True):
            if not np.isfinite(vectors).all():
                reason = f"model '{self.spec.name}' gives a vector that is NaN, infinite or zero"
                raise UnencodableInput(field, owner, reason)
            if vectors.shape[-1] != self.dimension:
                raise InvalidInput(
                    f"model '{self.spec.name}' gives vectors of dimension {vectors.shape[-1]}, "
                    f"its spec says {self.dimension}"
                )
        groups: list[list[FloatArray]] = [[] for _ in range(count)]
        for owner, vectors in zip(owners, rows, strict=True):
            groups[owner].append(vectors)
        if self.spec.kind == "multi_vector":
            return [np.concatenate(group) for group in groups]
        if not groups:
            return np.empty((0, self.dimension), dtype=np.float32)
        return np.stack(
            [group[0] if len(group) == 1 else unit_rows(np.mean(group, axis=0)) for group in groups]
        )


def _read_projection(spec: ModelSpec, folder: Path) -> FloatArray | None:
    if spec.projection is None:
        return None
    path = folder / spec.projection.file
    try:
        matrix = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise EnvironmentProblem(f"{path}: not a .npy array: {error}") from None
    if matrix.ndim != 2 or matrix.shape[1] != spec.dimension:
        raise InvalidInput(f"{path}: shape {matrix.shape}, expected (model dimension, {spec.dimension})")
    return np.asarray(matrix, dtype=np.float32)
