"""Fetch what a person wants to see of the best candidates: source, snippet, link."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from ..client import Cluster, Search
from ..mappings import IndexDescription
from ..types import Candidate
from .compose import Words
from .first_stage import bm25_clause, records_clause, search_body
from .result import Hit

__all__ = ["bare_hit", "look_up", "present"]

_SNIPPET_CHARACTERS = 200
_AT_ONCE = 20
_RESULT_WINDOW = 10_000


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
    look = _look(index, clause, len(candidates), words)
    answer = cluster.msearch(index.name, [look], preference=preference)[0]
    found = {(hit["_index"], hit["_id"]): hit for hit in answer["hits"]["hits"]}
    return [
        _hit(candidate, found[candidate.index, candidate.id], refined_field)
        for candidate in candidates
        if (candidate.index, candidate.id) in found
    ]


def look_up(
    cluster: Cluster, index: IndexDescription, wanted: Sequence[tuple[str, Collection[str]]]
) -> list[dict[str, Hit]]:
    """Return records by their ids, as hits of a question that was answered before.

    Args:
        cluster: the cluster.
        index: the index, or several behind one name.
        wanted: pairs of a question, which the snippets answer, and the ids of records.

    Returns:
        Per pair id → hit, with a score of 0 and no stages; an id that is not there is absent. Where several
        of the indices have the id, it is the record of one of them.
    """
    looks = [
        _look(
            index,
            {"ids": {"values": sorted(ids)}},
            min(len(ids) * len(index.indices), _RESULT_WINDOW),
            question,
        )
        for question, ids in wanted
    ]
    found: list[dict[str, Hit]] = []
    for start in range(0, len(looks), _AT_ONCE):
        for answer in cluster.msearch(index.name, looks[start : start + _AT_ONCE]):
            hits = [_hit(Candidate(hit["_id"], hit["_index"]), hit, None) for hit in answer["hits"]["hits"]]
            found.append({hit.id: hit for hit in hits})
    return found


def bare_hit(candidate: Candidate, refined_field: str | None) -> Hit:
    """Return a hit without anything that would have to be fetched."""
    return _hit(candidate, {}, refined_field)


def _look(index: IndexDescription, clause: Mapping[str, Any], size: int, words: Words | None) -> Search:
    """Return the search that reads what a person wants to see."""
    body = search_body(clause, size)
    body["_source"] = {"excludes": [*index.meta.fields, "image"]}
    body["highlight"] = _highlight(index, words)
    return Search(body)


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
    text = source.get("text")
    start = text[:_SNIPPET_CHARACTERS] if isinstance(text, str) else ""
    fragments = found.get("highlight", {}).get("text") or [start]
    return Hit(
        id=candidate.id,
        index=candidate.index,
        score=candidate.score,
        source=source,
        snippet=" ".join(fragments[0].split()),
        link=source.get("image_uri") or _file_link(source.get("metadata") or {}),
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
