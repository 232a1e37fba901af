"""What the service reads and writes: models that check requests and make the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from .filters import check_plain
from .refusal import Refusal

__all__ = [
    "ContentInput",
    "CutPoint",
    "EncodeFields",
    "EncodeModel",
    "EncodeRequest",
    "EncodeResponse",
    "EncodedFields",
    "EncodedModel",
    "ErrorResponse",
    "FullDocument",
    "FullHit",
    "Health",
    "Model",
    "Models",
    "Problem",
    "RankRequest",
    "RankResponse",
    "RankedHit",
    "SearchResponse",
    "Values",
    "Vectors",
    "check_depth",
    "parse",
]

_MAX_DEPTH = 60
Name = Annotated[str, Field(min_length=1, max_length=512)]
Deadline = Annotated[int, Field(ge=1, le=3_600_000, description="Milliseconds until the answer is useless.")]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class ContentInput(_Request):
    """What a record gives models to read."""

    text: str | None = None
    title: str | None = None
    image: str | None = Field(default=None, description="An image file, base64.")


class EncodeFields(_Request):
    """Fill every vector field that an index describes."""

    fields: dict[str, Any] = Field(description="`_meta.multimodal.fields` of the index, unchanged.")
    task: Literal["passage"] = "passage"
    inputs: list[ContentInput]
    deadline_ms: Deadline | None = None


class EncodeModel(_Request):
    """Run one model."""

    model: Name
    fingerprint: str | None = Field(default=None, description="Refuse any other model of that name.")
    task: Literal["query", "passage", "page"]
    outputs: list[Literal["dense", "multi_vector", "binary", "fde"]] | None = Field(
        default=None, description="What to return; default: the model's own kind of vector."
    )
    encoding: Literal["float32", "float16", "int8", "bit"] = Field(
        default="float32", description="How multi-vectors are packed (wire format)."
    )
    batch_dependence: Literal["allowed"] | None = Field(
        default=None,
        description="Take passages and pages of a model whose vectors change with what else is in the call.",
    )
    inputs: list[ContentInput]
    deadline_ms: Deadline | None = None


EncodeRequest: TypeAlias = EncodeFields | EncodeModel
"""Either form; ``fields`` tells them apart."""


class RankRequest(_Request):
    """A question to one or several indices."""

    indices: list[Name] = Field(min_length=1, max_length=1_000, description="As the caller wrote them.")
    query_text: str | None = None
    query_image: str | None = Field(default=None, description="An image file, base64.")
    profile: Name = "default"
    k: int = Field(default=10, ge=1)
    filter: dict[str, Any] | None = Field(default=None, description="A clause of OpenSearch's query DSL.")
    overrides: dict[str, Any] | None = Field(
        default=None, description="Parts of the profile to change, and `compose`."
    )
    deadline_ms: Deadline = 5_000
    preference: Annotated[str, Field(max_length=512)] | None = None
    on_failure: Literal["error", "bm25"] = Field(
        default="error", description="What to do where the query cannot be encoded, or not in time."
    )


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(_Response):
    """What went wrong."""

    type: Literal[
        "invalid_input",
        "model_mismatch",
        "unauthorized",
        "too_large",
        "busy",
        "cluster_error",
        "timed_out",
        "internal",
    ]
    reason: str


class ErrorResponse(_Response):
    """The body of every answer that is not 200."""

    error: Problem


class Values(_Response):
    """Vector field → value as the index takes it; absent where the input has nothing for the field."""

    values: dict[str, list[float] | str]


class EncodedFields(_Response):
    """Results in input order."""

    results: list[Values | ErrorResponse]


class Vectors(_Response):
    """The outputs that were asked for; a multi-vector is packed and base64."""

    dense: list[float] | None = None
    multi_vector: str | None = None
    binary: list[int] | None = None


class EncodedModel(_Response):
    """Results in input order, and the model that made them."""

    fingerprint: str
    results: list[ErrorResponse | Vectors]


EncodeResponse: TypeAlias = EncodedFields | EncodedModel
"""What either form of the request gives."""


class RankedHit(_Response):
    """A record and its score."""

    index: str
    id: str
    score: float


class RankResponse(_Response):
    """The best records, best first."""

    hits: list[RankedHit]
    degraded: Literal["bm25"] | None
    timings_ms: dict[str, float]


class FullHit(RankedHit):
    """A record with its source and an account of every stage."""

    source: dict[str, Any]
    snippet: str
    link: str | None
    stages: dict[str, Any]


class FullDocument(_Response):
    """A document with its best pages."""

    id: str
    index: str
    score: float
    pages: list[FullHit]


class CutPoint(_Response):
    """Where the list of results was cut, and why."""

    method: Literal["size", "score_curve", "relevance"]
    size: int
    of: int
    reason: str


class SearchResponse(_Response):
    """The best records with their sources, best first."""

    hits: list[FullHit]
    degraded: Literal["bm25"] | None
    timings_ms: dict[str, float]
    candidates: int
    notes: list[str]
    composition: list[dict[str, Any]] | None
    documents: list[FullDocument] | None
    cut: CutPoint | None = None


class Model(_Response):
    """A model that the service knows."""

    name: str
    kind: Literal["dense", "multi_vector", "reranker"]
    dimension: int | None
    inputs: list[Literal["text", "image"]]
    fingerprint: str
    present: bool
    loaded: bool


class Models(_Response):
    """Every model that the service knows."""

    models: list[Model]


class Health(_Response):
    """Whether requests can be sent here, and what is in the way."""

    status: Literal["alive", "ready", "not_ready", "draining"]
    checks: dict[str, str] = {}


_ENCODE_FIELDS: TypeAdapter[EncodeFields] = TypeAdapter(EncodeFields)
_ENCODE_MODEL: TypeAdapter[EncodeModel] = TypeAdapter(EncodeModel)
_RANK: TypeAdapter[RankRequest] = TypeAdapter(RankRequest)


def parse(route: str, body: bytes) -> EncodeFields | EncodeModel | RankRequest:
    """Return the request that a body holds.

    Raises:
        Refusal: it is not JSON, or not a valid request; the reason names the place and quotes no value.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _invalid(f"body: not valid JSON (line {error.lineno}, column {error.colno})") from None
    if not isinstance(value, dict):
        raise _invalid("body: a JSON object is needed")
    adapter: TypeAdapter[Any] = _RANK
    if route == "encode":
        adapter = _ENCODE_FIELDS if "fields" in value else _ENCODE_MODEL
    try:
        request: EncodeFields | EncodeModel | RankRequest = adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:200] or "body"
        raise _invalid(f"{where}: {first['msg']}") from None
    for name in ("fields", "filter", "overrides"):
        check_depth(name, getattr(request, name, None))
    check_plain("filter", getattr(request, "filter", None))
    return request


def check_depth(name: str, value: Any) -> None:
    """Refuse JSON nested so deep that writing it again could fail.

    Raises:
        Refusal: naming the field and the limit.
    """
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise _invalid(f"{name}: nested deeper than {_MAX_DEPTH}")


def _invalid(reason: str) -> Refusal:
    return Refusal(400, "invalid_input", reason)
