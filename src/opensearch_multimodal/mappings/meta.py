"""What an index says of itself: ``_meta.multimodal``, with its vector fields and its search profiles.

Nothing else configures search. Unknown keys are refused everywhere, so that a typing error is an error and
not a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from ..errors import InvalidInput
from ..types import Input
from .late_stages import Documents, Rerank

__all__ = [
    "BinaryField",
    "Cut",
    "FdeField",
    "Fusion",
    "Meta",
    "Profile",
    "Refine",
    "Retriever",
    "SourceField",
    "VectorField",
    "parse_meta",
    "parse_profile",
]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceField(_Record):
    """A vector field that a model fills.

    Attributes:
        model: name of the model's spec.
        input: what the model reads of a record.
        fingerprint: the model's fingerprint, None until the index is created by us or stamped.
        encoding: how a multi-vector is stored in the wire format; None for a single vector.
    """

    model: str
    input: Input
    fingerprint: str | None = None
    encoding: Literal["float32", "float16", "int8", "bit"] | None = None


class BinaryField(_Record):
    """A binary field derived from a dense one: one bit per component, compared by Hamming distance."""

    derived_from: str
    transform: Literal["sign"]


class FdeField(_Record):
    """A field of MUVERA fixed dimensional encodings, derived from a multi-vector field."""

    derived_from: str
    repetitions: int = Field(ge=1)
    simhash_bits: int = Field(ge=0, le=12)
    projection: int | None = Field(default=None, ge=1)
    seed: int = Field(ge=0)


def _kind(value: Any) -> str:
    keys = value if isinstance(value, Mapping) else getattr(value, "__dict__", {})
    if "derived_from" not in keys:
        return "source_field"
    return "binary_field" if "transform" in keys else "fde_field"


VectorField = Annotated[
    Annotated[SourceField, Tag("source_field")]
    | Annotated[BinaryField, Tag("binary_field")]
    | Annotated[FdeField, Tag("fde_field")],
    Discriminator(_kind),
]


class Retriever(_Record):
    """One way to find candidates, and its say in the fusion.

    Attributes:
        type: ``late_interaction`` scores what the others found, it finds nothing itself.
        field: the field it searches.
        k: depth of its first stage.
        weight: its weight in the combination.
    """

    type: Literal["bm25", "dense", "binary", "fde", "late_interaction"]
    field: str
    k: int = Field(default=50, ge=1, le=10_000)
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class Fusion(_Record):
    """How the scores of several retrievers become one; the names are those of `fusion`."""

    normalization: str | None = None
    combination: str
    rank_constant: int = Field(default=60, ge=1)


class Refine(_Record):
    """Guided Query Refinement (arXiv 2510.05038); what is None has the default of `refinement.refine`.

    Attributes:
        primary: the vector field whose query is refined.
        complementary: the fields whose fused scores guide it; the text field stands for BM25.
        depth: how many of the best fused candidates take part; the others keep their order below them.
        steps: gradient steps.
        mix: the share of the complementary scores in the target.
        budget: how far the query may go: learning rate × steps × √dimension.
    """

    primary: str
    complementary: tuple[str, ...] = Field(min_length=1)
    depth: int = Field(default=50, ge=2, le=1000)
    steps: int | None = Field(default=None, ge=1, le=1000)
    mix: float | None = Field(default=None, ge=0, le=1)
    budget: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class Cut(_Record):
    """How many results are left: a fixed size."""

    size: int = Field(ge=1, le=10_000)


class Profile(_Record):
    """A named way to search an index, stage by stage; a stage that is None is left out."""

    retrievers: tuple[Retriever, ...] = Field(min_length=1)
    fusion: Fusion | None = None
    refine: Refine | None = None
    rerank: Rerank | None = None
    cut: Cut | None = None
    documents: Documents | None = None


class Meta(_Record):
    """The whole of ``_meta.multimodal``.

    Attributes:
        version: of this description; anything but 1 is refused.
        fields: vector field → what it holds.
        profiles: name → profile, or the name of another profile.
        statistics: numbers learnt from the collection.
    """

    version: Literal[1]
    fields: dict[str, VectorField]
    profiles: dict[str, Profile | str] = {}
    statistics: dict[str, Any] = {}


def parse_meta(name: str, value: Any) -> Meta:
    """Read ``_meta.multimodal``.

    Args:
        name: the index or file it came from, used in the error.
        value: decoded JSON.

    Raises:
        InvalidInput: a key is unknown, missing or has a wrong value; the message names the first.
    """
    try:
        return Meta.model_validate(value)
    except ValidationError as error:
        raise InvalidInput(f"{name}: _meta.multimodal.{_first(error)}") from error


def parse_profile(name: str, value: Any) -> Profile:
    """Read one profile; errors as in `parse_meta`."""
    try:
        return Profile.model_validate(value)
    except ValidationError as error:
        raise InvalidInput(f"profile '{name}': {_first(error)}") from error


def _first(error: ValidationError) -> str:
    """Return where and what of the error that goes deepest: a union reports each of its branches."""
    first = max(error.errors(), key=lambda item: len(item["loc"]))
    skipped = {"source_field", "binary_field", "fde_field", "str", "Profile"}
    where = ".".join(str(part) for part in first["loc"] if part not in skipped)
    return f"{where or 'value'}: {first['msg']}"
