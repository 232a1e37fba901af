"""The service's OpenAPI 3.1 document, made from the models that check its requests."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from .. import __version__
from .schemas import (
    EncodedFields,
    EncodedModel,
    EncodeFields,
    EncodeModel,
    ErrorResponse,
    Health,
    Models,
    RankRequest,
    RankResponse,
    SearchResponse,
)

__all__ = ["document"]

_REFERENCE = "#/components/schemas/{model}"
_REQUESTS: tuple[type[BaseModel], ...] = (EncodeFields, EncodeModel, RankRequest)
_RESPONSES: tuple[type[BaseModel], ...] = (
    EncodedFields,
    EncodedModel,
    RankResponse,
    SearchResponse,
    ErrorResponse,
    Health,
    Models,
)
_ERRORS = {
    "400": "The request is wrong.",
    "401": "A token or credentials are missing or wrong.",
    "403": "The cluster does not let this caller search.",
    "404": "There is no such index.",
    "408": "The body did not arrive in time.",
    "409": "The index holds vectors of another model.",
    "413": "Over a limit of size.",
    "429": "Too many calls; Retry-After says when to come again.",
    "500": "The service failed.",
    "502": "The cluster failed.",
    "504": "The deadline has passed.",
}


def document() -> dict[str, Any]:
    """Return the whole document."""
    _, schemas = models_json_schema(
        [
            *((model, "validation") for model in _REQUESTS),
            *((model, "serialization") for model in _RESPONSES),
        ],
        ref_template=_REFERENCE,
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "opensearch-multimodal",
            "version": __version__,
            "description": "Encode for an index, rank and search. Every answer carries the header "
            "X-Multimodal-Protocol: 1. Rank and search pass the caller's Authorization on to the cluster: "
            "there the service's own token goes in X-Multimodal-Token.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}, {"bearer": []}, {}],
        "paths": {
            "/v1/encode": _post(
                "encode",
                "Encode texts and images.",
                [EncodeFields, EncodeModel],
                [EncodedFields, EncodedModel],
            ),
            "/v1/rank": _post(
                "rank", "Rank the records of indices: ids and scores.", [RankRequest], [RankResponse]
            ),
            "/v1/search": _post(
                "search",
                "Search indices: sources and an explanation.",
                [RankRequest],
                [SearchResponse],
            ),
            "/v1/models": _get("models", "The models that this service knows.", Models, "401", "400"),
            "/health/live": _get("live", "Whether the process answers.", Health),
            "/health/ready": _get("ready", "Whether calls can be sent here.", Health, unready=True),
            "/metrics": _text("metrics", "Metrics in Prometheus' text format.", "text/plain"),
            "/openapi.json": _text("openapi", "This document.", "application/json"),
        },
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Multimodal-Token"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _post(
    name: str, summary: str, requests: list[type[BaseModel]], responses: list[type[BaseModel]]
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": True, "content": _json(requests)},
        "responses": {"200": {"description": "Done.", "content": _json(responses)}, **_errors(*_ERRORS)},
    }
    return {"post": operation}


def _get(
    name: str, summary: str, response: type[BaseModel], *errors: str, unready: bool = False
) -> dict[str, Any]:
    responses = {"200": {"description": "Yes.", "content": _json([response])}, **_errors(*errors)}
    if unready:
        responses["503"] = {"description": "Not now.", "content": _json([response])}
    return {"get": {"operationId": name, "summary": summary, "responses": responses}}


def _text(name: str, summary: str, media_type: str) -> dict[str, Any]:
    schema = {"type": "object"} if media_type.endswith("json") else {"type": "string"}
    content = {media_type: {"schema": schema}}
    responses = {"200": {"description": "The text.", "content": content}, **_errors("401")}
    return {"get": {"operationId": name, "summary": summary, "responses": responses}}


def _errors(*statuses: str) -> dict[str, Any]:
    return {
        status: {"description": _ERRORS[status], "content": _json([ErrorResponse])} for status in statuses
    }


def _json(models: list[type[BaseModel]]) -> dict[str, Any]:
    references = [{"$ref": _REFERENCE.format(model=model.__name__)} for model in models]
    schema = references[0] if len(references) == 1 else {"oneOf": references}
    return {"application/json": {"schema": schema}}
