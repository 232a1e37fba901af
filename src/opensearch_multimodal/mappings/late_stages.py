"""The stages of a profile that come after the ranking of records: reranking, and documents."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Documents", "Rerank"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rerank(_Record):
    """Score the best candidates again, by what is too slow for all of them.

    Attributes:
        type: ``cross_encoder`` reads question and text together; ``maxsim`` encodes the texts again and
            scores them by MaxSim in float32, whatever the index keeps.
        model: cross_encoder: the name of a model of kind ``reranker``, or of a reranker handed to `Searcher`.
        field: cross_encoder: what is read of a record besides its title, ``text`` by default; maxsim: a
            multi-vector field.
        depth: how many of the best candidates take part; the others keep their order below them.
        batch: how many of them are scored between two looks at the clock.
        budget_ms: what is not scored in so many milliseconds keeps its order; None: no limit of its own.
    """

    type: Literal["cross_encoder", "maxsim"] = "cross_encoder"
    model: str | None = None
    field: str | None = None
    depth: int = Field(default=50, ge=1, le=1000)
    batch: int = Field(default=16, ge=1, le=1000)
    budget_ms: float | None = Field(default=None, gt=0, le=600_000)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.type == "cross_encoder") != (self.model is not None):
            raise ValueError("'model' belongs to the type 'cross_encoder', and to no other")
        if self.type == "maxsim" and self.field is None:
            raise ValueError("the type 'maxsim' needs a 'field'")
        return self


class Documents(_Record):
    """Roll the ranked pages up to their documents.

    Attributes:
        method: a document's score is that of its best page (``max``), the sum of its ``n`` best
            (``sum_top``), or the similarity of the normalised mean of all its pages' vectors
            (``mean_vector``).
        n: sum_top: how many pages are added up.
        pages: how many pages are shown inside each document, the best first.
        field: mean_vector: a single-vector field that the profile scores; None for its first.
    """

    method: Literal["max", "sum_top", "mean_vector"] = "max"
    n: int = Field(default=3, ge=1, le=100)
    pages: int = Field(default=3, ge=1, le=100)
    field: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.field is not None and self.method != "mean_vector":
            raise ValueError("'field' belongs to the method 'mean_vector', and to no other")
        return self
