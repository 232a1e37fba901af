"""BERT and its kin: encoders that take ids and a mask."""

from __future__ import annotations

from typing import Any

from ._text import TextFamily

__all__ = ["ARCHITECTURE"]

_COUNTED_FROM_PADDING = {"roberta", "xlm-roberta", "camembert", "mpnet", "xlm-roberta-xl"}
"""They number tokens from the padding id + 1 on, so that many of their positions are never used."""


def _positions(config: dict[str, Any]) -> int | None:
    known = config.get("max_position_embeddings")
    if known is None or config.get("model_type") not in _COUNTED_FROM_PADDING:
        return known
    padding = config.get("pad_token_id")
    return int(known) - (1 if padding is None else int(padding)) - 1


ARCHITECTURE = TextFamily(
    name="BERT family",
    model_types=frozenset(
        {
            *("bert", "roberta", "xlm-roberta", "camembert", "mpnet", "distilbert", "electra", "deberta-v2"),
            *("albert", "nomic_bert", "gte", "eurobert"),
        }
    ),
    attention="eager",
    positions=_positions,
)
"""The family."""
