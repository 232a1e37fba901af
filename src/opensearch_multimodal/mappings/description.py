"""A live index as it describes itself, and the checks that keep two vector spaces apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidInput, ModelMismatch
from ..models import ModelSpec, RotationSpec
from .body import derived_dimension
from .meta import BinaryField, FdeField, Meta, Profile, SourceField, parse_meta
from .profile_check import check_profile, document_field, scored_field

__all__ = ["IndexDescription", "describe"]


@dataclass(frozen=True, slots=True)
class IndexDescription:
    """One index name and what the indices behind it say of themselves.

    Attributes:
        name: as the caller wrote it: an index, an alias or a pattern.
        indices: the concrete indices behind it.
        meta: their common description.
        properties: the field mappings of the first of them.
        settings: concrete index → its settings.
        plugin_fields: concrete index → those of its fields that are of the server plugin's type.
    """

    name: str
    indices: tuple[str, ...]
    meta: Meta
    properties: Mapping[str, Any]
    settings: Mapping[str, Mapping[str, Any]]
    plugin_fields: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def profile(self, name: str) -> Profile:
        """Return a profile by its name, following aliases.

        Raises:
            InvalidInput: there is none of that name; the message lists those there are.
        """
        found = self.meta.profiles.get(self.resolve_name(name))
        if not isinstance(found, Profile):
            known = ", ".join(sorted(self.meta.profiles)) or "none"
            raise InvalidInput(f"profile: index '{self.name}' has no profile '{name}' (it has: {known})")
        return self.check_profile(name, found)

    def resolve_name(self, name: str) -> str:
        """Return the name of the profile that ``name`` stands for; itself where it stands for none."""
        for _ in range(len(self.meta.profiles) + 1):
            target = self.meta.profiles.get(name)
            if not isinstance(target, str):
                break
            name = target
        return name

    def profile_names(self) -> list[str]:
        """Return the names of the profiles, without those that only point to another."""
        return [name for name, profile in self.meta.profiles.items() if isinstance(profile, Profile)]

    def check_profile(self, name: str, profile: Profile) -> Profile:
        """Return ``profile`` if this index can be searched by it; see `profile_check.check_profile`."""
        return check_profile(self.meta, self.properties, name, profile)

    def scored_field(self, field: str) -> str:
        """Return the field by which a record found through ``field`` is scored exactly.

        A binary or FDE field only finds candidates: the vectors it was derived from score them.
        """
        return scored_field(self.meta, field)

    def document_field(self, name: str, profile: Profile) -> str:
        """Return the field whose vectors are averaged to vectors of documents; see `profile_check`."""
        return document_field(self.meta, name, profile)

    def weights(self, profile: Profile) -> dict[str, float]:
        """Return the fields that score a profile's candidates, each with its weight, in their order.

        Two retrievers over vectors of one source (dense and its binary codes) score by that source once, with
        the larger of their weights.
        """
        weights: dict[str, float] = {}
        for retriever in profile.retrievers:
            field = self.scored_field(retriever.field)
            weights[field] = max(weights.get(field, 0.0), retriever.weight)
        return weights

    def scores_in_cluster(self, field: str) -> bool:
        """Return whether the cluster can compute MaxSim of a field: each index has the plugin's type."""
        return bool(self.plugin_fields) and all(field in fields for fields in self.plugin_fields.values())

    def source_field(self, name: str) -> SourceField:
        """Return the description of a vector field that a model fills."""
        field = self.meta.fields.get(name)
        if not isinstance(field, SourceField):
            raise InvalidInput(f"index '{self.name}': '{name}' is not a vector field with a model")
        return field

    def check_model(self, name: str, spec: ModelSpec) -> None:
        """Refuse a model that did not make this index's vectors.

        Args:
            name: a vector field with a model.
            spec: the model at hand.

        Raises:
            ModelMismatch: fingerprints differ, or the index has none.
            InvalidInput: the mapping's dimension is not the model's.
        """
        field = self.source_field(name)
        self._check_fingerprint(name, field.fingerprint, spec.fingerprint, "model", field.model)
        kept = spec.kept_dimension(field.dimension)
        expected = {name: kept} | {
            other: derived_dimension(described, kept)
            for other, described in self.meta.fields.items()
            if not isinstance(described, SourceField) and described.derived_from == name
        }
        for mapped, dimension in expected.items():
            declared = self.properties.get(mapped, {}).get("dimension", dimension)
            if declared != dimension:
                raise InvalidInput(
                    f"field '{mapped}' of index '{self.name}' has dimension {declared}, "
                    f"model '{spec.name}' gives {dimension}"
                )

    def check_rotation(self, name: str, rotation: RotationSpec) -> None:
        """Refuse a learnt rotation that did not make this index's codes.

        Args:
            name: a binary field with a rotation.
            rotation: the one at hand.

        Raises:
            ModelMismatch: fingerprints differ, or the index has none.
            InvalidInput: the index says another length of codes.
        """
        field = self.meta.fields[name]
        expected = field.fingerprint if isinstance(field, BinaryField) else None
        self._check_fingerprint(name, expected, rotation.fingerprint, "rotation", rotation.name)
        if isinstance(field, BinaryField) and field.bits != rotation.bits:
            raise InvalidInput(
                f"field '{name}' of index '{self.name}' has bits {field.bits}, "
                f"rotation '{rotation.name}' gives {rotation.bits}"
            )

    def _check_fingerprint(self, name: str, expected: str | None, actual: str, kind: str, used: str) -> None:
        if expected == actual:
            return
        stamp = f"if that {kind} is the right one, run: osmm index stamp {self.name}"
        other = f"use the {kind} '{used}' as it was, or ingest into a new index"
        raise ModelMismatch(
            name, expected=expected, actual=actual, remedy=stamp if expected is None else other
        )


