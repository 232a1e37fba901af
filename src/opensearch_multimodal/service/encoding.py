"""``/v1/encode``: texts and images to vectors, one bad input failing alone."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from .. import wire
from ..binarize import sign_codes
from ..encoder import EncoderPool, FieldEncoder, IndexEncoders, OnnxEncoder, UnencodableInput, paced
from ..errors import InvalidInput, ModelMismatch
from ..mappings import IndexDescription, Meta, SourceField, parse_meta
from ..mappings.body import vector_dimension
from ..models import ModelSpec, load_spec
from ..sources import Limits, SourceOptions
from ..sources.images import read_base64_image
from ..sources.values import clean
from .lanes import Gate, Job
from .metrics import Metrics
from .refusal import Refusal
from .schemas import ContentInput, EncodeFields, EncodeModel
from .settings import ServiceLimits

__all__ = ["EncodeService", "decode_image"]

_IMAGES_AT_A_TIME = 4
"""Decoded images that are held at a time: each may take 50 MB."""

_MOST_FIELDS = 16
_MOST_DIMENSIONS = 16_000

Failure: TypeAlias = dict[str, dict[str, str]]
Result: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Content:
    title: str
    text: str
    image: Image.Image | None


class EncodeService:
    """Encodes for whoever may call; safe to use from several threads."""

    def __init__(self, pool: EncoderPool, gate: Gate, limits: ServiceLimits, metrics: Metrics) -> None:
        """Prepare; models are loaded when a call names them."""
        self._pool = pool
        self._gate = gate
        self._limits = limits
        self._metrics = metrics

    def check(self, request: EncodeFields | EncodeModel) -> None:
        """Refuse a call that is too large as a whole.

        Raises:
            Refusal: naming the limit.
        """
        limits = self._limits
        if len(request.inputs) > limits.inputs:
            raise Refusal(
                413, "too_large", f"inputs: {len(request.inputs)} are over the limit of {limits.inputs}"
            )
        characters = sum(_characters(one) for one in request.inputs)
        if characters > limits.call_chars:
            raise Refusal(
                413, "too_large", f"inputs: {characters} characters are over the limit of {limits.call_chars}"
            )

    def run(self, request: EncodeFields | EncodeModel, job: Job) -> Result:
        """Encode.

        Raises:
            InvalidInput: the call as a whole is wrong.
            ModelMismatch: the model at hand is not the one that was named.
        """
        self._metrics.encoding(request.task, len(request.inputs))
        started = time.monotonic()
        urgent = request.task == "query"
        with paced(partial(self._gate.urgent if urgent else self._gate.patient, job)):
            answer = self._fields(request) if isinstance(request, EncodeFields) else self._model(request)
        for result in answer["results"]:
            if "error" in result:
                self._metrics.failed_input(result["error"]["type"])
        job.timings_ms["encode"] = (time.monotonic() - started) * 1000
        return answer

    def _fields(self, request: EncodeFields) -> Result:
        meta = parse_meta("fields", {"version": 1, "fields": request.fields})
        _check_fields(meta)
        index = IndexDescription("<index>", (), meta, {}, {})
        encoder = FieldEncoder(index, IndexEncoders(index, self._pool))

        def encode(contents: Sequence[_Content]) -> list[Result]:
            return [{"values": encoder.values(vectors)} for vectors in encoder.encode(contents)]

        return {"results": self._each(request.inputs, encode, images=encoder.reads_images)}

    def _model(self, request: EncodeModel) -> Result:
        spec = load_spec(request.model)
        if request.fingerprint not in (None, spec.fingerprint):
            raise ModelMismatch(
                "model",
                expected=request.fingerprint,
                actual=spec.fingerprint,
                remedy=f"the service has another model '{spec.name}'",
            )
        if spec.batch_dependent and request.task != "query" and request.batch_dependence is None:
            raise InvalidInput(
                f"model: vectors of '{spec.name}' change with what else is in the call, so what is encoded "
                'again differs; "batch_dependence": "allowed" takes it all the same'
            )
        encoder = self._pool.get(spec)
        outputs = _outputs(request.outputs, spec)
        run = _runner(encoder, request.task)

        def encode(contents: Sequence[_Content]) -> list[Result]:
            return [_shown(vectors, outputs, request.encoding) for vectors in run(contents)]

        results = self._each(request.inputs, encode, images=True)
        return {"fingerprint": spec.fingerprint, "results": results}

    def _each(
        self,
        inputs: Sequence[ContentInput],
        encode: Callable[[Sequence[_Content]], list[Result]],
        *,
        images: bool,
    ) -> list[Result]:
        """Return a result or a failure per input, in order."""
        results: list[Result] = [{}] * len(inputs)
        size = _IMAGES_AT_A_TIME if images and any(one.image for one in inputs) else max(1, len(inputs))
        for start in range(0, len(inputs), size):
            ready: list[tuple[int, _Content]] = []
            for position, one in enumerate(inputs[start : start + size], start=start):
                content = self._content(one, images=images)
                if isinstance(content, _Content):
                    ready.append((position, content))
                else:
                    results[position] = content
            encoded = _apart([content for _, content in ready], encode)
            for (position, _), result in zip(ready, encoded, strict=True):
                results[position] = result
        return results

    def _content(self, one: ContentInput, *, images: bool) -> _Content | Failure:
        characters = _characters(one)
        if characters > self._limits.text_chars:
            return _failure(
                "too_large", f"text: {characters} characters, the limit is {self._limits.text_chars}"
            )
        try:
            image = decode_image("image", one.image, self._limits) if images and one.image else None
        except Refusal as error:
            return _failure(error.kind, error.reason)
        return _Content(clean(one.title or ""), clean(one.text or ""), image)


def decode_image(name: str, value: str, limits: ServiceLimits) -> Image.Image:
    """Return the image in a base64 text.

    Raises:
        Refusal: it is not base64, not an image, or has too many pixels.
    """
    try:
        return read_base64_image(value, SourceOptions(limits=Limits(max_pixels=limits.pixels)))
    except InvalidInput as error:
        raise Refusal(400, "invalid_input", f"{name}: {error}") from None


def _check_fields(meta: Meta) -> None:
    """Refuse descriptions that no index has, and that would cost more than any index does."""
    if len(meta.fields) > _MOST_FIELDS:
        raise InvalidInput(f"fields: {len(meta.fields)} are over the limit of {_MOST_FIELDS}")
    for name, field in meta.fields.items():
        if isinstance(field, SourceField):
            continue
        dimension = vector_dimension(meta, field, load_spec)
        if dimension > _MOST_DIMENSIONS:
            raise InvalidInput(f"fields.{name}: {dimension} dimensions, an index takes {_MOST_DIMENSIONS}")


def _characters(one: ContentInput) -> int:
    return len(one.text or "") + len(one.title or "")


def _failure(kind: str, reason: str) -> Failure:
    return {"error": {"type": kind, "reason": reason}}


def _apart(
    contents: Sequence[_Content], encode: Callable[[Sequence[_Content]], list[Result]]
) -> list[Result]:
    """Encode together; where that fails, halve until what fails is alone."""
    if not contents:
        return []
    try:
        return encode(contents)
    except InvalidInput as error:
        if len(contents) == 1:
            reason = error.reason if isinstance(error, UnencodableInput) else str(error)
            return [_failure("invalid_input", reason)]
    middle = len(contents) // 2
    return _apart(contents[:middle], encode) + _apart(contents[middle:], encode)


def _outputs(asked: Sequence[str] | None, spec: ModelSpec) -> tuple[str, ...]:
    possible = {"dense": ("dense", "binary"), "multi_vector": ("multi_vector",)}.get(spec.kind, ())
    chosen = tuple(asked) if asked else possible[:1]
    for output in chosen:
        if output == "fde":
            raise InvalidInput("outputs: 'fde' needs parameters: send the index's 'fields' instead")
        if output not in possible:
            raise InvalidInput(
                f"outputs: model '{spec.name}' is of kind {spec.kind} and has no output '{output}'"
            )
    return chosen


def _runner(encoder: OnnxEncoder, task: str) -> Callable[[Sequence[_Content]], Any]:
    """Return what encodes contents for a task."""

    def pages(contents: Sequence[_Content]) -> Any:
        return encoder.encode_pages([content.image for content in contents if content.image])

    def run(contents: Sequence[_Content]) -> Any:
        with_image = sum(content.image is not None for content in contents)
        if with_image not in (0, len(contents)):
            raise InvalidInput("inputs: texts and images together")  # halved until each is alone
        if with_image and task != "passage":
            return pages(contents)
        if task == "page":
            raise InvalidInput("image: a page is an image")
        if task == "query":
            return encoder.encode_queries([content.text for content in contents])
        return encoder.encode_passages(
            [f"{one.title}\n{one.text}" if one.title else one.text for one in contents]
        )

    return run


def _shown(vectors: Any, outputs: Sequence[str], encoding: str) -> Result:
    shown: Result = {}
    for output in outputs:
        if output == "dense":
            shown[output] = vectors
        elif output == "binary":
            shown[output] = sign_codes(np.asarray(vectors)[None, :])[0]
        else:
            packed = wire.pack(vectors, encoding)  # type: ignore[arg-type]
            shown[output] = base64.b64encode(packed).decode("ascii")
    return shown
