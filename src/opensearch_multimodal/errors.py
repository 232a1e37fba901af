"""The exception tree; every error this package raises on purpose derives from one base.

::

    MultimodalError
    ├── InvalidInput          the caller's data or options are wrong           (exit code 1)
    ├── ModelMismatch         vectors of two models would be mixed             (exit code 1)
    ├── MissingExtra          an optional dependency is not installed          (exit code 2)
    ├── EnvironmentProblem    Java, Maven, disk, a port, a download            (exit code 2)
    ├── ClusterError          the cluster did not do what was asked            (exit code 2)
    │   ├── ClusterUnreachable    no connection
    │   ├── ClusterTimeout        no answer in time
    │   ├── ClusterBusy           429 or 503: worth trying again later
    │   ├── ClusterRefused        401 or 403
    │   ├── ClusterNotFound       404
    │   ├── ClusterConflict       409, or a resource that exists already
    │   └── ClusterRejected       any other 4xx or 5xx answer
    ├── ServiceError          the HTTP service failed                          (exit code 2)
    └── MigrationError        a blue-green migration cannot go on              (exit code 2)
"""

from __future__ import annotations

__all__ = [
    "ClusterBusy",
    "ClusterConflict",
    "ClusterError",
    "ClusterNotFound",
    "ClusterRefused",
    "ClusterRejected",
    "ClusterTimeout",
    "ClusterUnreachable",
    "EnvironmentProblem",
    "InvalidInput",
    "MigrationError",
    "MissingExtra",
    "ModelMismatch",
    "MultimodalError",
    "ServiceError",
]


class MultimodalError(Exception):
    """Base of every error raised on purpose; its text is one sentence fit for a terminal."""

    exit_code = 2


class InvalidInput(MultimodalError, ValueError):
    """A value is wrong: the message names the field, the value's shape or size, and the limit."""

    exit_code = 1


class ModelMismatch(MultimodalError):
    """An index and a model disagree: searching or writing would mix two vector spaces."""

    exit_code = 1

    def __init__(self, field: str, *, expected: str | None, actual: str, remedy: str) -> None:
        """Name the field, both fingerprints and what to do.

        Args:
            field: the vector field of the index.
            expected: the fingerprint in the index, or None where it has none.
            actual: the fingerprint of the model at hand.
            remedy: what the user can do, as a sentence fragment.
        """
        self.field = field
        self.expected = expected
        self.actual = actual
        has = f"holds vectors of model fingerprint {expected}" if expected else "has no model fingerprint"
        super().__init__(f"field '{field}' {has}, the model at hand has {actual}: {remedy}")


class MissingExtra(MultimodalError, ImportError):
    """An optional dependency is missing; the message names the extra that brings it."""

    def __init__(self, purpose: str, extra: str, other: str | None = None) -> None:
        """Say what was wanted (``purpose``) and which extra of the distribution brings it, or which other."""
        self.extra = extra
        choice = f", or [{other}]" if other else ""
        super().__init__(f"{purpose} needs an extra: pip install 'opensearch-multimodal[{extra}]'{choice}")


class EnvironmentProblem(MultimodalError):
    """This machine lacks something: a program, disk space, a free port, a downloadable file."""


class ClusterError(MultimodalError):
    """The cluster did not do what was asked.

    Attributes:
        status: the HTTP status, or None where there was no answer.
        kind: the cluster's own error type, such as ``mapper_parsing_exception``, or None.
    """

    def __init__(self, message: str, *, status: int | None = None, kind: str | None = None) -> None:
        """Keep the status and the cluster's error type beside the message."""
        self.status = status
        self.kind = kind
        super().__init__(message)


class ClusterUnreachable(ClusterError):
    """No connection could be made, or it broke."""


class ClusterTimeout(ClusterError):
    """No answer came in time."""


class ClusterBusy(ClusterError):
    """The cluster is overloaded or not ready (429, 502, 503, 504): the same call may succeed later."""


class ClusterRefused(ClusterError):
    """The credentials are missing, wrong, or not allowed to do this (401, 403)."""


class ClusterNotFound(ClusterError):
    """The index, document or endpoint does not exist (404)."""


class ClusterConflict(ClusterError):
    """The resource exists already or was changed meanwhile (409)."""


class ClusterRejected(ClusterError):
    """The cluster understood the request and said no (any other 4xx or 5xx)."""


class ServiceError(MultimodalError):
    """The HTTP service failed."""


class MigrationError(MultimodalError):
    """A blue-green migration cannot go on."""
