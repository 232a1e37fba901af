"""The encoders that one index names, each loaded when first needed and checked against the index."""

from __future__ import annotations

import threading

from ..binarize import Rotation
from ..errors import InvalidInput
from ..mappings import BinaryField, IndexDescription, check_batch_dependence
from ..models import ModelSpec, RotationSpec, load_rotation, load_rotation_spec, load_spec
from ..types import Encoder, Input
from .load import OnnxEncoder, load
from .matryoshka import CutEncoder
from .reranker import OnnxReranker, load_reranker

__all__ = ["EncoderPool", "IndexEncoders"]


class EncoderPool:
    """Model → encoder, each loaded once. Safe to use from several threads."""

    def __init__(self, *, provider: str = "cpu", threads: int | None = None) -> None:
        """Prepare; nothing is loaded yet.

        Args:
            provider: ONNX Runtime execution provider.
            threads: threads per model, None for one per core.
        """
        self._provider = provider
        self._threads = threads
        self._lock = threading.Lock()
        self._loading: dict[str, threading.Lock] = {}
        self._loaded: dict[str, OnnxEncoder] = {}
        self._rerankers: dict[str, OnnxReranker] = {}
        self._rotations: dict[str, Rotation] = {}

    def get(self, spec: ModelSpec) -> OnnxEncoder:
        """Return the encoder of a model; whoever asks for another one meanwhile does not wait.

        Raises:
            InvalidInput: the model does not encode, or its spec does not fit its files.
            EnvironmentProblem: the model's files are missing or damaged.
        """
        key = spec.fingerprint
        with self._lock:
            loading = self._loading.setdefault(key, threading.Lock())
        with loading:
            if key not in self._loaded:
                self._loaded[key] = load(spec, provider=self._provider, threads=self._threads)
            return self._loaded[key]

    def rotation(self, spec: RotationSpec) -> Rotation:
        """Return a learnt rotation.

        Raises:
            EnvironmentProblem: its file is missing or damaged.
        """
        key = spec.fingerprint
        with self._lock:
            if key not in self._rotations:
                self._rotations[key] = load_rotation(spec)
            return self._rotations[key]

    def loaded(self) -> frozenset[str]:
        """Return the fingerprints of the models that are loaded."""
        return frozenset({*self._loaded, *self._rerankers})

    def reranker(self, spec: ModelSpec) -> OnnxReranker:
        """Return the cross-encoder of a spec of kind ``reranker``; errors as in `get`."""
        key = spec.fingerprint
        with self._lock:
            loading = self._loading.setdefault(key, threading.Lock())
        with loading:
            if key not in self._rerankers:
                self._rerankers[key] = load_reranker(spec, provider=self._provider, threads=self._threads)
            return self._rerankers[key]

    @property
    def truncated(self) -> int:
        """How many texts were not read to their end so far."""
        return sum(encoder.truncated for encoder in list(self._loaded.values()))


class IndexEncoders:
    """Vector field → encoder, for one index.

    Two fields of the same model share one encoder. Safe to use from several threads.
    """

    def __init__(self, index: IndexDescription, pool: EncoderPool | None = None) -> None:
        """Prepare; nothing is loaded yet.

        Args:
            index: the index whose ``_meta`` names the models.
            pool: where encoders are kept, None for a pool of its own.
        """
        self._index = index
        self._pool = pool or EncoderPool()

    def get(self, field: str) -> Encoder:
        """Return the encoder of a vector field.

        Raises:
            ModelMismatch: the model at hand did not make the index's vectors.
            InvalidInput: the field or its model is unknown, or the dimension is not the mapping's.
            EnvironmentProblem: the model's files are missing or damaged.
        """
        described = self._index.source_field(field)
        spec = load_spec(described.model)
        self._index.check_model(field, spec)
        encoder = self._pool.get(spec)
        kept = spec.kept_dimension(described.dimension)
        return encoder if kept == encoder.dimension else CutEncoder(encoder, kept)

    def for_records(self, field: str) -> Encoder:
        """Return the encoder of a vector field, to write vectors by it; errors as in `get`.

        Raises:
            InvalidInput: also where the model's vectors change with their batch, unless the field allows it.
        """
        described = self._index.source_field(field)
        check_batch_dependence(field, described, load_spec(described.model))
        return self.get(field)

    def rotation(self, field: str) -> Rotation:
        """Return the learnt rotation of a binary field.

        Raises:
            ModelMismatch: the rotation at hand did not make the index's codes.
            InvalidInput: the field has none, or there is none of that name.
            EnvironmentProblem: its file is missing or damaged.
        """
        described = self._index.meta.fields.get(field)
        if not isinstance(described, BinaryField) or described.rotation is None:
            raise InvalidInput(f"index '{self._index.name}': '{field}' has no learnt rotation")
        spec = load_rotation_spec(described.rotation)
        self._index.check_rotation(field, spec)
        return self._pool.rotation(spec)

    def query_inputs(self, field: str) -> tuple[Input, ...]:
        """Return what a query may be for a vector field: its model's towers."""
        spec = load_spec(self._index.source_field(field).model)
        return tuple(name for name in ("text", "image") if getattr(spec, name) is not None)

    @property
    def truncated(self) -> int:
        """How many texts the pool's models did not read to their end so far."""
        return self._pool.truncated
