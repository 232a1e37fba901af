"""What an export has to reach, and what it did: records, and the refusal of what is outside."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..errors import InvalidInput
from .graphs import Precision

__all__ = [
    "TOLERANCES",
    "GraphParity",
    "Parity",
    "PreprocessingParity",
    "RankingParity",
    "Tolerance",
    "refuse_outside",
]


@dataclass(frozen=True)
class Tolerance:
    """How far an ONNX file may be from the original.

    Attributes:
        cosine: the least cosine of a vector.
        correlation: of a reranker's logits, the least.
        difference: the largest difference of a component of unit vectors; None does not limit it.
        padding: the largest change of a component by what else is in the batch; None does not limit it.
        order: the least share of decided pairs that keep their order; None does not limit it.
        batch_dependent: whether vectors of this precision change with their batch-mates by their nature.
    """

    cosine: float
    correlation: float
    difference: float | None
    padding: float | None
    order: float | None = None
    batch_dependent: bool = False


TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(0.99999, 0.99999, 1e-4, 1e-5, order=1.0),
    "fp16": Tolerance(0.999, 0.999, 2e-2, 1e-3),
    "int8-weights": Tolerance(0.999, 0.99, None, 1e-3),
    "int8-dynamic": Tolerance(0.95, 0.9, None, None, batch_dependent=True),
}
"""What each precision has to reach."""


@dataclass(frozen=True)
class GraphParity:
    """One ONNX file beside the original.

    Differences are of the components of unit vectors, which is what is indexed; of logits, as they are.

    Attributes:
        file: the ONNX file.
        logits: whether it gives logits, not vectors.
        examples: how many generated inputs.
        rows: how many vectors they have.
        sizes: the sizes of the inputs, such as ``3–384 t``.
        batches: the sizes of the batches.
        max_difference: the largest, alone and in batches.
        mean_difference: the mean.
        cosine_min: the least; of logits, their correlation.
        cosine_mean: the mean.
        relative_error: root mean square of the differences by that of the vectors around their mean: small
            even where all vectors are alike and every cosine is therefore near 1.
        padding_difference: the largest change of a component by batch-mates or by more padding.
    """

    file: str
    logits: bool
    examples: int
    rows: int
    sizes: str
    batches: tuple[int, ...]
    max_difference: float
    mean_difference: float
    cosine_min: float
    cosine_mean: float
    relative_error: float
    padding_difference: float


@dataclass(frozen=True)
class RankingParity:
    """Rankings of generated passages or pages by generated queries, beside the original's.

    Attributes:
        score: ``inner product``, ``MaxSim`` or ``logit``.
        queries: how many.
        passages: how many for each.
        max_difference: the largest difference of a score.
        kendall_tau: the mean over queries.
        decided_kept: the share of pairs whose original scores differ by more than 1e-4 (MaxSim: for each row
            of the query) that keep their order.
        identical: the share of queries with the whole order kept, apart from such ties.
    """

    score: str
    queries: int
    passages: int
    max_difference: float
    kendall_tau: float
    decided_kept: float
    identical: float


@dataclass(frozen=True)
class PreprocessingParity:
    """What one tower reads, beside what the folder's processor makes of the same input.

    Attributes:
        what: ``pages`` or ``queries``.
        processor: the class of transformers.
        examples: how many inputs.
        max_difference: of a component of a pixel, normalised; 0 for queries, whose tokens are the same.
        prompt: whether the tokens of a prompt took part; they are the same.
    """

    what: str
    processor: str
    examples: int
    max_difference: float
    prompt: bool


@dataclass(frozen=True)
class Parity:
    """The report of one export.

    Attributes:
        precision: of the ONNX files.
        graphs: each ONNX file.
        ranking: what the vectors are for.
        tolerance: what had to be reached.
        notes: what else is to be known.
        preprocessing: what the graphs are given, beside what the folder's processor gives.
    """

    precision: Precision
    graphs: tuple[GraphParity, ...]
    ranking: RankingParity
    tolerance: Tolerance
    notes: tuple[str, ...] = ()
    preprocessing: tuple[PreprocessingParity, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def refuse_outside(parity: Parity, name: str) -> None:
    """Raise `InvalidInput` if a report is outside the tolerance of its precision."""
    limits = parity.tolerance
    for graph in parity.graphs:
        where = f"parity: {graph.file} of '{name}' in {parity.precision}"
        what, least = ("correlation", limits.correlation) if graph.logits else ("cosine", limits.cosine)
        if not graph.cosine_min >= least:
            raise InvalidInput(
                f"{where} reaches a {what} of {graph.cosine_min:.6f} to the original, less than "
                f"{least}: nothing was kept{_remedy(parity.precision)}"
            )
        if limits.difference is not None and not graph.max_difference <= limits.difference:
            raise InvalidInput(
                f"{where} differs from the original by up to {graph.max_difference:.2g}, more than "
                f"{limits.difference:g}: nothing was kept{_remedy(parity.precision)}"
            )
        if limits.padding is not None and not graph.padding_difference <= limits.padding:
            raise InvalidInput(
                f"{where} gives vectors that change by up to {graph.padding_difference:.2g} with padding or "
                f"batch-mates, more than {limits.padding:g}: nothing was kept"
            )
    if limits.order is not None and not parity.ranking.decided_kept >= limits.order:
        raise InvalidInput(
            f"parity: '{name}' in {parity.precision} keeps the order of {parity.ranking.decided_kept:.2%} of "
            f"the pairs that the original ranks, less than {limits.order:.2%}: nothing was kept"
        )


def _remedy(precision: Precision) -> str:
    return "" if precision == "fp32" else "; try --precision fp32"
