"""Fetch what a person wants to see of the best candidates: source, snippet, link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from ..client import Cluster, Search
from ..mappings import IndexDescription
from ..types import Candidate
from .compose import Words
from .first_stage import bm25_clause, records_clause, search_body
from .result import Hit

__all__ = ["bare_hit", "present"]

_SNIPPET_CHARACTERS = 200


def present(
    cluster: Cluster,
    index: IndexDescription,
    candidates: Sequence[Candidate],
    words: Words | None,
    *,
    refined_field: str | None,
    preference: str,
) -> list[Hit]:
    """Return the candidates as hits, in their order.

    A record that was deleted since it was ranked is left out.

    Args:
        cluster: the cluster.
        index: the index.
        candidates: the best ones, in order.
        words: the question in words, which snippets answer.
        refined_field: the field whose query was refined, or None.
        preference: as in the other stages.
    """
    if not candidates:
        return []
    clause = records_clause(index, [(candidate.index, candidate.id) for candidate in candidates])
    body = search_body(clause, len(candidates))
    body["_source"] = {"excludes": [*index.meta.fields, "image"]}
    body["highlight"] = _highlight(index, words)
    answer = cluster.msearch(index.name, [Search(body)], preference=preference)[0]
    found = {(hit["_index"], hit["_id"]): hit for hit in answer["hits"]["hits"]}
    return [
        _hit(candidate, found[candidate.index, candidate.id], refined_field)
        for candidate in candidates
        if (candidate.index, candidate.id) in found
    ]


def bare_hit(candidate: Candidate, refined_field: str | None) -> Hit:
    """Return a hit without anything that would have to be fetched."""
    return _hit(candidate, {}, refined_field)


def _highlight(index: IndexDescription, words: Words | None) -> dict[str, Any]:
    text_fields = [name for name, field in index.properties.items() if field.get("type") == "text"]
    field: dict[str, Any] = {
        "number_of_fragments": 1,
        "fragment_size": _SNIPPET_CHARACTERS,
        "no_match_size": _SNIPPET_CHARACTERS,
    }
    if words is not None:
        field["highlight_query"] = bm25_clause("text", words, None)
    fields = {"text": field} if "text" in text_fields else {}
    return {"pre_tags": [""], "post_tags": [""], "max_analyzer_offset": 999_999, "fields": fields}


def _hit(candidate: Candidate, found: Mapping[str, Any], refined_field: str | None) -> Hit:
    source = found.get("_source", {})
    fragments = found.get("highlight", {}).get("text") or [source.get("text", "")[:_SNIPPET_CHARACTERS]]
    return Hit(
        id=candidate.id,
        index=candidate.index,
        score=candidate.score,
        source=source,
        snippet=" ".join(fragments[0].split()),
        link=source.get("image_uri") or _file_link(source.get("metadata", {})),
        stages=_stages(candidate, refined_field),
    )


def _file_link(metadata: Mapping[str, Any]) -> str | None:
    """Return a link to the file that a passage came from; ``root`` may be the file itself."""
    root, path = metadata.get("root"), metadata.get("path")
    if not isinstance(root, str) or not isinstance(path, str) or not PurePosixPath(root).is_absolute():
        return None
    file = PurePosixPath(root)
    return (file if file.name == path else file / path).as_uri()


def _stages(candidate: Candidate, refined_field: str | None) -> dict[str, Any]:
    stages: dict[str, Any] = {
        "modality": candidate.modality or None,
        "first_stage": {
            name: {"rank": rank, "score": candidate.first_scores[name]}
            for name, rank in candidate.ranks.items()
        },
        "scores": {
            name: score if score != float("-inf") else None for name, score in candidate.scores.items()
        },
    }
    if candidate.fused is not None:
        stages["fused"] = candidate.fused
    if refined_field is not None and candidate.refined is not None:
        before = candidate.scores[refined_field]
        stages["refined"] = {"field": refined_field, "before": before, "after": candidate.refined}
    if candidate.reranked is not None:
        stages["reranked"] = {"rank_before": candidate.rank_before, "score": candidate.reranked}
    return stages
