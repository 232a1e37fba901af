"""How large fixed dimensional encodings must be: expected recall and bytes of parameter sets, on a sample.

What counts is whether the records that exact MaxSim ranks first are among the first that the encodings find.
A sample of N records of M answers that for all M: each of the M's best T is in it with probability N/M, where
they are its best again, so its best T·N/M stand for them; and a record with r others above it in the sample
has about r·M/N above it among all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .errors import InvalidInput
from .fde import FdeParameters, encode_document, encode_query, quantize_document, quantize_query
from .maxsim import maxsim, stack
from .types import FloatArray, check_multi_vector

__all__ = ["COMMON_SIZES", "FdeEstimate", "estimate_fde", "expected_recall"]

COMMON_SIZES = tuple(
    FdeParameters(repetitions, bits, projection)
    for repetitions, bits, projection in (
        (10, 3, 8), (20, 3, 8), (20, 3, 16), (20, 4, 8), (20, 4, 16), (40, 4, 8), (20, 4, 32), (20, 5, 16)
    )
)  # fmt: skip
"""Parameter sets worth comparing, 640 to 10,240 bytes, by size."""

_ROWS_AT_ONCE = 200_000


@dataclass(frozen=True, slots=True)
class FdeEstimate:
    """What a parameter set is expected to give.

    Attributes:
        parameters: the set.
        bytes: of one record's encoding.
        recall: expected share of the exact best that are found, over the queries.
        low: lower end of its 95% interval (normal approximation over the queries).
        high: upper end.
        encode_ms: CPU milliseconds to encode one record.
    """

    parameters: FdeParameters
    bytes: int
    recall: float
    low: float
    high: float
    encode_ms: float


def estimate_fde(
    documents: Sequence[npt.ArrayLike],
    queries: Sequence[npt.ArrayLike],
    parameters: Sequence[FdeParameters] = COMMON_SIZES,
    *,
    population: int | None = None,
    top: int = 10,
    depth: int = 100,
    own: Sequence[int | None] | None = None,
) -> list[FdeEstimate]:
    """State the expected recall and the bytes of parameter sets, against exact MaxSim.

    Args:
        documents: N arrays of shape (pᵢ, d), a uniform sample of the records, at least 2.
        queries: arrays of shape (nᵢ, d), at least 1.
        parameters: what to compare.
        population: how many records M there are, None for N.
        top: how many of the exact best shall be found.
        depth: among how many found by the encodings.
        own: per query the document that it was made from, which is left out, or None.

    Returns:
        One estimate per parameter set, in order.

    Raises:
        InvalidInput: too few documents or queries, wrong shapes, or limits that make no sense.
    """
    everything = len(documents) if population is None else population
    if len(documents) < 2 or not queries or everything < len(documents) or min(top, depth) < 1:
        raise InvalidInput(
            f"sizing: {len(documents)} documents of {everything}, {len(queries)} queries, top {top}, depth "
            f"{depth}; at least 2, 1, 1 and 1, and no more documents than there are"
        )
    rows = [check_multi_vector(f"document {i}", document) for i, document in enumerate(documents)]
    asked = [check_multi_vector(f"query {i}", query) for i, query in enumerate(queries)]
    hidden = own or [None] * len(asked)
    exact = _without_own(_exact_scores(rows, asked), hidden)
    estimates = []
    for one in parameters:
        started = time.thread_time()
        codes = np.stack([quantize_document(encode_document(document, one)) for document in rows])
        spent = time.thread_time() - started
        wanted = np.stack([quantize_query(encode_query(query, one)) for query in asked])
        found = expected_recall(
            exact, _without_own(_products(codes, wanted), hidden), everything, top=top, depth=depth
        )
        middle = float(found.mean())
        margin = 1.96 * float(found.std(ddof=1)) / math.sqrt(len(found)) if len(found) > 1 else 1.0
        estimates.append(
            FdeEstimate(
                parameters=one,
                bytes=codes.shape[1],
                recall=middle,
                low=max(0.0, middle - margin),
                high=min(1.0, middle + margin),
                encode_ms=1000 * spent / len(rows),
            )
        )
    return estimates


def expected_recall(
    exact: npt.NDArray[np.floating],
    approximate: npt.NDArray[np.floating],
    population: int,
    *,
    top: int,
    depth: int,
) -> npt.NDArray[np.float64]:
    """Return per query the expected share of the exact best ``top`` among the first ``depth``.

    Args:
        exact: shape (q, N), the exact scores of a sample; −∞ leaves a record out for a query.
        approximate: shape (q, N), the scores that find them; of equal ones half are taken to be above.
        population: the number of records M that the sample stands for, at least N.
        top: how many of the M count.
        depth: how many of the M are looked at.

    Returns:
        Shape (q,), 0 to 1.
    """
    size = exact.shape[1]
    share = size / population
    targets = min(max(1, round(top * share)), size)
    best = np.argsort(-exact, axis=1, kind="stable")[:, :targets]
    scores = np.take_along_axis(approximate, best, axis=1)
    above = (approximate[:, None, :] > scores[:, :, None]).sum(axis=2)
    equal = (approximate[:, None, :] == scores[:, :, None]).sum(axis=2) - 1
    found: npt.NDArray[np.float64] = ((above + equal / 2) / share < depth).mean(axis=1)
    return found


def _exact_scores(documents: Sequence[FloatArray], queries: Sequence[FloatArray]) -> FloatArray:
    """Return MaxSim of every query with every document, (q, N), some documents at a time."""
    parts: list[FloatArray] = []
    group: list[FloatArray] = []
    for position, document in enumerate(documents):
        group.append(document)
        if sum(map(len, group)) >= _ROWS_AT_ONCE or position == len(documents) - 1:
            stacked = stack(group)
            parts.append(np.stack([maxsim(query, stacked) for query in queries]))
            group = []
    return np.concatenate(parts, axis=1)


def _products(codes: npt.NDArray[np.int8], queries: npt.NDArray[np.int8]) -> FloatArray:
    """Return the inner products of bytes, (q, N): in float32 their ranking is exact enough, and fast."""
    wanted = queries.astype(np.float32).T
    blocks = np.array_split(codes, -(-codes.size // 50_000_000))
    return np.concatenate([block.astype(np.float32) @ wanted for block in blocks]).T


def _without_own(scores: FloatArray, own: Sequence[int | None]) -> FloatArray:
    for query, document in enumerate(own):
        if document is not None:
            scores[query, document] = -np.inf
    return scores
