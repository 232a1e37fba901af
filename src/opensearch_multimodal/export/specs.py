"""The spec of an exported model."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..errors import InvalidInput
from ..models.spec import ImageTower, ModelFile, ModelSpec, TextTower
from .graphs import ExportOptions, Plan
from .parity import TOLERANCES
from .source import Source

__all__ = ["make_spec", "make_towers"]

_Record = TypeVar("_Record", bound=BaseModel)


def make_spec(
    plan: Plan, name: str, files: tuple[ModelFile, ...], source: Source, options: ExportOptions
) -> ModelSpec:
    """Return the spec of what was written.

    Args:
        plan: what was exported.
        name: of the model.
        files: every file of it.
        source: what it was exported from.
        options: what the user said.

    Raises:
        InvalidInput: the architecture's settings do not make a spec.
    """
    towers = _settings(plan)
    record: dict[str, Any] = {
        "name": name,
        "kind": plan.kind,
        "inputs": tuple(tower for tower in ("text", "image") if tower in towers),
        "dimension": plan.dimension,
        "mrl_dimensions": plan.mrl_dimensions,
        "description": options.description,
        "licence": options.licence or source.licence,
        "source": options.source or source.origin,
        "revision": options.revision or source.revision,
        "files": files,
        **towers,
    }
    if plan.inputs:
        record["inputs"] = plan.inputs
    if plan.session:
        record["session"] = plan.session
    if TOLERANCES[options.precision].batch_dependent:
        record["batch_dependent"] = True
    return _valid(ModelSpec, record, "spec")


def make_towers(plan: Plan) -> tuple[TextTower | None, ImageTower | None]:
    """Return the towers of the spec to be.

    Raises:
        InvalidInput: the architecture's settings do not make one.
    """
    towers = _settings(plan)
    return (
        _valid(TextTower, towers["text"], "text") if "text" in towers else None,
        _valid(ImageTower, towers["image"], "image") if "image" in towers else None,
    )


def _settings(plan: Plan) -> dict[str, Any]:
    towers: dict[str, Any] = {}
    for graph in plan.graphs:
        settings = plan.text if graph.tower == "text" else plan.image
        if settings is None:
            raise InvalidInput(
                f"{graph.file}: its architecture gives no settings for a tower of {graph.tower}"
            )
        towers[graph.tower] = {**settings, "onnx": graph.file, "output": graph.output}
    return towers


def _valid(record: type[_Record], settings: dict[str, Any], name: str) -> _Record:
    try:
        return record.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or name
        raise InvalidInput(f"spec: {place}: {first['msg'].removeprefix('Value error, ')}") from None