def describe(name: str, response: Mapping[str, Mapping[str, Any]]) -> IndexDescription:
    """Read the answer of ``GET /<name>``.

    Args:
        name: the index, alias or pattern that was asked for.
        response: concrete index → its aliases, mappings and settings.

    Raises:
        InvalidInput: there is no index, or one that does not describe its vectors.
        ModelMismatch: the indices behind the name hold vectors of different models.
    """
    if not response:
        raise InvalidInput(f"index: nothing matches '{name}'")
    metas: dict[str, Meta] = {}
    for concrete, description in response.items():
        raw = (description["mappings"].get("_meta") or {}).get("multimodal")
        if raw is None:
            raise InvalidInput(
                f"index '{concrete}' does not describe its vectors (no _meta.multimodal): "
                "create it with 'osmm index create', or PUT one of the bodies in mappings/"
            )
        metas[concrete] = parse_meta(f"index '{concrete}'", raw)
    first = next(iter(metas))
    for concrete, meta in metas.items():
        if meta.fields != metas[first].fields:
            field, mine, other = _first_difference(metas[first], meta)
            raise ModelMismatch(
                field,
                expected=f"{mine} (index '{first}')",
                actual=f"{other} (index '{concrete}')",
                remedy=f"search '{first}' and '{concrete}' one at a time",
            )
    return IndexDescription(
        name=name,
        indices=tuple(metas),
        meta=metas[first],
        properties=response[first]["mappings"].get("properties", {}),
        settings={
            concrete: value.get("settings", {}).get("index", {}) for concrete, value in response.items()
        },
        plugin_fields={
            concrete: frozenset(
                name
                for name, mapping in value["mappings"].get("properties", {}).items()
                if mapping.get("type") == "multi_vector"
            )
            for concrete, value in response.items()
        },
    )


def _first_difference(one: Meta, other: Meta) -> tuple[str, str, str]:
    for name in sorted({*one.fields, *other.fields}):
        mine, theirs = one.fields.get(name), other.fields.get(name)
        if mine != theirs:
            shown = _identity(mine), _identity(theirs)
            return name, *(shown if shown[0] != shown[1] else (_whole(mine), _whole(theirs)))
    raise AssertionError("called for equal fields")


def _identity(field: SourceField | BinaryField | FdeField | None) -> str:
    if field is None:
        return "no such field"
    return str(field.fingerprint) if isinstance(field, SourceField) else _whole(field)


def _whole(field: SourceField | BinaryField | FdeField | None) -> str:
    return "no such field" if field is None else field.model_dump_json(exclude_none=True)
