"""Index bodies: read the shipped ones, fit them to models and to a cluster, check that they agree."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import resources
from ..errors import InvalidInput
from ..fde import FdeParameters
from ..models import ModelSpec, RotationSpec, load_rotation_spec
from .meta import BinaryField, FdeField, Meta, SourceField, parse_meta
from .profile_check import check_profiles

__all__ = [
    "PLUGIN",
    "build_body",
    "check_batch_dependence",
    "derived_dimension",
    "fde_parameters",
    "load_template",
    "stamp",
    "vector_dimension",
]

SHIPPED = ("pages", "passages", "mixed", "images")

PLUGIN = "opensearch-multimodal"
"""Name of the server plugin that brings the field type ``multi_vector``."""

_PLUGIN_ENCODINGS = ("float32", "int8", "bit")


def load_template(name: str) -> dict[str, Any]:
    """Read an index body: ``pages``, ``passages``, ``mixed`` or ``images``, or the path of a JSON file.

    Raises:
        InvalidInput: there is no such file, or it is not an index body that describes itself.
    """
    path = resources.find(f"mappings/{name}.json") if name in SHIPPED else Path(name)
    if not path.is_file():
        raise InvalidInput(f"mapping: '{name}' is neither {' nor '.join(SHIPPED)} nor a JSON file")
    try:
        body = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise InvalidInput(f"{path.name}: not valid JSON: {error}") from error
    try:
        parse_meta(path.name, body["mappings"]["_meta"]["multimodal"])
        dict(body["mappings"]["properties"])
    except (KeyError, TypeError):
        raise InvalidInput(
            f"{path.name}: it needs mappings.properties and mappings._meta.multimodal"
        ) from None
    loaded: dict[str, Any] = body
    return loaded


def build_body(
    template: Mapping[str, Any],
    specs: Callable[[str], ModelSpec],
    *,
    models: Mapping[str, str] | None = None,
    inputs: Mapping[str, str] | None = None,
    dimensions: Mapping[str, int] | None = None,
    pooling: Mapping[str, int] | None = None,
    rotations: Mapping[str, str] | None = None,
    fde: Mapping[str, Any] | None = None,
    shards: int | None = None,
    replicas: int | None = None,
    engine: str | None = None,
    analyzer: str | None = None,
    plugin: bool = False,
    allow_batch_dependence: bool = False,
) -> dict[str, Any]:
    """Return a complete index body with dimensions and fingerprints filled in.

    Args:
        template: an index body as `load_template` gives it; left unchanged.
        specs: finds a model's spec by name.
        models: vector field → model, where the template's is not wanted.
        inputs: vector field → ``text`` or ``image``, where the template's is not wanted.
        dimensions: vector field → how many components of its model's vectors are kept.
        pooling: multi-vector field → the factor by which token pooling makes them shorter, 1 for none.
        rotations: binary field → the learnt rotation before its signs are taken.
        fde: parameters of the FDE field, where the template's are not wanted.
        shards: number of primary shards.
        replicas: number of replicas; by default as the template says.
        engine: k-NN engine of every vector field, ``lucene`` or ``faiss``.
        analyzer: analyzer of the text fields.
        plugin: the cluster has the server plugin: multi-vectors become fields of its own type, which the
            cluster can score, kept once on disk by its codec.
        allow_batch_dependence: take models whose vectors change with what else is in their batch.

    Raises:
        InvalidInput: a field is unknown, a model does not fit its field, or the index could not be searched
            by one of its profiles.
    """
    body = copy.deepcopy(dict(template))
    meta = body["mappings"]["_meta"]["multimodal"]
    fields = meta["fields"]
    for option, choices in (("model", models or {}), ("input", inputs or {})):
        for field, value in choices.items():
            _chosen(fields, option, field, "model", "a vector field with a model")[option] = value
    for field, dimension in (dimensions or {}).items():
        _chosen(fields, "dimension", field, "model", "a vector field with a model")["dimension"] = dimension
    for field, factor in (pooling or {}).items():
        described = _chosen(fields, "pooling", field, "encoding", "a multi-vector field")
        described["pooling"] = None if factor == 1 else {"factor": factor}
    for field, rotation in (rotations or {}).items():
        described = _chosen(fields, "rotation", field, "transform", "a binary field")
        fields[field] = {
            "derived_from": described["derived_from"], "transform": "itq", "rotation": rotation
        }  # fmt: skip
    if fde:
        names = [name for name, described in fields.items() if "repetitions" in described]
        if len(names) != 1:
            raise InvalidInput(f"fde: the mapping has {len(names)} FDE fields, expected 1")
        fields[names[0]] |= fde
    settings = body.setdefault("settings", {}).setdefault("index", {})
    if shards is not None:
        settings["number_of_shards"] = shards
    if replicas is not None:
        settings.pop("auto_expand_replicas", None)
        settings["number_of_replicas"] = replicas
    properties = body["mappings"]["properties"]
    for definition in properties.values():
        if engine and definition.get("type") == "knn_vector":
            definition["method"]["engine"] = engine
        if analyzer and definition.get("type") == "text":
            definition["analyzer"] = analyzer
    if allow_batch_dependence:
        for described in fields.values():
            if "model" in described and specs(described["model"]).batch_dependent:
                described["batch_dependence"] = "allowed"
    parsed = stamp(parse_meta("mapping", meta), specs)
    if plugin:
        _use_plugin(properties, settings, parsed)
    _fit_dimensions(properties, parsed, specs)
    check_profiles(parsed, properties)
    body["mappings"]["_meta"]["multimodal"] = parsed.model_dump(mode="json", exclude_none=True)
    return body


def stamp(
    meta: Meta,
    specs: Callable[[str], ModelSpec],
    rotations: Callable[[str], RotationSpec] = load_rotation_spec,
) -> Meta:
    """Return ``meta`` with the fingerprints of every field's model and learnt rotation filled in.

    Args:
        meta: left unchanged.
        specs: finds a model's spec by name.
        rotations: finds a rotation by name.

    Raises:
        InvalidInput: a model or a rotation does not fit its field.
    """
    fields = dict(meta.fields)
    for name, field in meta.fields.items():
        if isinstance(field, SourceField):
            spec = specs(field.model)
            _check_fit(name, field, spec)
            fields[name] = field.model_copy(update={"fingerprint": spec.fingerprint})
    for name, field in meta.fields.items():
        if isinstance(field, BinaryField) and field.rotation is not None:
            rotation = rotations(field.rotation)
            _check_rotation(name, rotation, fields.get(field.derived_from), specs)
            filled = {"fingerprint": rotation.fingerprint, "bits": rotation.bits}
            fields[name] = field.model_copy(update=filled)
    return meta.model_copy(update={"fields": fields})


def check_batch_dependence(name: str, field: SourceField, spec: ModelSpec) -> None:
    """Refuse to write vectors that would differ if they were made again, unless the field allows it.

    Args:
        name: the field's.
        field: what the index says of it.
        spec: its model.

    Raises:
        InvalidInput: the model's vectors change with their batch, and the field does not allow it.
    """
    if spec.batch_dependent and field.batch_dependence is None:
        raise InvalidInput(
            f"field '{name}': vectors of model '{spec.name}' change with what else is in their batch, so "
            "what is encoded again differs; 'osmm index create --allow-batch-dependence' takes it all the "
            'same, as does "batch_dependence": "allowed" in the field\'s description'
        )


def fde_parameters(field: FdeField) -> FdeParameters:
    """Return the encoding parameters that an FDE field is described by."""
    return FdeParameters(
        repetitions=field.repetitions,
        simhash_bits=field.simhash_bits,
        projection=field.projection,
        seed=field.seed,
        fill_empty=field.fill_empty,
        final_dimension=field.final_dimension,
    )


def _chosen(fields: dict[str, Any], option: str, name: str, key: str, kind: str) -> dict[str, Any]:
    """Return the description of the field that an option names; ``key`` tells whether it is of that kind."""
    if key not in fields.get(name, {}):
        raise InvalidInput(f"{option}: '{name}' is not {kind}")
    described: dict[str, Any] = fields[name]
    return described


def _check_rotation(
    name: str, rotation: RotationSpec, source: object, specs: Callable[[str], ModelSpec]
) -> None:
    if not isinstance(source, SourceField) or source.encoding is not None:
        raise InvalidInput(f"field '{name}': a rotation is for codes derived from a single-vector field")
    dimension = specs(source.model).kept_dimension(source.dimension)
    if (rotation.source, rotation.dimension) != (source.fingerprint, dimension):
        raise InvalidInput(
            f"field '{name}': rotation '{rotation.name}' was learnt from {rotation.dimension} components of "
            f"model '{rotation.model}' ({rotation.source}), its vectors are {dimension} of '{source.model}' "
            f"({source.fingerprint})"
        )


def _check_fit(name: str, field: SourceField, spec: ModelSpec) -> None:
    if field.input not in spec.inputs:
        raise InvalidInput(
            f"field '{name}': model '{spec.name}' reads {' and '.join(spec.inputs)}, not {field.input}"
        )
    expected = "multi_vector" if field.encoding else "dense"
    if spec.kind != expected:
        raise InvalidInput(f"field '{name}' takes a {expected} model, '{spec.name}' is {spec.kind}")
    check_batch_dependence(name, field, spec)
    spec.kept_dimension(field.dimension)


def _use_plugin(properties: dict[str, Any], settings: dict[str, Any], meta: Meta) -> None:
    """Turn the ``binary`` fields that hold multi-vectors into ``multi_vector`` fields."""
    for name, field in meta.fields.items():
        if (
            isinstance(field, SourceField)
            and field.encoding in _PLUGIN_ENCODINGS
            and properties.get(name, {}).get("type") == "binary"
        ):
            properties[name] = {"type": "multi_vector", "dimension": 1, "encoding": field.encoding}
            settings.setdefault("codec", "multimodal")


def _fit_dimensions(properties: dict[str, Any], meta: Meta, specs: Callable[[str], ModelSpec]) -> None:
    """Set each vector field's dimension to what its model gives."""
    for name, field in meta.fields.items():
        if name not in properties:
            raise InvalidInput(f"field '{name}' is described in _meta but not in the mapping's properties")
        definition = properties[name]
        if definition["type"] not in ("knn_vector", "multi_vector"):
            continue
        definition["dimension"] = vector_dimension(meta, field, specs)


def derived_dimension(field: BinaryField | FdeField, dimension: int) -> int:
    """Return the dimension of a field derived from vectors of ``dimension`` components."""
    if isinstance(field, BinaryField):
        return -(-(field.bits or dimension) // 8) * 8
    return fde_parameters(field).dimension(dimension)


def vector_dimension(
    meta: Meta, field: SourceField | BinaryField | FdeField, specs: Callable[[str], ModelSpec]
) -> int:
    """Return the dimension that a vector field of the mapping has.

    Args:
        meta: what the index says of itself.
        field: one of its fields.
        specs: finds a model's spec by name.
    """
    source = meta.source(field)
    dimension = specs(source.model).kept_dimension(source.dimension)
    return dimension if isinstance(field, SourceField) else derived_dimension(field, dimension)
