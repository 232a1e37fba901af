"""Index bodies and what they say of themselves (``_meta.multimodal``)."""

from .body import PLUGIN, build_body, check_batch_dependence, fde_parameters, load_template, stamp
from .description import IndexDescription, describe
from .late_stages import Documents, Rerank
from .meta import (
    BinaryField,
    Cut,
    FdeField,
    Fusion,
    Meta,
    Moments,
    Profile,
    Refine,
    Relevance,
    Retriever,
    SourceField,
    Statistics,
    TokenPooling,
    Tuned,
    parse_meta,
    parse_profile,
)
from .profile_check import DOCUMENT

__all__ = [
    "DOCUMENT",
    "PLUGIN",
    "BinaryField",
    "Cut",
    "Documents",
    "FdeField",
    "Fusion",
    "IndexDescription",
    "Meta",
    "Moments",
    "Profile",
    "Refine",
    "Relevance",
    "Rerank",
    "Retriever",
    "SourceField",
    "Statistics",
    "TokenPooling",
    "Tuned",
    "build_body",
    "check_batch_dependence",
    "describe",
    "fde_parameters",
    "load_template",
    "parse_meta",
    "parse_profile",
    "stamp",
]
