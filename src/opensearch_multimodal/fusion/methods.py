"""Which normalization goes with which combination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from ..errors import InvalidInput
from .combination import COMBINATIONS, COMBINATIONS_OF_RANKS, COMBINATIONS_OF_SCORES
from .normalization import NORMALIZATIONS

__all__ = ["Missing", "check_methods"]

Missing: TypeAlias = Literal["lowest", "skip"]
"""What a missing score counts as: the lowest of the retriever's values, or nothing at all."""

_NEGATIVE = "has negative values, of which there is no {} mean"
_REFUSED: Mapping[tuple[str, str], str] = {
    ("z_score", "geometric_mean"): _NEGATIVE.format("geometric"),
    ("z_score", "harmonic_mean"): _NEGATIVE.format("harmonic"),
    ("z_score", "comb_mnz"): "has negative values, which would make agreement a punishment",
    ("z_score", "dempster_shafer"): "has values outside 0–1, which are no degrees of belief",
    ("collection", "geometric_mean"): _NEGATIVE.format("geometric"),
    ("collection", "harmonic_mean"): _NEGATIVE.format("harmonic"),
    ("collection", "comb_mnz"): "has negative values, which would make agreement a punishment",
    ("collection", "dempster_shafer"): "has values outside 0–1, which are no degrees of belief",
    ("l2", "dempster_shafer"): "gives shares of one length, which are no degrees of belief",
    (
        "softmax",
        "dempster_shafer",
    ): "gives shares of a sum of 1, which are no degrees of belief: even the best "
    "of many candidates would be evidence against itself",
}
"""(normalization, combination) → why they do not go together."""


def check_methods(normalization: str | None, combination: str, missing: str | None = None) -> None:
    """Refuse unknown methods, and those that do not go together.

    Args:
        normalization: a name in `NORMALIZATIONS`, None for combinations of ranks.
        combination: a name in `COMBINATIONS`.
        missing: what a missing score counts as; only ``arithmetic_mean`` leaves the choice.

    Raises:
        InvalidInput: naming both and the reason.
    """
    known = ", ".join(NORMALIZATIONS)
    if combination not in COMBINATIONS:
        raise InvalidInput(f"combination: {combination!r} is not one of {', '.join(COMBINATIONS)}")
    if normalization is not None and normalization not in NORMALIZATIONS:
        raise InvalidInput(f"normalization: {normalization!r} is not one of {known}")
    if combination in COMBINATIONS_OF_RANKS and normalization is not None:
        raise InvalidInput(
            f"combination {combination!r} works on ranks: it takes no normalization, got {normalization!r}"
        )
    if combination in COMBINATIONS_OF_SCORES and normalization is None:
        raise InvalidInput(f"combination {combination!r} needs a normalization: one of {known}")
    reason = _REFUSED.get((normalization or "", combination))
    if reason is not None:
        raise InvalidInput(
            f"normalization {normalization!r} does not go with combination {combination!r}: it {reason}"
        )
    if missing not in (None, "lowest", "skip"):
        raise InvalidInput(f"missing: {missing!r} is not one of lowest, skip")
    if missing == "lowest" and combination != "arithmetic_mean":
        raise InvalidInput(
            f"missing: 'lowest' is for combination 'arithmetic_mean', {combination!r} leaves them out"
        )
