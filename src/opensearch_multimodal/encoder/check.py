"""Run a model to see that it keeps what its spec promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ..errors import InvalidInput
from ..models import ModelSpec
from .load import load
from .reranker import RerankerQuery, load_reranker

__all__ = ["ModelCheck", "check_model"]

_TEXTS = (
    "The pump draws cold water from the lower tank.",
    "Invoices are due within thirty days.",
    "Wie öffnet man das Ventil? 弁の開け方 – ½ turn to the left, then wait until the red lamp goes out.",
    "A chart of sales by region and quarter. " * 40,
)
_TOLERANCE = 1e-3
"""The largest difference of a component that half-precision arithmetic explains."""


@dataclass(frozen=True)
class ModelCheck:
    """What a run showed.

    Attributes:
        dimension: of the vectors.
        batch_difference: the largest difference of one component between an input encoded alone and in a
            batch.
        inputs: what was tried: ``queries``, ``passages``, ``pages``; ``pairs`` for a reranker.
    """

    dimension: int
    batch_difference: float
    inputs: tuple[str, ...]

    @property
    def batch_dependent(self) -> bool:
        """Whether half-precision arithmetic does not explain that difference."""
        return self.batch_difference > _TOLERANCE


def check_model(
    spec: ModelSpec, *, folder: Path | None = None, allow_batch_dependence: bool = False
) -> ModelCheck:
    """Run a model on a few inputs.

    Args:
        spec: the model; one that says of itself that it is batch-dependent may be.
        folder: where its files are, instead of where `models` keeps them.
        allow_batch_dependence: accept vectors that change with what else is in the batch.

    Raises:
        InvalidInput: it cannot be run, has another dimension, gives vectors that are not finite, gives
            different inputs the same vector, or gives an input another vector in another batch.
        EnvironmentProblem: a file is missing, damaged, or cannot be loaded.
    """
    if spec.kind == "reranker":
        worst = _check_reranker(spec, folder)
        _require_independent(spec, worst, allow_batch_dependence)
        return ModelCheck(spec.dimension, worst, ("pairs",))
    encoder = load(spec, folder=folder)
    runs: dict[str, tuple[Callable[[Sequence[Any]], Any], Sequence[Any]]] = {}
    if spec.text:
        runs["queries"] = (encoder.encode_queries, _TEXTS)
    if "text" in spec.inputs:
        runs["passages"] = (encoder.encode_passages, _TEXTS)
    if spec.image:
        runs["pages"] = (encoder.encode_pages, _images())
    differences = []
    for name, (encode, inputs) in runs.items():
        try:
            together, alone = _matrices(encode(inputs)), [_matrices(encode([one]))[0] for one in inputs]
        except InvalidInput:
            raise
        except Exception as error:  # the runtime's exceptions have no common base but this
            reason = " ".join(str(error).split())[:300]
            raise InvalidInput(f"model '{spec.name}' fails on {name}: {reason}") from None
        _require_different(spec.name, name, alone)
        differences.append(_difference(spec.name, name, together, alone))
    worst = max(differences)
    _require_independent(spec, worst, allow_batch_dependence)
    return ModelCheck(encoder.dimension, worst, tuple(runs))


def _require_independent(spec: ModelSpec, worst: float, allow_batch_dependence: bool) -> None:
    if worst > _TOLERANCE and not (allow_batch_dependence or spec.batch_dependent):
        what = "score" if spec.kind == "reranker" else "vector"
        raise InvalidInput(
            f"model '{spec.name}': a {what} changes by up to {worst:.3g} with what else is in the batch, "
            f"more than {_TOLERANCE:g}, as with dynamic quantisation: what is encoded again would differ"
        )


@dataclass(frozen=True)
class _Passage:
    text: str
    title: str = ""
    image: None = None


def _check_reranker(spec: ModelSpec, folder: Path | None) -> float:
    """Return by how much a score differs in a batch; refuse scores that do not depend on both texts."""
    reranker = load_reranker(spec, folder=folder)
    passages = [_Passage(text) for text in _TEXTS]
    queries = [RerankerQuery(_TEXTS[0]), RerankerQuery(_TEXTS[1])]
    try:
        together = [reranker.score(query, passages) for query in queries]
        alone = np.array([reranker.score(queries[0], [one])[0] for one in passages])
    except InvalidInput:
        raise
    except Exception as error:  # the runtime's exceptions have no common base but this
        reason = " ".join(str(error).split())[:300]
        raise InvalidInput(f"model '{spec.name}' fails on pairs: {reason}") from None
    if np.ptp(together[0]) < 1e-6:
        raise InvalidInput(f"model '{spec.name}' gives different passages the same score")
    if np.abs(together[0] - together[1]).max() < 1e-6:
        raise InvalidInput(f"model '{spec.name}' gives different queries the same scores")
    return float(np.abs(together[0] - alone).max())


def _matrices(encoded: Any) -> list[Any]:
    return [np.atleast_2d(vectors) for vectors in encoded]


def _require_different(model: str, name: str, vectors: Sequence[Any]) -> None:
    for first, second in pairwise(vectors):
        if first.shape == second.shape and np.abs(first - second).max() < 1e-6:
            raise InvalidInput(f"model '{model}' gives different {name} the same vector")


def _difference(model: str, name: str, together: Sequence[Any], alone: Sequence[Any]) -> float:
    for first, second in zip(together, alone, strict=True):
        if first.shape != second.shape:
            raise InvalidInput(
                f"model '{model}' gives one of the {name} {len(second)} rows alone, {len(first)} in a batch"
            )
    return max(float(np.abs(first - second).max()) for first, second in zip(together, alone, strict=True))


def _images() -> list[Image.Image]:
    drawn = []
    for number, size in enumerate([(620, 877), (1280, 720), (300, 300)]):
        image = Image.new("RGB", size, (255, 255 - 60 * number, 255))
        pen = ImageDraw.Draw(image)
        for line in range(3 + 4 * number):
            pen.rectangle(
                (20, 20 + 22 * line, size[0] - 40 - 11 * line, 30 + 22 * line), fill=(line * 9, 40, 90)
            )
        drawn.append(image)
    return drawn
