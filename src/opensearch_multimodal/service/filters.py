"""What a filter must not hold: queries that would make the service call itself."""

from __future__ import annotations

from typing import Any

from .refusal import Refusal

__all__ = ["check_plain"]

_NOT_PLAIN = frozenset({"multimodal", "multimodal_ranked_documents", "wrapper"})
"""Our own queries, and the one whose content cannot be seen."""

_OF_FIELDS = frozenset(
    {
        "fuzzy",
        "intervals",
        "knn",
        "match",
        "match_bool_prefix",
        "match_phrase",
        "match_phrase_prefix",
        "neural",
        "neural_sparse",
        "prefix",
        "range",
        "regexp",
        "span_term",
        "term",
        "terms",
        "terms_set",
        "wildcard",
    }
)
"""Queries in whose objects names are those of fields. The server plugin has the same list."""


def check_plain(name: str, value: Any) -> None:
    """Refuse a filter that would have a search call the service again, while it holds a place here.

    Raises:
        Refusal: naming the query that is refused.
    """
    waiting: list[tuple[Any, str]] = [(value, "")]
    while waiting:
        at, above = waiting.pop()
        if isinstance(at, list):
            waiting += [(inner, above) for inner in at]
        elif isinstance(at, dict):
            field = above in _OF_FIELDS
            for key, inner in at.items():
                if key in _NOT_PLAIN and not field:
                    raise Refusal(400, "invalid_input", f"{name}: a query '{key}' cannot be part of it")
                waiting.append((inner, "" if field else key))
