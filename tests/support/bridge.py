"""A real server with the plugin, and its scriptable peer: what the tests of ingest and query share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import urllib3
from faulty_service import FaultyService

from opensearch_multimodal.server import EmbeddedServer

TOKEN = "open-sesame-0123"
FIELDS = {
    "dense": {"model": "words", "input": "text", "fingerprint": "f1"},
    "tokens": {"model": "tokens", "input": "text", "encoding": "int8", "fingerprint": "f2"},
    "picture": {"model": "pictures", "input": "image", "fingerprint": "f3"},
}
_VECTOR = {
    "type": "knn_vector",
    "dimension": 4,
    "method": {"name": "hnsw", "engine": "lucene", "space_type": "l2"},
}
PROPERTIES = {
    "title": {"type": "text"},
    "text": {"type": "text"},
    "colour": {"type": "keyword"},
    "when": {"type": "date"},
    "image": {"type": "binary"},
    "error": {"type": "keyword"},
    "dense": _VECTOR,
    "picture": _VECTOR,
    "tokens": {"type": "binary"},
}


@dataclass(frozen=True)
class Reply:
    """What the server answered."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def reason(self) -> str:
        """The root cause's reason."""
        error = self.body["error"]
        return str((error.get("root_cause") or [error])[0]["reason"])

    @property
    def ids(self) -> list[str]:
        """The ids of the hits."""
        return [hit["_id"] for hit in self.body["hits"]["hits"]]

    @property
    def scores(self) -> list[float]:
        """The scores of the hits."""
        return [hit["_score"] for hit in self.body["hits"]["hits"]]


class Bridge:
    """The server, its peer, and short ways to ask."""

    def __init__(self, server: EmbeddedServer, service: FaultyService) -> None:
        """Remember both."""
        self.server, self.service = server, service
        self._http = urllib3.PoolManager(maxsize=32)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Send a request; text goes as it is, anything else as JSON."""
        content = body if body is None or isinstance(body, str) else json.dumps(body)
        reply = self._http.request(
            method,
            f"{self.server.url}{path}",
            body=content,
            headers={"content-type": "application/json", **headers},
            retries=False,
            timeout=90.0,
        )
        return Reply(reply.status, json.loads(reply.data or b"null"), dict(reply.headers))

    def done(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request that must succeed; return its body."""
        reply = self.ask(method, path, body)
        assert reply.status < 300, reply.body
        return reply.body

    def configure(self, **settings: Any) -> None:
        """Change settings below ``multimodal.`` while the cluster runs; None is the default."""
        changed = {f"multimodal.{key.replace('__', '.')}": value for key, value in settings.items()}
        self.done("PUT", "/_cluster/settings", {"transient": changed})

    def pipeline(self, name: str, *more: dict[str, Any], **options: Any) -> None:
        """Make an ingest pipeline of our processor with these options, and more processors after it."""
        self.done("PUT", f"/_ingest/pipeline/{name}", {"processors": [{"multimodal_encode": options}, *more]})

    def create(
        self,
        name: str,
        *,
        settings: dict[str, Any] | None = None,
        fields: dict[str, Any] | None = FIELDS,  # type: ignore[assignment]  # None: not described
        shards: int = 1,
    ) -> None:
        """Create an index that describes its fields."""
        meta = {"multimodal": {"version": 1, "fields": fields}} if fields is not None else {}
        index = {"knn": True, "number_of_replicas": 0, "number_of_shards": shards, **(settings or {})}
        mappings = {"dynamic": "strict", "_meta": meta, "properties": PROPERTIES}
        self.done("PUT", f"/{name}", {"settings": {"index": index}, "mappings": mappings})

    def bulk(self, index: str, documents: dict[str, dict[str, Any]], query: str = "") -> dict[str, Any]:
        """Index documents at once; return id → item."""
        lines = [
            json.dumps(line)
            for key, document in documents.items()
            for line in ({"index": {"_id": key}}, document)
        ]
        reply = self.done("POST", f"/{index}/_bulk?refresh=true{query}", "\n".join(lines) + "\n")
        return {item["index"]["_id"]: item["index"] for item in reply["items"]}

    def sources(self, index: str) -> dict[str, Any]:
        """Return id → source of everything in an index."""
        found = self.done("POST", f"/{index}/_search?search_pipeline=_none", {"size": 10_000})
        return {hit["_id"]: hit["_source"] for hit in found["hits"]["hits"]}

    def threads(self) -> int:
        """Return how many threads the node has."""
        (node,) = self.done("GET", "/_nodes/stats/jvm")["nodes"].values()
        return int(node["jvm"]["threads"]["count"])
