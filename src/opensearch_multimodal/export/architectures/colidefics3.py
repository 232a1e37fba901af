"""ColIdefics3 and ColSmol: late interaction over Idefics3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import InvalidInput
from ..graphs import ExportOptions, Graph, Plan

if TYPE_CHECKING:
    from ..source import Source
    from ..tokens import SourceTokenizer

__all__ = ["ARCHITECTURE", "ColIdefics3"]

_IMAGE = "<image>"
_PROMPT = "<|im_start|>User:<image>Describe the image.<end_of_utterance>\nAssistant:"
_AUGMENTATION = "<end_of_utterance>"
_TOKENS = 512
_DECODERS = ("llama", "mistral", "qwen2")
_HALF = (0.5, 0.5, 0.5)


class ColIdefics3:
    """Models saved by colpali-engine with their adapter merged: Idefics3Model and a linear layer."""

    name = "ColIdefics3 family"
    model_types = frozenset({"idefics3"})
    kinds = ("multi_vector",)

    def plan(self, source: Source, options: ExportOptions) -> Plan:
        """Read the weights and take the model apart.

        Raises:
            InvalidInput: the folder is not a whole model of this architecture.
        """
        weight, bias = source.tensor("linear.weight"), source.tensor("linear.bias")
        if weight is None or bias is None:
            raise InvalidInput(
                f"weights: {source.folder} has no linear.weight and linear.bias: it is no ColIdefics3 model "
                "with its adapter merged"
            )
        from transformers import AutoModel

        model: Any = source.model(AutoModel.from_pretrained)
        kind = model.config.text_config.model_type
        if kind not in _DECODERS:
            raise InvalidInput(
                f"text_config: a language model of type '{kind}' cannot be exported, only "
                f"{', '.join(_DECODERS)}"
            )
        tokenizer = source.tokenizer(model.get_input_embeddings().num_embeddings)
        if (known := tokenizer.tokenizer.token_to_id(_IMAGE)) != model.config.image_token_id:
            raise InvalidInput(
                f"tokenizer: it numbers {_IMAGE} {known}, the model {model.config.image_token_id}: they are "
                "of two models"
            )
        image = _image_settings(source, model.config)
        limit = options.max_tokens or _TOKENS
        return Plan(
            kind="multi_vector",
            dimension=int(weight.shape[0]),
            graphs=_graphs(model, (weight, bias), tokenizer, image, limit, options.device),
            inputs=("image",),
            text={
                "tokenizer": "tokenizer.json",
                "pooling": "none",
                "query_prefix": options.query_prefix or "",
                "query_suffix": _AUGMENTATION * 10,
                "passage_prefix": options.passage_prefix or "",
                "max_query_tokens": limit,
                "max_passage_tokens": limit,
            },
            image=image,
            files={"tokenizer.json": tokenizer.content},
            notes=tokenizer.notes,
        )


def _image_settings(source: Source, config: Any) -> dict[str, Any]:
    from ._processor import image_processor, pixel_settings

    processor = image_processor(source)
    tile = (processor.get("max_image_size") or {}).get("longest_edge") or 364
    vision = config.vision_config
    if tile != vision.image_size:
        raise InvalidInput(
            f"images: the image processor of {source.folder} cuts tiles of {tile} pixels, the model reads "
            f"{vision.image_size}: they are of two models"
        )
    return {
        "layout": "idefics3",
        "pooling": "none",
        **pixel_settings(processor, _HALF, _HALF, "lanczos"),
        "grid": {
            "tile_size": tile,
            "longest_edge": (processor.get("size") or {}).get("longest_edge") or 4 * tile,
            "split": bool(processor.get("do_image_splitting", True)),
        },
        "prompt": {
            "tokenizer": "tokenizer.json",
            "text": _PROMPT,
            "image_token": _IMAGE,
            "image_tokens": (vision.image_size // vision.patch_size // config.scale_factor) ** 2,
        },
    }


def _graphs(
    model: Any,
    linear: tuple[Any, Any],
    tokenizer: SourceTokenizer,
    image: dict[str, Any],
    longest: int,
    device: str,
) -> tuple[Graph, Graph]:
    import torch

    from ...encoder.images import collate
    from ..examples import TextExamples, collate_text, widen_text
    from ._decoder import Decoder, Head, TextGraph
    from ._examples import PageExamples, on, original, widen_page
    from ._idefics3 import TileGraph, TileTower

    weight, bias = (torch.from_numpy(part) for part in linear)
    projection = torch.nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        projection.weight.copy_(weight)
        projection.bias.copy_(bias)
    dimension, tile = int(weight.shape[0]), image["grid"]["tile_size"]

    whole, last = on(model, device), on(projection, device)

    def vectors(given: dict[str, Any]) -> Any:
        pages = {"pixel_values": given["pixel_values"][None]} if "pixel_values" in given else {}
        projected = last(whole(**{**given, **pages}, use_cache=False).last_hidden_state)
        return (projected / projected.norm(dim=-1, keepdim=True))[0]

    table = torch.nn.Embedding.from_pretrained(model.get_input_embeddings().weight)
    decoder, head = Decoder(model.text_model), Head(projection)
    tokens: dict[str, tuple[str | int, ...]] = {"input_ids": ("n", "t"), "attention_mask": ("n", "t")}
    pixels: dict[str, tuple[str | int, ...]] = {"pixel_values": ("tiles", 3, tile, tile)}
    pages = PageExamples(image, tokenizer, (*pixels, *tokens), max(tile // 2, 1), 5)
    return (
        Graph(
            tower="text",
            file="query.onnx",
            module=TextGraph(table, decoder, head).eval(),
            inputs=tokens,
            output="embeddings",
            output_axes=("n", "t", dimension),
            example=TextExamples(tokenizer.tokenizer, longest),
            collate=collate_text,
            reference=original(vectors, device),
            widen=widen_text,
        ),
        Graph(
            tower="image",
            file="image.onnx",
            module=TileGraph(TileTower(model), table, decoder, head, model.config.image_token_id).eval(),
            inputs={**pixels, **tokens},
            output="embeddings",
            output_axes=("n", "t", dimension),
            example=pages.example,
            collate=collate,
            reference=original(vectors, device),
            widen=widen_page,
        ),
    )


ARCHITECTURE = ColIdefics3()
