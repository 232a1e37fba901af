"""Why a call was refused, as status and JSON; nothing of what the caller sent is quoted."""

from __future__ import annotations

import traceback
from collections.abc import Mapping

from ..errors import (
    ClusterBusy,
    ClusterError,
    ClusterNotFound,
    ClusterRefused,
    ClusterTimeout,
    ClusterUnreachable,
    EnvironmentProblem,
    InvalidInput,
    ModelMismatch,
    ServiceError,
)

__all__ = ["Kind", "Refusal", "busy", "frames", "refusal_of", "timed_out", "unauthorized"]

Kind = str
"""``invalid_input``, ``model_mismatch``, ``unauthorized``, ``too_large``, ``busy``, ``cluster_error``,
``timed_out`` or ``internal``."""

_TOO_MANY = 429
_RETRY_SECONDS = "1"


class Refusal(ServiceError):
    """An answer that is not the one that was asked for.

    Attributes:
        status: HTTP status.
        kind: the error's type.
        reason: one sentence.
        headers: to send with it.
    """

    def __init__(
        self, status: int, kind: Kind, reason: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Keep status, type and headers beside the reason."""
        self.status = status
        self.kind = kind
        self.reason = reason
        self.headers = dict(headers or {})
        super().__init__(reason)

    def body(self) -> dict[str, dict[str, str]]:
        """Return the JSON of the answer."""
        return {"error": {"type": self.kind, "reason": self.reason}}


def busy(what: str) -> Refusal:
    """Return the refusal of one call too many."""
    return Refusal(_TOO_MANY, "busy", f"{what}: try again later", {"retry-after": _RETRY_SECONDS})


def timed_out(what: str) -> Refusal:
    """Return the refusal of a call whose time is over."""
    return Refusal(504, "timed_out", what)


def unauthorized(reason: str, *, challenge: str = "Bearer") -> Refusal:
    """Return the refusal of a call without the right credentials."""
    return Refusal(401, "unauthorized", reason, {"www-authenticate": challenge})


def refusal_of(error: Exception) -> Refusal:
    """Return what an error means to the caller."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, ModelMismatch):
        return Refusal(409, "model_mismatch", str(error))
    if isinstance(error, InvalidInput):
        cause = error.__cause__
        if isinstance(cause, ClusterError):  # its words quote the query
            field = str(error).partition(":")[0]
            return Refusal(400, "invalid_input", f"{field}: the cluster refused it ({_told(cause)})")
        return Refusal(400, "invalid_input", str(error))
    if isinstance(error, ClusterError):
        return _cluster(error)
    if isinstance(error, EnvironmentProblem):
        return Refusal(500, "internal", "a model cannot be loaded; the service's log says why")
    return Refusal(500, "internal", f"the service failed ({type(error).__name__}); its log says where")


def _cluster(error: ClusterError) -> Refusal:
    told = _told(error)
    if isinstance(error, ClusterTimeout):
        return timed_out("the cluster did not answer in time")
    if isinstance(error, ClusterNotFound):
        return Refusal(404, "invalid_input", f"indices: there is no such index ({told})")
    if isinstance(error, ClusterRefused):
        status = error.status or 403
        reason = f"the cluster does not let this caller search ({told})"
        challenge = {"www-authenticate": "Basic"} if status == 401 else None
        return Refusal(status, "unauthorized", reason, challenge)
    if isinstance(error, ClusterBusy) and error.status == _TOO_MANY:
        return busy(f"the cluster is busy ({told})")
    if isinstance(error, ClusterUnreachable):
        return Refusal(502, "cluster_error", "the cluster cannot be reached")
    return Refusal(502, "cluster_error", f"the cluster failed ({told})")


def _told(error: ClusterError) -> str:
    """Return what of a cluster's answer quotes nobody: status and type."""
    return " ".join(str(part) for part in (error.status, error.kind) if part) or type(error).__name__


def frames(error: BaseException) -> str:
    """Return where an error came from, without its message, which may quote what the caller sent."""
    where = traceback.extract_tb(error.__traceback__)[-4:]
    return " < ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in reversed(where))
