"""Index bodies and what they say of themselves (``_meta.multimodal``)."""

from .body import PLUGIN, build_body, fde_parameters, load_template, stamp
from .description import IndexDescription, describe
from .late_stages import Documents, Rerank
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
    parse_meta,
    parse_profile,
)

__all__ = [
    "PLUGIN",
    "BinaryField",
    "Cut",
    "Documents",
    "FdeField",
    "Fusion",
    "IndexDescription",
    "Meta",
    "Profile",
    "Refine",
    "Rerank",
    "Retriever",
    "SourceField",
    "build_body",
    "describe",
    "fde_parameters",
    "load_template",
    "parse_meta",
    "parse_profile",
    "stamp",
]
