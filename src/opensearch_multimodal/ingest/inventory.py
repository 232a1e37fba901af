"""What an index holds already: the index itself is the checkpoint of an ingest.

A bulk request that was acknowledged is on the cluster's disk. So after a crash the records in the index say
what is done, and no local file can disagree with them: the same command may even go on from another machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..client import Cluster
from ..sources import Document
from ..sources.records import text_path

__all__ = ["Holding", "Inventory"]

_DOCUMENTS_PER_QUERY = 100
_BUCKETS = 1000


@dataclass(slots=True)
class Holding:
    """What the index holds of one document.

    Attributes:
        current: ids of its records that have the document's present content.
        outdated: whether there are records of other content.
    """

    current: set[str] = field(default_factory=set)
    outdated: bool = False


class Inventory:
    """Asks an index what it holds, and deletes what it should no longer."""

    def __init__(self, cluster: Cluster, index: str) -> None:
        """Ask ``index`` on ``cluster``."""
        self._cluster = cluster
        self._index = index

    def look_up(self, documents: Sequence[Document]) -> dict[str, Holding]:
        """Return document id → what the index holds of it, for every document given."""
        wanted = {document.document_id: document for document in documents}
        found = {document_id: Holding() for document_id in wanted}
        known_ids = {document_id: set(document.record_ids) for document_id, document in wanted.items()}
        hits = self._cluster.scan(
            self._index,
            {
                "_source": False,
                "query": {"terms": {"document_id": list(wanted)}},
                "docvalue_fields": ["document_id", "content_sha256"],
            },
            page=5000,
        )
        for hit in hits:
            values = hit["fields"]
            document_id = values["document_id"][0]
            holding = found[document_id]
            if values.get("content_sha256") != [wanted[document_id].content_sha256]:
                holding.outdated = True
            elif hit["_id"] in known_ids[document_id]:
                holding.current.add(hit["_id"])
        return found

    def strangers(self, documents: Sequence[Document]) -> set[str]:
        """Return the ids of documents that the index holds from another file than ours.

        Replacing those would lose what somebody else ingested under the same id.
        """
        files = {document.document_id: str(document.path) for document in documents}
        roots = {text_path(document.root) for document in documents}
        hits = self._cluster.search(
            self._index,
            {
                "size": len(files),
                "_source": ["metadata.root", "metadata.path", "document_id"],
                "query": {
                    "bool": {
                        "filter": [{"terms": {"document_id": list(files)}}],
                        "must_not": [{"terms": {"metadata.root": list(roots)}}],
                    }
                },
                "collapse": {"field": "document_id"},
            },
        )["hits"]["hits"]
        return {
            hit["_source"]["document_id"]
            for hit in hits
            if not _is_file(files[hit["_source"]["document_id"]], hit["_source"].get("metadata", {}))
        }

    def delete_outdated(self, contents: Mapping[str, str]) -> int:
        """Delete the records that a document's present content has replaced.

        Args:
            contents: document id → its present content_sha256.

        Returns:
            The number of records deleted.
        """
        deleted = 0
        for part in _parts(list(contents.items())):
            clauses = [
                {
                    "bool": {
                        "filter": [{"term": {"document_id": document_id}}],
                        "must_not": [{"term": {"content_sha256": sha256}}],
                    }
                }
                for document_id, sha256 in part
            ]
            deleted += self._cluster.delete_by_query(
                self._index, {"bool": {"should": clauses, "minimum_should_match": 1}}
            )
        return deleted

    def delete_documents(self, document_ids: Iterable[str]) -> int:
        """Delete every record of the documents, and return how many there were."""
        return sum(
            self._cluster.delete_by_query(self._index, {"terms": {"document_id": list(part)}})
            for part in _parts(list(document_ids))
        )

    def document_ids(self, query: Mapping[str, Any]) -> Iterator[str]:
        """Yield the id of every document of which any record matches."""
        composite: dict[str, Any] = {
            "size": _BUCKETS,
            "sources": [{"document_id": {"terms": {"field": "document_id"}}}],
        }
        while True:
            answer = self._cluster.search(
                self._index, {"size": 0, "query": query, "aggs": {"documents": {"composite": composite}}}
            )
            documents = answer["aggregations"]["documents"]
            yield from (bucket["key"]["document_id"] for bucket in documents["buckets"])
            if "after_key" not in documents:
                return
            composite["after"] = documents["after_key"]


def _is_file(file: str, metadata: Mapping[str, Any]) -> bool:
    """Say whether a record's metadata name this file; ``root`` may be the file itself."""
    root, path = str(metadata.get("root")), str(metadata.get("path"))
    return text_path(file) in {root, f"{root.rstrip('/')}/{path}"}


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _DOCUMENTS_PER_QUERY):
        yield items[start : start + _DOCUMENTS_PER_QUERY]
