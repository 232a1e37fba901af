"""What models that read pages in tiles share: settings, and their two graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ...encoder.images import collate
from ...errors import InvalidInput
from ..examples import TextExamples, collate_text, widen_text
from ..graphs import Graph
from ..source import Source
from ..tokens import SourceTokenizer
from ._decoder import Head, TextGraph
from ._examples import PageExamples, original, widen_page
from ._idefics3 import TileGraph, TileTower
from ._processor import image_processor, pixel_settings

__all__ = ["TilePrompt", "tile_graphs", "tile_prompt"]

_IMAGE = "<image>"
_HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class TilePrompt:
    """How pages are read.

    Attributes:
        settings: of the image tower.
        tokenizer: of texts and of the prompt.
        image_token: the id that image features take the place of.
    """

    settings: dict[str, Any]
    tokenizer: SourceTokenizer
    image_token: int


def tile_prompt(source: Source, model: Any, scale: int, text: str) -> TilePrompt:
    """Return how a model's pages are read.

    Args:
        source: whose processor it is.
        model: Idefics3Model or ModernVBertModel.
        scale: so many patches by so many become one feature.
        text: the prompt, with one image token.

    Raises:
        InvalidInput: processor or tokenizer are of another model.
    """
    tokenizer = source.tokenizer(model.get_input_embeddings().num_embeddings)
    token = model.config.image_token_id
    if (known := tokenizer.tokenizer.token_to_id(_IMAGE)) != token:
        raise InvalidInput(
            f"tokenizer: it numbers {_IMAGE} {known}, the model {token}: they are of two models"
        )
    processor = image_processor(source)
    tile = (processor.get("max_image_size") or {}).get("longest_edge") or 364
    edge = (processor.get("size") or {}).get("longest_edge")
    if not edge:
        raise InvalidInput(
            f"images: the image processor of {source.folder} has no size.longest_edge, so nothing says how "
            "many tiles a page has"
        )
    vision = model.config.vision_config
    if tile != vision.image_size:
        raise InvalidInput(
            f"images: the image processor of {source.folder} cuts tiles of {tile} pixels, the model reads "
            f"{vision.image_size}: they are of two models"
        )
    settings = {
        "layout": "idefics3",
        "pooling": "none",
        **pixel_settings(processor, _HALF, _HALF, "lanczos"),
        "grid": {
            "tile_size": tile,
            "longest_edge": edge,
            "split": bool(processor.get("do_image_splitting", True)),
        },
        "prompt": {
            "tokenizer": "tokenizer.json",
            "text": text,
            "image_token": _IMAGE,
            "image_tokens": (vision.image_size // vision.patch_size // scale) ** 2,
        },
    }
    return TilePrompt(settings, tokenizer, token)


def tile_graphs(
    vision: TileTower,
    parts: tuple[Any, nn.Module, nn.Module],
    prompt: TilePrompt,
    vectors: Callable[[dict[str, Tensor]], Tensor],
    *,
    longest: int,
    device: str,
) -> tuple[Graph, Graph]:
    """Return the graph for texts and the one for pages.

    Args:
        vision: the vision tower.
        parts: the model, its language model from states and mask to states, and the projection.
        prompt: how pages are read.
        vectors: of the original, on ``device``: from ``input_ids``, ``attention_mask`` and, of a page,
            ``pixel_values`` (1, tiles, 3, s, s) to (rows, d).
        longest: the most tokens of a text.
        device: of the original.
    """
    model, language, projection = parts
    table = nn.Embedding.from_pretrained(model.get_input_embeddings().weight)
    head = Head(projection)
    tile = prompt.settings["grid"]["tile_size"]
    tokens: dict[str, tuple[str | int, ...]] = {"input_ids": ("n", "t"), "attention_mask": ("n", "t")}
    pixels: dict[str, tuple[str | int, ...]] = {"pixel_values": ("tiles", 3, tile, tile)}
    pages = PageExamples(prompt.settings, prompt.tokenizer, (*pixels, *tokens), max(tile // 2, 1), 5, thin=2)

    def page_vectors(given: dict[str, Tensor]) -> Tensor:
        return vectors({**given, "pixel_values": given["pixel_values"][None]})

    return (
        Graph(
            tower="text",
            file="text.onnx",
            module=TextGraph(table, language, head).eval(),
            inputs=tokens,
            output="embeddings",
            output_axes=("n", "t", projection.out_features),
            example=TextExamples(prompt.tokenizer.tokenizer, longest),
            collate=collate_text,
            reference=original(vectors, device),
            widen=widen_text,
        ),
        Graph(
            tower="image",
            file="image.onnx",
            module=TileGraph(vision, table, language, head, prompt.image_token).eval(),
            inputs={**pixels, **tokens},
            output="embeddings",
            output_axes=("n", "t", projection.out_features),
            example=pages.example,
            collate=collate,
            reference=original(page_vectors, device),
            widen=widen_page,
        ),
    )
