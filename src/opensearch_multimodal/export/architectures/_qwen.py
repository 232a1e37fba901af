"""What ColQwen and the Qwen-VL embedders share: settings, graphs, and the original to compare with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...encoder.images import collate
from ...errors import InvalidInput
from ..examples import TextExamples, collate_text, widen_text
from ..graphs import Axes, Graph
from ..source import Source
from ..tokens import SourceTokenizer
from ._decoder import Decoder, Head, TextGraph
from ._examples import PageExamples, widen_page
from ._examples import original as original_vectors
from ._processor import image_processor, pixel_settings
from ._qwen_graphs import PageGraph, axes_of
from ._qwen_vision import VisionTower

__all__ = ["IMAGE_TOKEN", "Original", "graphs", "image_settings", "page_inputs"]

IMAGE_TOKEN = "<|image_pad|>"  # noqa: S105 - a token of a vocabulary
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)
_AXES: dict[str, tuple[str | int, ...]] = {
    "patch_mask": ("n", "p"),
    "patch_positions": ("n", "p", 2),
    "patch_windows": ("n", "p"),
    "position_indices": ("n", "p", 4),
    "position_weights": ("n", "p", 4),
    "input_ids": ("n", "t"),
    "attention_mask": ("n", "t"),
    "position_ids": (3, "n", "t"),
}


@dataclass(frozen=True)
class Original:
    """A model of transformers, and how it is used without our graphs.

    Attributes:
        base: Qwen2VLModel, Qwen2_5_VLModel or Qwen3VLModel, on the CPU.
        projection: the linear layer after it; None where the last token's state is the vector.
        texts: (input_ids, attention_mask) → vectors (rows, d).
        pages: the inputs of `page_inputs` → vectors (rows, d).
        sequential: whether the tokens of a page have the positions of a text.
        dimension: d.
    """

    base: Any
    projection: nn.Module | None
    texts: Callable[[Tensor, Tensor], Tensor]
    pages: Callable[[dict[str, Tensor]], Tensor]
    sequential: bool
    dimension: int


def image_settings(
    source: Source, base: Any, prompt: str, limits: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Return the settings of the image tower.

    Args:
        source: whose image processor they are.
        base: the model.
        prompt: with one image token.
        limits: the fewest and the most pixels, where the image processor does not say it.

    Raises:
        InvalidInput: the image processor is of another model.
    """
    processor = image_processor(source)
    vision = base.config.vision_config
    for name, own in (
        ("patch_size", "patch_size"),
        ("merge_size", "spatial_merge_size"),
        ("temporal_patch_size",) * 2,
    ):
        if (said := processor.get(name, getattr(vision, own))) != getattr(vision, own):
            raise InvalidInput(
                f"images: the image processor of {source.folder} has {name} = {said}, the model "
                f"{getattr(vision, own)}: they are of two models"
            )
    size = processor.get("size") or {}
    fewest, most = limits or (
        processor.get("min_pixels") or size.get("shortest_edge") or size.get("min_pixels") or 56 * 56,
        processor.get("max_pixels") or size.get("longest_edge") or size.get("max_pixels") or 28 * 28 * 1280,
    )
    table = getattr(vision, "num_position_embeddings", None)
    return {
        "layout": "qwen_vl",
        "pooling": "none",
        **pixel_settings(processor, _MEAN, _STD, "bicubic"),
        "grid": {
            "patch_size": vision.patch_size,
            "merge_size": vision.spatial_merge_size,
            "temporal_patch_size": vision.temporal_patch_size,
            "min_pixels": int(fewest),
            "max_pixels": int(most),
            "window_size": getattr(vision, "window_size", None),
            "position_side": int(table**0.5) if table else None,
        },
        "prompt": {"tokenizer": "tokenizer.json", "text": prompt, "image_token": IMAGE_TOKEN},
    }


def graphs(
    original: Original, tokenizer: SourceTokenizer, image: dict[str, Any], longest: int, device: str
) -> tuple[Graph, Graph]:
    """Return the graph for texts of at most ``longest`` tokens, and the one for pages.

    The original is on ``device``.

    Raises:
        InvalidInput: the tokenizer numbers the image token otherwise than the model.
    """
    base = original.base
    token = base.config.image_token_id
    if (known := tokenizer.tokenizer.token_to_id(IMAGE_TOKEN)) != token:
        raise InvalidInput(
            f"tokenizer: it numbers {IMAGE_TOKEN} {known}, the model {token}: they are of two models"
        )
    language = base.language_model
    table = nn.Embedding.from_pretrained(language.embed_tokens.weight)
    decoder = Decoder(language, axes_of(language))
    head = Head(original.projection)
    many = original.projection is not None
    output = "embeddings" if many else "embedding"
    output_axes: tuple[str | int, ...] = ("n", "t", original.dimension) if many else ("n", original.dimension)
    texts = Graph(
        tower="text",
        file="text.onnx",
        module=TextGraph(table, decoder, head).eval(),
        inputs={name: _AXES[name] for name in ("input_ids", "attention_mask")},
        output=output,
        output_axes=output_axes,
        example=TextExamples(tokenizer.tokenizer, longest),
        collate=collate_text,
        reference=original_vectors(
            lambda given: original.texts(given["input_ids"], given["attention_mask"]), device
        ),
        widen=widen_text,
    )
    vision = VisionTower(base.visual)
    page = PageGraph(vision, table, decoder, head, token, sequential=original.sequential).eval()
    examples = PageExamples(
        image, tokenizer, page.inputs, image["grid"]["patch_size"] * image["grid"]["merge_size"]
    )
    axes: Axes = {
        name: ("n", "p", vision.embed.in_features) if name == "patches" else _AXES[name]
        for name in page.inputs
    }
    pages = Graph(
        tower="image",
        file="image.onnx",
        module=page,
        inputs=axes,
        output=output,
        output_axes=output_axes,
        example=examples.example,
        collate=collate,
        reference=original_vectors(lambda given: original.pages(page_inputs(given, token)), device),
        widen=widen_page,
    )
    return texts, pages


def page_inputs(given: dict[str, Tensor], image_token: int) -> dict[str, Tensor]:
    """Return what transformers' processor gives for the page that the graph reads, an unpadded batch of one.

    Returns:
        ``input_ids``, ``attention_mask``, ``mm_token_type_ids`` (1, t), ``pixel_values`` (p, …) and
        ``image_grid_thw`` (1, 3).
    """
    rows, columns = (given["patch_positions"][0].amax(0) + 1).tolist()
    return {
        "input_ids": given["input_ids"],
        "attention_mask": given["attention_mask"],
        "mm_token_type_ids": (given["input_ids"] == image_token).int(),
        "pixel_values": given["patches"][0],
        "image_grid_thw": torch.tensor([[1, rows, columns]], device=given["patches"].device),
    }
