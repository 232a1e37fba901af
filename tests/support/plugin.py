"""Plain HTTP to a server with the project's plugin."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

import cbor2
import numpy as np
import urllib3


class Http:
    """Requests to one server; an answer of another status than expected is shown whole."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._pool = urllib3.PoolManager(retries=False, timeout=60)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        status: Iterable[int] = (200, 201),
        cbor: bool = False,
    ) -> Any:
        """Send JSON, or lines of JSON where ``body`` is a list; return the answer, decoded."""
        headers = {
            "accept": "application/cbor" if cbor else "application/json",
            "accept-encoding": "identity",
        }
        data = None
        if isinstance(body, list):
            data = "".join(json.dumps(line) + "\n" for line in body).encode()
            headers["content-type"] = "application/x-ndjson"
        elif body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers["content-type"] = "application/json"
        for pause in (1, 2, 4, 0):
            answer = self._pool.request(method, f"{self.url}/{path}", body=data, headers=headers)
            if answer.status != 429 or 429 in tuple(status):
                break
            time.sleep(pause)  # the parent circuit breaker of a small heap asks for patience
        assert answer.status in tuple(status), f"{method} {path}: {answer.status} {answer.data[:2000]!r}"
        return cbor2.loads(answer.data) if cbor else json.loads(answer.data or b"null")

    def refused(self, method: str, path: str, body: Any = None) -> str:
        """Return the reasons, root and causes, with which a request is answered by 400."""
        return json.dumps(self.call(method, path, body, status=[400])["error"], ensure_ascii=False)

    def bulk(self, index: str, documents: Mapping[str, Mapping[str, Any]]) -> None:
        """Index documents by id and make them visible; none may fail."""
        lines: list[Any] = []
        for key, document in documents.items():
            lines += [{"index": {"_index": index, "_id": key}}, document]
        answer = self.call("POST", "_bulk?refresh=true", lines)
        assert not answer["errors"], [item for item in answer["items"] if "error" in item["index"]][:1]

    def hits(self, index: str, body: Mapping[str, Any], **options: Any) -> list[dict[str, Any]]:
        """Search; a failed shard is an error."""
        answer = self.call("POST", f"{index}/_search", body, **options)
        assert answer["_shards"]["failed"] == 0, answer["_shards"]
        hits: list[dict[str, Any]] = answer["hits"]["hits"]
        return hits

    def scores(self, index: str, body: Mapping[str, Any]) -> dict[str, float]:
        """Return the score of each hit."""
        return {hit["_id"]: hit["_score"] for hit in self.hits(index, body)}


def unit_rows(generator: np.random.Generator, count: int, dimension: int) -> Any:
    """Return ``count`` random rows of length 1."""
    rows = generator.standard_normal((count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def score_bound(query: Any, encoding: str) -> float:
    """Return by how much a score of the cluster may differ from NumPy's (docs/wire-format.md, "Scoring")."""
    if encoding != "bit":
        return 0.0
    spread = query.max(axis=1) - query.min(axis=1)
    return float(np.sqrt(query.shape[1]) * (spread / 15 / 2).sum())
