"""What indices say of themselves, remembered for a few seconds."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from ..client import Cluster
from ..errors import ClusterError, InvalidInput
from ..mappings import IndexDescription, describe
from .refusal import Refusal, refusal_of

__all__ = ["Description", "Descriptions"]

_MOST = 256
_LONGEST = 3_000
"""Characters of a list of indices: it goes into a request line, of which OpenSearch takes 4,096 bytes."""


@dataclass(frozen=True, slots=True)
class Description:
    """A description and when it was read.

    Attributes:
        index: the description.
        read: time by `time.monotonic`.
    """

    index: IndexDescription
    read: float


class Descriptions:
    """Reads descriptions with the service's own credentials; safe to use from several threads."""

    def __init__(self, cluster: Cluster, seconds: float) -> None:
        """Trust what was read for as many seconds."""
        self._cluster = cluster
        self._seconds = seconds
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Description] = OrderedDict()

    def get(self, indices: str, *, since: float | None = None) -> Description:
        """Return what indices say of themselves.

        Args:
            indices: names, aliases and patterns with commas, as the caller wrote them.
            since: time by `time.monotonic` before which nothing that was read counts.

        Raises:
            Refusal: the list is too long, or the service itself cannot read it.
            InvalidInput: an index does not describe its vectors.
            ModelMismatch: indices hold vectors of different models.
        """
        if len(indices) > _LONGEST:
            raise Refusal(
                400, "invalid_input", f"indices: {len(indices)} characters, the limit is {_LONGEST}"
            )
        if since is None:
            since = time.monotonic() - self._seconds
        with self._lock:
            known = self._known.get(indices)
        if known is not None and known.read > since:
            return known
        now = time.monotonic()
        read = Description(describe(indices, self._read(indices)), now)
        with self._lock:
            self._known[indices] = read
            self._known.move_to_end(indices)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
        return read

    def _read(self, indices: str) -> dict[str, dict[str, object]]:
        try:
            return self._cluster.get_index(indices)
        except InvalidInput:
            raise Refusal(400, "invalid_input", "indices: not names of indices") from None
        except ClusterError as error:
            refusal = refusal_of(error)
            if refusal.kind == "unauthorized":
                reason = "the service's own credentials do not let it read the indices' mappings"
                raise Refusal(502, "cluster_error", reason) from error
            raise
