"""Learnt rotations for binary codes: kept beside the models, each bound to the model it was learnt from."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tomli_w
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from .. import download, resources
from ..binarize import Rotation
from ..errors import EnvironmentProblem, InvalidInput
from ..types import MAX_DIMENSION
from .spec import Sha256, check_name

__all__ = ["RotationSpec", "list_rotations", "load_rotation", "load_rotation_spec", "save_rotation"]

_SPEC, _ARRAY = "rotation.toml", "rotation.npy"
Dimension = Annotated[int, Field(ge=1, le=MAX_DIMENSION)]


class RotationSpec(BaseModel):
    """One learnt rotation.

    Attributes:
        name: names its folder, and the rotation in an index's ``_meta``.
        kind: how it was learnt.
        model: the name of the model whose vectors it takes.
        source: that model's fingerprint.
        dimension: components of the vectors that it takes: the model's, or a Matryoshka truncation of them.
        bits: of a code.
        sha256: digest of ``rotation.npy``, shape (dimension + 2, bits), float32: the matrix, the threshold
            and the query threshold of `binarize.Rotation`.
        vectors: how many it was learnt from.
        queries: from how many queries their mean was learnt; 0 where it is the vectors'.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(check_name)]
    kind: Literal["itq"] = "itq"
    model: str
    source: str
    dimension: Dimension
    bits: Dimension
    sha256: Sha256
    vectors: Annotated[int, Field(ge=2)]
    queries: Annotated[int, Field(ge=0)]

    @property
    def fingerprint(self) -> str:
        """``sha256:<hex>`` over all that its codes depend on: the model, the dimensions, the numbers."""
        content = {key: getattr(self, key) for key in ("kind", "source", "dimension", "bits", "sha256")}
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def list_rotations() -> list[RotationSpec]:
    """Return every rotation there is, by name.

    Raises:
        InvalidInput: one of them is not valid.
    """
    return [load_rotation_spec(name) for name in _names()]


def load_rotation_spec(name: str) -> RotationSpec:
    """Return what is known of a rotation.

    Raises:
        InvalidInput: there is none of that name, or it is not valid.
    """
    path = _folder() / check_name(name) / _SPEC
    if not path.is_file():
        raise InvalidInput(
            f"rotation: there is no '{name}' (known: {', '.join(_names()) or 'none'}); "
            "'osmm models fit-rotation' makes one"
        )
    try:
        spec = RotationSpec.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (ValueError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise InvalidInput(f"{path}: not a rotation: {reason}") from None
    if spec.name != name:
        raise InvalidInput(f"{path}: the rotation is named '{spec.name}', its folder '{name}'")
    return spec


def load_rotation(spec: RotationSpec) -> Rotation:
    """Return a rotation's numbers, after checking their digest.

    Raises:
        EnvironmentProblem: the file is missing or is not the one that the spec names.
    """
    path = _folder() / spec.name / _ARRAY
    try:
        digest = download.sha256_of(path)
    except OSError as error:
        raise EnvironmentProblem(f"rotation '{spec.name}': {path}: {error.strerror}") from None
    if digest != spec.sha256:
        raise EnvironmentProblem(
            f"rotation '{spec.name}': {path} has sha256 {digest}, expected {spec.sha256}"
        )
    array = np.load(path, allow_pickle=False)
    if array.shape != (spec.dimension + 2, spec.bits) or array.dtype != np.float32:
        raise EnvironmentProblem(
            f"rotation '{spec.name}': {path} holds {array.dtype} of shape {array.shape}, "
            f"expected float32 of shape {(spec.dimension + 2, spec.bits)}"
        )
    return Rotation(np.ascontiguousarray(array[:-2]), array[-2].copy(), array[-1].copy())


def save_rotation(
    name: str,
    rotation: Rotation,
    *,
    model: str,
    source: str,
    vectors: int,
    queries: int = 0,
    force: bool = False,
) -> RotationSpec:
    """Keep a rotation among the user's own.

    Args:
        name: of the rotation.
        rotation: what was learnt.
        model: the name of the model whose vectors it was learnt from.
        source: that model's fingerprint.
        vectors: how many they were.
        queries: how many queries took part.
        force: replace a rotation of the same name; indices made with it refuse the new one.

    Raises:
        InvalidInput: the name is taken and ``force`` is not set, or cannot be a name.
    """
    folder = _folder() / check_name(name)
    if folder.exists() and not force:
        raise InvalidInput(f"name: there is a rotation '{name}' already; choose another name or use --force")
    parts = [rotation.matrix, rotation.threshold, rotation.query_threshold]
    array = np.vstack(parts).astype(np.float32)
    made: list[RotationSpec] = []

    def build(temporary: Path) -> None:
        np.save(temporary / _ARRAY, array)
        spec = RotationSpec(
            name=name,
            model=model,
            source=source,
            dimension=rotation.dimension,
            bits=rotation.bits,
            sha256=download.sha256_of(temporary / _ARRAY),
            vectors=vectors,
            queries=queries,
        )
        (temporary / _SPEC).write_text(tomli_w.dumps(spec.model_dump(mode="json")), "utf-8")
        made.append(spec)

    download.replace_folder(folder, build)
    return made[0]


def _folder() -> Path:
    return resources.home_folder() / "rotations"


def _names() -> list[str]:
    paths = _folder().glob(f"*/{_SPEC}")
    return sorted(path.parent.name for path in paths if not path.parent.name.startswith("."))
