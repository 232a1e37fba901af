"""What an index says of itself: ``_meta.multimodal``, with its vector fields and its search profiles.

Nothing else configures search. Unknown keys are refused everywhere, so that a typing error is an error and
not a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from ..errors import InvalidInput
from ..fusion import Missing
from ..token_pooling import MAX_FACTOR
from ..types import MAX_DIMENSION, Input
from .late_stages import Documents, Rerank

__all__ = [
    "BinaryField",
    "Cut",
    "FdeField",
    "Fusion",
    "Meta",
    "Moments",
    "Profile",
    "Refine",
    "Relevance",
    "Retriever",
    "SourceField",
    "Statistics",
    "TokenPooling",
    "Tuned",
    "VectorField",
    "parse_meta",
    "parse_profile",
]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TokenPooling(_Record):
    """How a multi-vector's rows become fewer before they are stored (arXiv:2409.14683).

    Attributes:
        factor: rows per row that is left, on average.
    """

    factor: int = Field(ge=2, le=MAX_FACTOR)


class SourceField(_Record):
    """A vector field that a model fills.

    Attributes:
        model: name of the model's spec.
        input: what the model reads of a record.
        fingerprint: the model's fingerprint, None until the index is created by us or stamped.
        encoding: how a multi-vector is stored in the wire format; None for a single vector.
        dimension: how many of the vectors' first components are kept (Matryoshka), None for all of them.
        pooling: how multi-vectors of records are made shorter; those of queries never are.
        batch_dependence: ``allowed`` takes a model whose vectors change with what else is in their batch.
    """

    model: str
    input: Input
    fingerprint: str | None = None
    encoding: Literal["float32", "float16", "int8", "bit"] | None = None
    dimension: int | None = Field(default=None, ge=1, le=MAX_DIMENSION)
    pooling: TokenPooling | None = None
    batch_dependence: Literal["allowed"] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.pooling is not None and self.encoding is None:
            raise ValueError("pooling is for multi-vectors, which have an encoding")
        return self


class BinaryField(_Record):
    """A binary field derived from a dense one, compared by Hamming distance.

    Attributes:
        derived_from: the dense field.
        transform: ``sign``: one bit per component; ``itq``: the signs after a learnt rotation.
        rotation: itq: the name of the rotation.
        fingerprint: itq: the rotation's, None until the index is created by us or stamped.
        bits: itq: the length of a code, None until then.
    """

    derived_from: str
    transform: Literal["sign", "itq"]
    rotation: str | None = None
    fingerprint: str | None = None
    bits: int | None = Field(default=None, ge=1, le=MAX_DIMENSION)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.transform == "itq" and self.rotation is None:
            raise ValueError("transform 'itq' needs a rotation")
        if self.transform == "sign" and (self.rotation, self.fingerprint, self.bits) != (None, None, None):
            raise ValueError("transform 'sign' takes no rotation, fingerprint or bits")
        return self


class FdeField(_Record):
    """A field of MUVERA fixed dimensional encodings, derived from a multi-vector field; see `fde`."""

    derived_from: str
    repetitions: int = Field(ge=1)
    simhash_bits: int = Field(ge=0, le=12)
    projection: int | None = Field(default=None, ge=1)
    seed: int = Field(ge=0)
    fill_empty: bool = True
    final_dimension: int | None = Field(default=None, ge=1)


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
    """How the scores of several retrievers become one; the names are those of `fusion`.

    Attributes:
        normalization: None for combinations of ranks.
        combination: how the normalized scores are joined.
        rank_constant: for combinations of ranks.
        missing: what a missing score counts as under ``arithmetic_mean``; None is ``lowest``.
    """

    normalization: str | None = None
    combination: str
    rank_constant: int = Field(default=60, ge=1, le=10_000)
    missing: Missing | None = None


class Refine(_Record):
    """Guided Query Refinement (arXiv 2510.05038); what is None has the default of `refinement.refine`.

    Attributes:
        primary: the vector field whose query is refined.
        complementary: the fields whose fused scores guide it; the text field stands for BM25.
        depth: how many of the best fused candidates take part; the others keep their order below them.
        steps: gradient steps.
        mix: the share of the complementary scores in the target.
        budget: how far the query may go: learning rate × steps × √dimension.
        target: which of GQR's published definitions the target has; see `refinement.targets`.
        guide: how several complementary fields become one: ``fusion`` takes their fused scores, ``mixture``
            the weighted mean of their distributions.
        fused_share: the share of the fused scores in the final ones; 0 ranks by the refined query alone. Both
            are normalized by ``min_max`` over the refined candidates before they are averaged.
    """

    primary: str
    complementary: tuple[str, ...] = Field(min_length=1)
    depth: int = Field(default=50, ge=2, le=1000)
    steps: int | None = Field(default=None, ge=1, le=1000)
    mix: float | None = Field(default=None, ge=0, le=1)
    budget: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    target: Literal["mixture", "recomputed", "mean_scores"] | None = None
    guide: Literal["fusion", "mixture"] = "fusion"
    fused_share: float = Field(default=0.0, ge=0, lt=1)


class Cut(_Record):
    """How many results are left.

    Attributes:
        method: ``size`` leaves that many; ``score_curve`` cuts where the scores drop; ``relevance`` where the
            probabilities that `Relevance` gives say that more results would do harm.
        size: for ``size``.
        min: the adaptive methods leave at least so many, if there are.
        max: they leave at most so many; None is what the search asks for.
        beta: for ``relevance``: how many times as much recall counts as precision.
    """

    method: Literal["size", "score_curve", "relevance"] = "size"
    size: int | None = Field(default=None, ge=1, le=10_000)
    min: int = Field(default=1, ge=1, le=10_000)
    max: int | None = Field(default=None, ge=1, le=10_000)
    beta: float = Field(default=1.0, gt=0, le=100)

    @model_validator(mode="after")
    def _fits(self) -> Cut:
        if (self.method == "size") != (self.size is not None):
            raise ValueError("'size' belongs to the method 'size', and to no other")
        if self.max is not None and self.max < self.min:
            raise ValueError(f"max {self.max} is less than min {self.min}")
        return self


class Profile(_Record):
    """A named way to search an index, stage by stage; a stage that is None is left out."""

    retrievers: tuple[Retriever, ...] = Field(min_length=1)
    fusion: Fusion | None = None
    refine: Refine | None = None
    rerank: Rerank | None = None
    cut: Cut | None = None
    documents: Documents | None = None


class Moments(_Record):
    """What scores of one field look like for records of one modality."""

    mean: float = Field(allow_inf_nan=False)
    deviation: float = Field(gt=0, allow_inf_nan=False)
    count: int = Field(ge=2)


class Relevance(_Record):
    """How probable it is that a result of a profile is relevant: a logistic function, learnt from judgements.

    Attributes:
        intercept: its constant.
        rank: the coefficient of ln(rank).
        fields: field → the coefficient of its score, normalized by `Statistics.scores`.
        queries: how many judged queries it was learnt from.
        results: how many results of theirs.
    """

    intercept: float = Field(allow_inf_nan=False)
    rank: float = Field(allow_inf_nan=False)
    fields: dict[str, float]
    queries: int = Field(ge=1)
    results: int = Field(ge=1)


class Tuned(_Record):
    """What ``osmm tune`` found of a profile that it wrote, on questions that had no part in the choice.

    Attributes:
        metric: such as ``ndcg@10``.
        queries: how many judged queries there were.
        mean: of the metric, cross-validated, with its 95% interval ``low`` and ``high``.
        compared_with: the profile that it was meant to beat.
        difference: to that profile, paired by query, with its 95% interval.
        left_out: that profile's stages that took no part in the comparison.
        profile_sha256: of the profile as it was written; another one was changed by hand since.
    """

    metric: str
    queries: int = Field(ge=1)
    mean: float
    low: float
    high: float
    compared_with: str
    difference: float
    difference_low: float
    difference_high: float
    left_out: tuple[str, ...] = ()
    profile_sha256: str


class Statistics(_Record):
    """Numbers learnt from the collection by ``osmm index calibrate`` and ``osmm tune``.

    Attributes:
        scores: scored field → modality → mean and deviation of its scores.
        relevance: profile → how its results' scores tell relevance.
        tuned: profile → what it reached when it was tuned.
    """

    scores: dict[str, dict[str, Moments]] = {}
    relevance: dict[str, Relevance] = {}
    tuned: dict[str, Tuned] = {}


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
    statistics: Statistics = Statistics()

    def source(self, field: SourceField | BinaryField | FdeField) -> SourceField:
        """Return the vector field with a model that ``field`` is, or is derived from."""
        return cast(
            "SourceField", field if isinstance(field, SourceField) else self.fields[field.derived_from]
        )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, field in self.fields.items():
            if isinstance(field, SourceField):
                continue
            source = self.fields.get(field.derived_from)
            kind = "single" if isinstance(field, BinaryField) else "multi"
            if not isinstance(source, SourceField) or (source.encoding is None) != (kind == "single"):
                raise ValueError(
                    f"field '{name}': derived_from: '{field.derived_from}' is not a {kind}-vector field with "
                    "a model"
                )
        return self


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
        where, why = _first(error)
        raise InvalidInput(f"{name}: {'.'.join(['_meta.multimodal', *where])}: {why}") from error


def parse_profile(name: str, value: Any) -> Profile:
    """Read one profile; errors as in `parse_meta`."""
    try:
        return Profile.model_validate(value)
    except ValidationError as error:
        where, why = _first(error)
        raise InvalidInput(f"profile '{name}': {'.'.join(where) or 'value'}: {why}") from error


def _first(error: ValidationError) -> tuple[list[str], str]:
    """Return where and what of the error that goes deepest: a union reports each of its branches."""
    first = max(error.errors(), key=lambda item: len(item["loc"]))
    skipped = {"source_field", "binary_field", "fde_field", "str", "Profile"}
    where = [str(part) for part in first["loc"] if part not in skipped]
    return where, first["msg"].removeprefix("Value error, ")
