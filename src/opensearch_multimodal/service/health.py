"""Whether a worker can be sent requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..client import Cluster
from ..encoder import EncoderPool
from ..errors import MultimodalError
from ..models import is_present, load_spec

__all__ = ["Readiness"]

_TRUSTED_SECONDS = 2.0
_CLUSTER_SECONDS = 2.0


class Readiness:
    """Checks models and cluster, at most once in two seconds; safe to use from several threads."""

    def __init__(self, pool: EncoderPool, models: tuple[str, ...], cluster: Cluster | None) -> None:
        """Prepare.

        Args:
            pool: the service's encoders.
            models: names of models that have to be there.
            cluster: that has to answer, None for a service that only encodes.
        """
        self.draining = False
        self._pool = pool
        self._models = models
        self._cluster = cluster
        self._lock = threading.Lock()
        self._checked = float("-inf")
        self._problems: dict[str, str] = {}

    def problems(self) -> dict[str, str]:
        """Return what is not ready and why, empty where everything is."""
        with self._lock:
            if time.monotonic() - self._checked > _TRUSTED_SECONDS:
                checks: dict[str, Callable[[], str | None]] = {
                    f"model {name}": lambda name=name: self._model(name)  # type: ignore[misc]
                    for name in self._models
                }
                checks["cluster"] = self._reach
                self._problems = {
                    name: problem for name, check in checks.items() if (problem := check()) is not None
                }
                self._checked = time.monotonic()
            return dict(self._problems)

    def _model(self, name: str) -> str | None:
        try:
            spec = load_spec(name)
            present = spec.fingerprint in self._pool.loaded() or is_present(spec)
        except MultimodalError:
            return "its spec cannot be read"
        return None if present else f"its files are missing: osmm models pull {name}"

    def _reach(self) -> str | None:
        if self._cluster is None:
            return None
        try:
            self._cluster.call("GET", "/", timeout=_CLUSTER_SECONDS)
        except MultimodalError as error:
            return f"it does not answer ({type(error).__name__})"
        return None
