"""An OpenSearch cluster, as this project talks to it."""

from __future__ import annotations

import base64
import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

import orjson
import tenacity
from opensearchpy import OpenSearch
from opensearchpy import exceptions as vendor

from ..errors import (
    ClusterBusy,
    ClusterConflict,
    ClusterRejected,
    ClusterTimeout,
    ClusterUnreachable,
    InvalidInput,
)
from .connection import CBOR, CborSerializer, Connection, map_error, root_cause, status_error

__all__ = ["BulkItem", "Cluster", "Search", "retrying"]

_JSON = orjson.OPT_SERIALIZE_NUMPY
_NDJSON = {"content-type": "application/x-ndjson"}
_TRANSIENT = (ClusterUnreachable, ClusterTimeout, ClusterBusy)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BulkItem:
    """What became of one line of a bulk request.

    Attributes:
        id: the record's ``_id``.
        status: the HTTP status of this item.
        kind: the cluster's error type, None where it was written.
        reason: the cluster's own words, None where it was written.
    """

    id: str
    status: int
    kind: str | None = None
    reason: str | None = None

    @property
    def written(self) -> bool:
        """Whether the cluster took it."""
        return self.status < 300

    @property
    def transient(self) -> bool:
        """Whether the same item may be taken later."""
        return self.status == 429 or self.status >= 500


@dataclass(frozen=True, slots=True)
class Search:
    """One search of a multi-search request.

    Attributes:
        body: the search body; NumPy arrays in it are sent as JSON arrays.
        global_statistics: count term frequencies over all shards first, so that BM25 scores of different
            shards can be compared.
    """

    body: Mapping[str, Any]
    global_statistics: bool = False


