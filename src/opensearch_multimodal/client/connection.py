"""The two places where opensearch-py ends: a connection that reads CBOR, and the mapping of its errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import cbor2
from opensearchpy import Urllib3HttpConnection
from opensearchpy import exceptions as vendor
from opensearchpy.serializer import Serializer

from ..errors import (
    ClusterBusy,
    ClusterConflict,
    ClusterError,
    ClusterNotFound,
    ClusterRefused,
    ClusterRejected,
    ClusterTimeout,
    ClusterUnreachable,
)

__all__ = ["BUSY", "CBOR", "CborSerializer", "Connection", "map_error", "root_cause", "status_error"]

CBOR = "application/cbor"
BUSY = frozenset({429, 502, 503, 504})


class CborSerializer(Serializer):
    """CBOR in opensearch-py's terms."""

    mimetype = CBOR

    def loads(self, s: Any) -> Any:
        """Decode an answer."""
        return cbor2.loads(s)

    def dumps(self, data: Any) -> Any:
        """Encode a request."""
        return cbor2.dumps(data)


class Connection(Urllib3HttpConnection):
    """Reads CBOR answers, which the parent class would decode as UTF-8.

    Stored binary fields come back raw in CBOR, without base64: about six times faster than JSON.
    """

    def perform_request(
        self,
        method: str,
        url: str,
        params: Any = None,
        body: Any = None,
        timeout: Any = None,
        ignore: Any = (),
        headers: Any = None,
    ) -> Any:
        """Send one request; return status, headers and body: bytes for CBOR, text otherwise."""
        if not headers or headers.get("accept") != CBOR:
            return super().perform_request(method, url, params, body, timeout, ignore, headers)
        merged = {**self.headers, **headers}
        options = {"timeout": timeout} if timeout else {}
        try:
            answer = self.pool.urlopen(
                method, self.url_prefix + url, body, retries=False, headers=merged, **options
            )
        except Exception as error:
            if "Timeout" in type(error).__name__:
                raise vendor.ConnectionTimeout("TIMEOUT", str(error), error) from error
            raise vendor.ConnectionError("N/A", str(error), error) from error
        if not 200 <= answer.status < 300:
            self._raise_error(answer.status, _error_text(answer.data), "application/json")
        return answer.status, answer.headers, answer.data


def _error_text(body: bytes) -> str:
    try:
        return json.dumps(cbor2.loads(body))
    except (cbor2.CBORDecodeError, TypeError):
        return body.decode("utf-8", "replace")


def map_error(error: vendor.OpenSearchException, url: str) -> ClusterError:
    """Return the error of ours that says what a vendor error means."""
    if isinstance(error, vendor.ConnectionTimeout):
        return ClusterTimeout(f"the cluster at {url} did not answer in time")
    if isinstance(error, vendor.SSLError):
        return ClusterUnreachable(
            f"no secure connection to {url}: {error.error} (--ca-file names the authority)"
        )
    if isinstance(error, vendor.ConnectionError):
        return ClusterUnreachable(f"no cluster answers at {url}: {error.error}")
    if isinstance(error, vendor.TransportError):
        status = error.status_code if isinstance(error.status_code, int) else None
        return status_error(status, *_cause(error))
    return ClusterRejected(f"unreadable answer from {url}: {type(error).__name__}")


def _cause(error: vendor.TransportError) -> tuple[str | None, str]:
    info = error.info if isinstance(error.info, Mapping) else {}
    cause = info.get("error", info)
    return root_cause(cause) if isinstance(cause, Mapping) else (None, str(cause))


def root_cause(cause: Mapping[str, Any]) -> tuple[str | None, str]:
    """Return the type and reason of the innermost cause, which says more than ``all shards failed``."""
    roots = cause.get("root_cause") or []
    inner = roots[0] if roots else cause
    nested = inner.get("caused_by") or cause.get("caused_by") or {}
    reason = str(inner.get("reason") or cause.get("reason") or "no reason given")
    if nested.get("reason") and nested["reason"] not in reason:
        reason = f"{reason}: {nested['reason']}"
    return inner.get("type") or cause.get("type"), reason


def status_error(status: int | None, kind: str | None, reason: str) -> ClusterError:
    """Return the error that a status and the cluster's error type stand for."""
    classes: dict[int | None, type[ClusterError]] = {
        401: ClusterRefused,
        403: ClusterRefused,
        404: ClusterNotFound,
        409: ClusterConflict,
        **dict.fromkeys(BUSY, ClusterBusy),
    }
    cls = classes.get(status, ClusterRejected)
    if kind == "resource_already_exists_exception":
        cls = ClusterConflict
    if status == 401:
        reason = f"{reason} (is the user or the password missing or wrong? --user, --password)"
    return cls(f"the cluster answered {status} {kind or ''}: {reason}", status=status, kind=kind)
