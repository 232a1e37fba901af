"""Check that an index can be searched by a profile: every field is there, and of the kind that is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InvalidInput
from ..fusion import check_methods
from .meta import BinaryField, FdeField, Meta, Profile, SourceField

__all__ = ["DOCUMENT", "check_profile", "check_profiles", "document_field", "scored_field"]

DOCUMENT = "document_id"
"""The field that says which document a record belongs to."""

_FIELD_KINDS: dict[str, type] = {
    "dense": SourceField,
    "binary": BinaryField,
    "fde": FdeField,
    "late_interaction": SourceField,
}


def check_profiles(meta: Meta, properties: Mapping[str, Any]) -> None:
    """Check every profile of an index, and every name that stands for another.

    Args:
        meta: what the index says of itself.
        properties: its field mappings.

    Raises:
        InvalidInput: the first that the index cannot be searched by.
    """
    for name, profile in meta.profiles.items():
        if isinstance(profile, Profile):
            check_profile(meta, properties, name, profile)
            continue
        seen = [name]
        target: Profile | str | None = profile
        while isinstance(target, str):
            if target in seen:
                raise InvalidInput(f"profile '{name}': {' → '.join([*seen, target])} goes round in a circle")
            seen.append(target)
            target = meta.profiles.get(target)
        if target is None:
            known = ", ".join(sorted(set(meta.profiles) - {name})) or "none"
            raise InvalidInput(f"profile '{name}': it stands for '{seen[-1]}', which is not among {known}")


def check_profile(meta: Meta, properties: Mapping[str, Any], name: str, profile: Profile) -> Profile:
    """Return ``profile`` if every field that it names is there and of the right kind.

    Args:
        meta: what the index says of itself.
        properties: its field mappings.
        name: the profile's name, for errors.
        profile: the profile.

    Raises:
        InvalidInput: a field is missing or of another kind, methods do not go together, nothing finds
            candidates, or a stage works on what no retriever scores.
    """
    for retriever in profile.retrievers:
        _check_retriever(meta, properties, name, retriever.type, retriever.field)
    if all(retriever.type == "late_interaction" for retriever in profile.retrievers):
        raise InvalidInput(
            f"profile '{name}': late_interaction only scores what others find: add a retriever of type bm25, "
            "dense, binary or fde"
        )
    scored = {scored_field(meta, retriever.field) for retriever in profile.retrievers}
    if len(scored) > 1 and profile.fusion is None:
        raise InvalidInput(f"profile '{name}': several retrievers need 'fusion'")
    if profile.fusion is not None:
        fusion = profile.fusion
        check_methods(fusion.normalization, fusion.combination, fusion.missing)
    if profile.refine is not None:
        for field in (profile.refine.primary, *profile.refine.complementary):
            if field not in scored:
                raise InvalidInput(f"profile '{name}': refine names '{field}', which no retriever scores")
        if profile.refine.primary in profile.refine.complementary:
            raise InvalidInput(f"profile '{name}': '{profile.refine.primary}' cannot complement itself")
        if not isinstance(meta.fields.get(profile.refine.primary), SourceField):
            raise InvalidInput(f"profile '{name}': refine.primary must be a vector field with a model")
    _check_late_stages(meta, properties, name, profile)
    return profile


def scored_field(meta: Meta, field: str) -> str:
    """Return the field by which a record found through ``field`` is scored exactly."""
    described = meta.fields.get(field)
    return described.derived_from if isinstance(described, BinaryField | FdeField) else field


def document_field(meta: Meta, name: str, profile: Profile) -> str:
    """Return the field whose vectors are averaged to vectors of documents.

    Args:
        meta: what the index says of itself.
        name: of the profile, for errors.
        profile: whose ``documents`` stage has the method ``mean_vector``.

    Raises:
        InvalidInput: the profile scores no single-vector field, or not the one that is named.
    """
    scored = [scored_field(meta, retriever.field) for retriever in profile.retrievers]
    single = [
        field
        for field in scored
        if isinstance(source := meta.fields.get(field), SourceField) and source.encoding is None
    ]
    wanted = profile.documents.field if profile.documents else None
    if wanted is None and single:
        return single[0]
    if wanted is None or wanted not in single:
        raise InvalidInput(
            f"profile '{name}': documents: '{wanted or 'mean_vector'}' needs a single-vector field that "
            "one of its retrievers scores"
        )
    return wanted


def _check_retriever(meta: Meta, properties: Mapping[str, Any], profile: str, kind: str, field: str) -> None:
    if kind == "bm25":
        if properties.get(field, {}).get("type") != "text":
            raise InvalidInput(f"profile '{profile}': '{field}' is not a text field")
        return
    described = meta.fields.get(field)
    multi = isinstance(described, SourceField) and described.encoding is not None
    if not isinstance(described, _FIELD_KINDS[kind]) or multi != (kind == "late_interaction"):
        raise InvalidInput(f"profile '{profile}': '{field}' is not a field for a {kind} retriever")


def _check_late_stages(meta: Meta, properties: Mapping[str, Any], name: str, profile: Profile) -> None:
    rerank, documents = profile.rerank, profile.documents
    if rerank is not None and rerank.field is not None:
        described = meta.fields.get(rerank.field)
        if rerank.type == "maxsim":
            if not isinstance(described, SourceField) or described.encoding is None:
                raise InvalidInput(f"profile '{name}': rerank.field must be a multi-vector field")
        elif properties.get(rerank.field, {}).get("type") != "text":
            raise InvalidInput(f"profile '{name}': rerank.field: '{rerank.field}' is not a text field")
    if documents is not None:
        if properties.get(DOCUMENT, {}).get("type") != "keyword":
            raise InvalidInput(f"profile '{name}': documents: the index has no keyword field '{DOCUMENT}'")
        if documents.method == "mean_vector":
            document_field(meta, name, profile)
