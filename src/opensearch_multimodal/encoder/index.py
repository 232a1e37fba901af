"""The encoders that one index names, each loaded when first needed and checked against the index."""

from __future__ import annotations

import threading

from ..mappings import IndexDescription
from ..models import load_spec
from ..types import Encoder, Input
from .load import load

__all__ = ["IndexEncoders"]


class IndexEncoders:
    """Vector field → encoder, for one index.

    Two fields of the same model share one encoder. Safe to use from several threads.
    """

    def __init__(self, index: IndexDescription, *, provider: str = "cpu", threads: int | None = None) -> None:
        """Prepare; nothing is loaded yet.

        Args:
            index: the index whose ``_meta`` names the models.
            provider: ONNX Runtime execution provider.
            threads: threads per model, None for one per core.
        """
        self._index = index
        self._provider = provider
        self._threads = threads
        self._loaded: dict[str, Encoder] = {}
        self._lock = threading.Lock()

    def get(self, field: str) -> Encoder:
        """Return the encoder of a vector field.

        Raises:
            ModelMismatch: the model at hand did not make the index's vectors.
            InvalidInput: the field or its model is unknown, or the dimension is not the mapping's.
            EnvironmentProblem: the model's files are missing or damaged.
        """
        spec = load_spec(self._index.source_field(field).model)
        self._index.check_model(field, spec)
        with self._lock:
            if spec.name not in self._loaded:
                self._loaded[spec.name] = load(spec, provider=self._provider, threads=self._threads)
            return self._loaded[spec.name]

    def query_inputs(self, field: str) -> tuple[Input, ...]:
        """Return what a query may be for a vector field: its model's towers."""
        spec = load_spec(self._index.source_field(field).model)
        return tuple(name for name in ("text", "image") if getattr(spec, name) is not None)

    @property
    def truncated(self) -> int:
        """How many texts were not read to their end so far."""
        return sum(getattr(encoder, "truncated", 0) for encoder in self._loaded.values())