class Cluster:
    """An OpenSearch cluster, as this project talks to it.

    Every method raises a subclass of `ClusterError` and nothing of the vendor's. Requests are sent once;
    `retrying` repeats what is safe to repeat.
    """

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        ca_file: str | None = None,
        verify: bool = True,
        timeout: float = 60.0,
        connections: int = 8,
    ) -> None:
        """Prepare a connection; nothing is sent yet.

        Args:
            url: ``http://host:port`` or ``https://…``, optionally with credentials and a path.
            user: user name for basic authentication.
            password: its password.
            ca_file: PEM file of the authority that signed the cluster's certificate.
            verify: check the certificate (``https`` only).
            timeout: seconds before a request is given up.
            connections: how many connections are kept open; give as many as threads use them.

        Raises:
            InvalidInput: the URL is not one, or user and password are not both given.
        """
        parts = _check_url(url)
        if (user is None) != (password is None):
            raise InvalidInput("user and password: give both or neither")
        self.url = url if parts.username is None else url.replace(f"{parts.netloc.rpartition('@')[0]}@", "")
        self._authorization: str | None = None
        self._deadline: float | None = None
        options: dict[str, Any] = {}
        if parts.scheme == "https":
            options = {"verify_certs": verify, "ssl_show_warn": verify}
            if ca_file:
                options["ca_certs"] = ca_file
        if user is None and parts.username is not None:
            user, password = unquote(parts.username), unquote(parts.password or "")
        if user is not None:
            # As RFC 7617 and OpenSearch have it: urllib3 would encode Latin-1, and refuse the rest.
            encoded = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
            self._authorization = f"Basic {encoded}"
        try:
            self._client = OpenSearch(
                hosts=[self.url],
                connection_class=Connection,
                serializers={CBOR: CborSerializer()},
                max_retries=0,
                timeout=timeout,
                pool_maxsize=connections,
                **options,
            )
        except (vendor.ImproperlyConfigured, OSError) as error:
            raise InvalidInput(f"connection to {self.url}: {error}") from error

    @property
    def signs_in(self) -> bool:
        """Whether requests carry credentials."""
        return self._authorization is not None

    def on_behalf_of(self, authorization: str | None, *, deadline: float | None = None) -> Cluster:
        """Return the same cluster as somebody else sees it, over the same connections.

        Args:
            authorization: the header ``Authorization`` of every request, None for none at all: this object's
                own credentials are never used.
            deadline: time by `time.monotonic` after which no request is sent or waited for.
        """
        other = copy.copy(self)
        other._authorization = authorization
        other._deadline = deadline
        return other

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Send one request and return the decoded answer.

        Args:
            method: HTTP method.
            path: path below the cluster's URL, already percent-encoded.
            body: JSON-serialisable, or text that is sent as it is.
            params: query string.
            headers: request headers in lower case.
            timeout: seconds, where the connection's own does not fit.

        Raises:
            ClusterError: one of its subclasses.
        """
        options = dict(params or {})
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise ClusterTimeout("the time for this request is over")
            timeout = left if timeout is None else min(timeout, left)
        if timeout is not None:
            options["request_timeout"] = timeout
        sent = dict(headers or {})
        if self._authorization is not None:
            sent["authorization"] = self._authorization
        try:
            return self._client.transport.perform_request(
                method, path, params=options, body=body, headers=sent or None
            )
        except vendor.OpenSearchException as error:
            raise map_error(error, self.url) from error

    # The cluster

    def has_plugin(self, name: str) -> bool:
        """Return whether a plugin is installed on every node."""
        listed = self.call("GET", "/_cat/plugins", params={"format": "json", "h": "id,component"})
        nodes = self.call("GET", "/_cat/nodes", params={"format": "json", "h": "id", "full_id": "true"})
        having = {row["id"] for row in listed if row["component"] == name}
        return bool(nodes) and {row["id"] for row in nodes} <= having

    def info(self) -> dict[str, Any]:
        """Return name, version and build of the cluster."""
        answer: dict[str, Any] = self.call("GET", "/")
        return answer

    # Indices

    def get_index(self, name: str) -> dict[str, dict[str, Any]]:
        """Return ``{concrete index: {"aliases", "mappings", "settings"}}`` for a name, alias or pattern."""
        answer: dict[str, dict[str, Any]] = self.call("GET", f"/{_index_path(name)}")
        return answer

    def index_uuid(self, name: str) -> str:
        """Return what tells an index from another one that was made later under the same name."""
        answer = self.call("GET", f"/{_index_path(name)}/_settings/index.uuid")
        return str(next(iter(answer.values()))["settings"]["index"]["uuid"])

    def create_index(self, name: str, body: Mapping[str, Any]) -> None:
        """Create an index with a complete body."""
        self.call("PUT", f"/{_index_path(name)}", body)

    def delete_index(self, name: str) -> None:
        """Delete one index, by its exact name.

        Raises:
            InvalidInput: the name is a pattern or a list.
        """
        if set(name) & set("*,") or name.startswith("-"):
            raise InvalidInput(f"index: '{name}' is a pattern; name one index to delete")
        self.call("DELETE", f"/{_index_path(name)}")

    def refresh(self, name: str) -> None:
        """Make everything written so far visible to search."""
        self.call("POST", f"/{_index_path(name)}/_refresh")

    def update_meta(self, name: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        """Change an index's ``_meta``: read, apply ``change``, write everything back, verify.

        ``PUT _mapping`` replaces the whole ``_meta``, so sibling keys are read first and kept.

        Args:
            name: one index (or an alias of exactly one).
            change: takes the whole present ``_meta``, returns the whole new one.

        Returns:
            The new ``_meta`` as the cluster gives it back.

        Raises:
            ClusterConflict: what was read back is not what was written.
        """
        concrete, current = self._read_meta(name)
        wanted = change(current)
        self.call("PUT", f"/{_index_path(concrete)}/_mapping", {"_meta": wanted})
        written = self._read_meta(concrete)[1]
        if written != wanted:
            raise ClusterConflict(f"index '{concrete}': its _meta was changed by somebody else meanwhile")
        return written

    def _read_meta(self, name: str) -> tuple[str, dict[str, Any]]:
        found = self.get_index(name)
        if len(found) != 1:
            raise InvalidInput(f"index '{name}' stands for {len(found)} indices, one is needed")
        concrete, description = next(iter(found.items()))
        return concrete, dict(description["mappings"].get("_meta") or {})

    # Documents

    def bulk(self, index: str, body: bytes, *, timeout: float | None = None) -> list[BulkItem]:
        """Send one bulk request.

        Args:
            index: the index to write to.
            body: action and source lines as JSON, each with its line end.
            timeout: seconds, where the connection's own does not fit.

        Returns:
            One item per action, in order.
        """
        answer = self.call(
            "POST",
            f"/{_index_path(index)}/_bulk",
            body,
            headers=_NDJSON,
            params={"filter_path": "items.*._id,items.*.status,items.*.error"},
            timeout=timeout,
        )
        return [_bulk_item(next(iter(item.values()))) for item in answer.get("items", [])]

    def search(
        self, index: str, body: Mapping[str, Any], *, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run one search."""
        answer: dict[str, Any] = self.call("POST", f"/{_index_path(index)}/_search", body, params=params)
        _check_response(answer)
        return answer

    def msearch(
        self,
        index: str,
        searches: Sequence[Search],
        *,
        preference: str | None = None,
        cbor: bool = False,
    ) -> list[dict[str, Any]]:
        """Run several searches of one index in one request.

        Args:
            index: index, alias or pattern.
            searches: what to ask.
            preference: the same text sends all of them to the same shard copies.
            cbor: ask for CBOR, in which stored binary fields come raw.

        Returns:
            One answer per search, in order.

        Raises:
            ClusterError: the request failed, or any of the searches did.
        """
        body = b""
        for search in searches:
            header: dict[str, Any] = {"index": index}
            if preference:
                header["preference"] = preference
            if search.global_statistics:
                header["search_type"] = "dfs_query_then_fetch"
            body += orjson.dumps(header) + b"\n" + orjson.dumps(search.body, option=_JSON) + b"\n"
        answer = self.call(
            "POST",
            "/_msearch",
            body,
            headers={**_NDJSON, "accept": CBOR} if cbor else _NDJSON,
        )
        responses: list[dict[str, Any]] = answer["responses"]
        for response in responses:
            _check_response(response)
        return responses

    def scan(self, index: str, body: Mapping[str, Any], *, page: int = 1000) -> Iterator[dict[str, Any]]:
        """Yield every hit of a search, however many, over one point in time.

        Args:
            index: index, alias or pattern.
            body: search body without ``size``, ``sort`` and ``pit``.
            page: hits per request.
        """
        opened = self.call(
            "POST", f"/{_index_path(index)}/_search/point_in_time", params={"keep_alive": "5m"}
        )
        pit = opened["pit_id"]
        after: list[Any] | None = None
        try:
            while True:
                request: dict[str, Any] = {
                    **body,
                    "size": page,
                    "sort": [{"_shard_doc": "asc"}],
                    "pit": {"id": pit, "keep_alive": "5m"},
                    "track_total_hits": False,
                }
                if after is not None:
                    request["search_after"] = after
                answer = self.call("POST", "/_search", request)
                _check_response(answer)
                hits = answer["hits"]["hits"]
                yield from hits
                if len(hits) < page:
                    return
                after = hits[-1]["sort"]
        finally:
            self.call("DELETE", "/_search/point_in_time", {"pit_id": [pit]})

    def delete_by_query(self, index: str, query: Mapping[str, Any]) -> int:
        """Delete every record that matches, and return how many there were."""
        answer = self.call(
            "POST",
            f"/{_index_path(index)}/_delete_by_query",
            {"query": query},
            params={"refresh": "true", "conflicts": "proceed"},
            timeout=600,
        )
        if answer.get("failures"):
            first = answer["failures"][0].get("cause", {})
            raise ClusterRejected(f"delete by query: {first.get('reason')}", kind=first.get("type"))
        return int(answer["deleted"])


