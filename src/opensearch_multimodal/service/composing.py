"""Images of composed questions: decoded within the limits of the service before a search reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from PIL.Image import Image

from ..search import MAX_IMAGES
from .encoding import decode_image
from .refusal import Refusal
from .settings import ServiceLimits

__all__ = ["decode_parts"]


def decode_parts(
    overrides: Mapping[str, Any] | None, own: Image | None, limits: ServiceLimits
) -> Mapping[str, Any] | None:
    """Return overrides in whose ``compose`` every image is decoded.

    The limit on pixels holds for all images of a question together. What is no part is left as it is: the
    search refuses it.

    Args:
        overrides: of the request.
        own: the image that the question has by itself.
        limits: of the service.

    Raises:
        Refusal: an image cannot be decoded, or there are too many images or pixels.
    """
    parts = (overrides or {}).get("compose")
    if not overrides or not isinstance(parts, list):
        return overrides
    images = [part for part in parts if isinstance(part, dict) and isinstance(part.get("image"), str)]
    if len(images) > MAX_IMAGES:
        raise Refusal(400, "invalid_input", f"compose: {len(images)} images, the limit is {MAX_IMAGES}")
    left = limits.pixels - (own.width * own.height if own else 0)
    decoded: list[Any] = []
    for position, part in enumerate(parts):
        if part in images:
            name = f"compose[{position}].image"
            if left < 1:
                raise Refusal(
                    400, "invalid_input", f"{name}: all images together have over {limits.pixels} pixels"
                )
            image = decode_image(name, part["image"], replace(limits, pixels=left))
            left -= image.width * image.height
            part = {**part, "image": image}
        decoded.append(part)
    return {**overrides, "compose": decoded}
