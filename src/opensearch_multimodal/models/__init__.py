"""Models: their specs, their fingerprints, the files they are made of, and what is learnt from them."""

from __future__ import annotations

from .artifacts import Progress, build_model, is_present, locate, pull, refuse_clash, save_spec, verify
from .draft import DraftOptions, draft_spec
from .rotations import RotationSpec, list_rotations, load_rotation, load_rotation_spec, save_rotation
from .spec import (
    Grid,
    ImageTower,
    Kind,
    Layout,
    MavenOrigin,
    ModelFile,
    ModelSpec,
    Pooling,
    Projection,
    Prompt,
    Session,
    TextTower,
    check_name,
)
from .store import (
    DEFAULT_MODELS,
    artifact_folder,
    find_spec_file,
    list_specs,
    load_spec,
    parse_spec,
    spec_text,
    user_artifact_folder,
)

__all__ = [
    "DEFAULT_MODELS",
    "DraftOptions",
    "Grid",
    "ImageTower",
    "Kind",
    "Layout",
    "MavenOrigin",
    "ModelFile",
    "ModelSpec",
    "Pooling",
    "Progress",
    "Projection",
    "Prompt",
    "RotationSpec",
    "Session",
    "TextTower",
    "artifact_folder",
    "build_model",
    "check_name",
    "draft_spec",
    "find_spec_file",
    "is_present",
    "list_rotations",
    "list_specs",
    "load_rotation",
    "load_rotation_spec",
    "load_spec",
    "locate",
    "parse_spec",
    "pull",
    "refuse_clash",
    "save_rotation",
    "save_spec",
    "spec_text",
    "user_artifact_folder",
    "verify",
]