def retrying(call: Callable[[], T], *, patience: float, first: float = 0.5, most: float = 30.0) -> T:
    """Repeat ``call`` while the cluster is unreachable, slow or busy.

    Pauses grow exponentially with full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

    Args:
        call: what to do; must be safe to repeat.
        patience: seconds after the first try before the last error is let through.
        first: upper bound of the first pause in seconds.
        most: upper bound of any pause in seconds.
    """
    retry = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_TRANSIENT),
        wait=tenacity.wait_random_exponential(multiplier=first, max=most),
        stop=tenacity.stop_after_delay(patience),
        reraise=True,
    )
    return retry(call)


def _check_response(response: Mapping[str, Any]) -> None:
    """Raise if a search failed as a whole or on any shard: a partial ranking is a wrong ranking."""
    if "error" in response:
        raise status_error(response.get("status"), *root_cause(response["error"]))
    shards = response.get("_shards", {})
    if shards.get("failed"):
        failures = shards.get("failures") or [{}]
        kind, reason = root_cause(failures[0].get("reason", {}))
        raise status_error(
            failures[0].get("status", 503), kind, f"{shards['failed']} shards failed: {reason}"
        )
    if response.get("timed_out"):
        raise ClusterTimeout("the cluster cut the search short at its own time limit")


def _bulk_item(item: Mapping[str, Any]) -> BulkItem:
    error = item.get("error")
    if not error:
        return BulkItem(item["_id"], item["status"])
    kind, reason = root_cause(error)
    return BulkItem(item["_id"], item["status"], kind or "unknown", reason)


def _check_url(url: str) -> Any:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # a port outside 0–65535, a broken IPv6 address
        usable = False
    if not usable:
        shown = url.rpartition("@")[2]
        raise InvalidInput(f"url: expected http://host:port or https://host:port, got '{shown}'")
    return parts


def _index_path(name: str) -> str:
    if not name or name.startswith("_") or "/" in name:
        raise InvalidInput(f"index: '{name}' is not an index name")
    return quote(name, safe=",*")
