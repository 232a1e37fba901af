"""Index bodies and what they say of themselves (``_meta.multimodal``)."""

from .body import PLUGIN, build_body, fde_parameters, load_template, stamp
from .description import IndexDescription, describe
from .meta import (
    BinaryField,
    Cut,
    FdeField,
    Fusion,
    Meta,
    Profile,
    Refine,
    Retriever,
    SourceField,
    TokenPooling,
    parse_meta,
    parse_profile,
)

__all__ = [
    "PLUGIN",
    "BinaryField",
    "Cut",
    "FdeField",
    "Fusion",
    "IndexDescription",
    "Meta",
    "Profile",
    "Refine",
    "Retriever",
    "SourceField",
    "TokenPooling",
    "build_body",
    "describe",
    "fde_parameters",
    "load_template",
    "parse_meta",
    "parse_profile",
    "stamp",
]
