"""Find, read and write specs, and find the folders that hold the models' files.

The user's own, below `resources.home_folder`, come before the shipped ones, below ``onnx_models/``.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import tomli_w
from pydantic import ValidationError

from .. import resources
from ..errors import EnvironmentProblem, InvalidInput
from .spec import ModelSpec, check_name

__all__ = [
    "DEFAULT_MODELS",
    "artifact_folder",
    "find_spec_file",
    "list_specs",
    "load_spec",
    "parse_spec",
    "spec_text",
    "user_artifact_folder",
    "user_spec_file",
]

DEFAULT_MODELS = ("bge-small-en-v1.5", "all-minilm-l6-v2-tokens")
"""The models that the shipped index bodies name: dense, and late interaction."""


def list_specs() -> list[ModelSpec]:
    """Return every spec there is, by name; the user's hides a shipped one of the same name.

    Raises:
        InvalidInput: a spec is not valid.
    """
    names = {path.stem for folder in _spec_folders() for path in folder.glob("*.toml")}
    return [load_spec(name) for name in sorted(names)]


def load_spec(name: str) -> ModelSpec:
    """Return the spec of that name.

    Raises:
        InvalidInput: there is none, or it is not valid.
    """
    path = find_spec_file(name)
    spec = parse_spec(path.read_bytes(), str(path))
    if spec.name != name:
        raise InvalidInput(f"{path}: the spec is named '{spec.name}', its file '{name}.toml'")
    return spec


def parse_spec(content: bytes, where: str) -> ModelSpec:
    """Return the spec that a TOML file holds; ``where`` names the file in errors.

    Raises:
        InvalidInput: not TOML, or not a valid spec.
    """
    try:
        return ModelSpec.model_validate(tomllib.loads(content.decode("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{where}: not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "spec"
        reason = first["msg"].removeprefix("Value error, ")
        raise InvalidInput(f"{where}: {place}: {reason}") from None


def spec_text(spec: ModelSpec) -> str:
    """Return the TOML of a spec, with every setting written out."""
    return tomli_w.dumps(spec.model_dump(mode="json", exclude_none=True))


def find_spec_file(name: str) -> Path:
    """Return the file that holds the spec of that name.

    Raises:
        InvalidInput: there is none.
    """
    check_name(name)
    for folder in _spec_folders():
        path = folder / f"{name}.toml"
        if path.is_file():
            return path
    known = sorted({path.stem for folder in _spec_folders() for path in folder.glob("*.toml")})
    raise InvalidInput(f"model: there is no '{name}'; known are {', '.join(known) or 'none'}")


def user_spec_file(name: str) -> Path:
    """Return where the user's spec of that name is, or would be."""
    return resources.home_folder() / "specs" / f"{check_name(name)}.toml"


def user_artifact_folder(name: str) -> Path:
    """Return where the user's files of that model are, or would be."""
    return resources.home_folder() / "artifacts" / check_name(name)


def artifact_folder(spec: ModelSpec) -> Path:
    """Return the folder of a model's files: the user's, else the shipped one, else where it would be."""
    folder = user_artifact_folder(spec.name)
    if not folder.is_dir():
        try:
            return resources.find(f"onnx_models/artifacts/{spec.name}")
        except EnvironmentProblem:  # nothing ships
            return folder
    return folder


def _spec_folders() -> list[Path]:
    return [resources.home_folder() / "specs", resources.find("onnx_models/specs")]
