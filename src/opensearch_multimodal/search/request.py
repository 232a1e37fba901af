"""What can be asked: the question, the profile, and the changes to it for one search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInput
from ..mappings import IndexDescription, Profile, parse_profile
from .compose import Part, parse_parts

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MAX_RESULTS", "Request", "metadata_filter"]

MAX_QUERY_CHARACTERS = 10_000
MAX_RESULTS = 2_000
"""The most results of one search."""

_TOP_LEVEL = frozenset({"acl", "document_id", "modality", "page"})


@dataclass(frozen=True, slots=True)
class Request:
    """One question.

    Attributes:
        query_text: the question in words, or None.
        query_image: an image to search by, or None; one of the two is needed.
        profile: name of a profile of the index.
        k: how many results.
        filter: a query in OpenSearch's query DSL that every result must match, or None.
        overrides: parts of the profile to change for this search; None as a value leaves a stage out.
            ``compose`` in it is a list of further parts of the question, see `compose.parse_parts`.
        fetch: also fetch source, snippet and link of every hit.
        preference: which shard copies answer, None for a random one.
        rerank_until: time by `time.monotonic` after which no further batch is reranked, None for no limit.
    """

    query_text: str | None = None
    query_image: Image | None = None
    profile: str = "default"
    k: int = 10
    filter: Mapping[str, Any] | None = None
    overrides: Mapping[str, Any] | None = None
    fetch: bool = True
    preference: str | None = None
    rerank_until: float | None = None

    def check(self) -> None:
        """Refuse what cannot be searched for.

        Raises:
            InvalidInput: naming the value and its limit.
        """
        if self.query_text is None and self.query_image is None and not self._composes:
            raise InvalidInput("query: give query_text, query_image or both")
        if self.query_text is not None:
            if not self.query_text.strip():
                raise InvalidInput("query_text: is empty")
            if len(self.query_text) > MAX_QUERY_CHARACTERS:
                raise InvalidInput(
                    f"query_text: {len(self.query_text)} characters, the limit is {MAX_QUERY_CHARACTERS}"
                )
            if any("\ud800" <= character <= "\udfff" for character in self.query_text):
                raise InvalidInput("query_text: is not valid Unicode, it has half of a surrogate pair")
        if not 1 <= self.k <= MAX_RESULTS:
            raise InvalidInput(f"k: {self.k} is outside 1–{MAX_RESULTS}")
        if self.filter is not None and len(self.filter) != 1:
            raise InvalidInput(f"filter: expected one query clause, got {len(self.filter)} keys")

    @property
    def _composes(self) -> bool:
        return bool(self.overrides) and "compose" in (self.overrides or {})

    def parts(self) -> tuple[Part, ...]:
        """Return the parts of a composed question, none of a plain one.

        The text and the image that the question has by itself are parts of weight 1, and come first.

        Raises:
            InvalidInput: a part is wrong, or none has a positive weight.
        """
        if not self._composes or not self.overrides:
            return ()
        own = []
        if self.query_image is not None:
            own.append(Part(1.0, image=self.query_image))
        if self.query_text is not None:
            own.append(Part(1.0, text=self.query_text))
        parts = (*own, *parse_parts(self.overrides["compose"]))
        characters = sum(len(part.text or "") for part in parts)
        if characters > MAX_QUERY_CHARACTERS:
            raise InvalidInput(
                f"compose: {characters} characters in all parts, the limit is {MAX_QUERY_CHARACTERS}"
            )
        if all(part.weight < 0 for part in parts):
            raise InvalidInput("compose: every part is negative; give one of positive weight to search for")
        return parts

    def resolve_profile(self, index: IndexDescription) -> Profile:
        """Return the profile of the index with this request's overrides in it."""
        profile = index.profile(self.profile)
        changes = {name: value for name, value in (self.overrides or {}).items() if name != "compose"}
        if not changes:
            return profile
        merged = _merge(profile.model_dump(exclude_none=True), changes)
        return index.check_profile(self.profile, parse_profile(self.profile, merged))


def metadata_filter(conditions: Mapping[str, str] | Iterable[tuple[str, str]]) -> dict[str, Any] | None:
    """Return a filter for conditions such as ``{"type": "pdf", "document_id": "report"}``.

    As pairs, a name may come more than once; every condition must hold. ``acl``, ``document_id``,
    ``modality`` and ``page`` are fields of their own, everything else is metadata.
    """
    pairs = conditions.items() if isinstance(conditions, Mapping) else conditions
    terms = [{"term": {name if name in _TOP_LEVEL else f"metadata.{name}": value}} for name, value in pairs]
    return {"bool": {"filter": terms}} if terms else None


def _merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        known = merged.get(key)
        merged[key] = (
            _merge(known, value) if isinstance(known, dict) and isinstance(value, Mapping) else value
        )
    return merged
