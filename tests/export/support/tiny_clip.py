"""A tiny CLIP with random weights, made from the real configuration classes."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizer

MERGES = [("t", "h"), ("th", "e</w>"), ("e", "r</w>"), ("a", "n"), ("an", "d</w>"), ("i", "n")]


def make(
    folder: Path,
    *,
    side: int = 32,
    patch: int = 8,
    text_width: int = 32,
    image_width: int = 48,
    layers: int = 2,
    dimension: int = 24,
    heads: int = 4,
    legacy_end: bool = False,
    shortest_edge: int | None = None,
    seed: int = 0,
) -> Path:
    """Write model, tokenizer and image processor into ``folder`` and return it.

    Args:
        folder: where to.
        side: of the images, in pixels.
        patch: side of a patch.
        text_width: hidden size of the text tower.
        image_width: hidden size of the image tower.
        layers: of each tower.
        dimension: of the vectors.
        heads: of each attention.
        legacy_end: say that token 2 ends a text, as the configurations of the first checkpoints do.
        shortest_edge: to which images are scaled before their centre is cut out; ``side`` by default.
        seed: of the weights.
    """
    tokenizer = CLIPTokenizer(vocab=vocabulary(), merges=MERGES, model_max_length=77)
    config = CLIPConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": text_width,
            "intermediate_size": 4 * text_width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": 2 if legacy_end else tokenizer.eos_token_id,
            "pad_token_id": 1,
        },
        vision_config={
            "hidden_size": image_width,
            "intermediate_size": 4 * image_width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "image_size": side,
            "patch_size": patch,
        },
        projection_dim=dimension,
    )
    torch.manual_seed(seed)
    model = CLIPModel(config).eval()
    model.save_pretrained(folder)
    CLIPProcessor(image_processor(side, shortest_edge), tokenizer).save_pretrained(folder)
    return folder


def image_processor(side: int, shortest_edge: int | None = None) -> CLIPImageProcessorPil:
    """Return the processor of images of ``side`` by ``side`` pixels."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": shortest_edge or side}, crop_size={"height": side, "width": side}
    )


def vocabulary() -> dict[str, int]:
    """Return bytes, bytes that end a word, what the merges make, and the two special tokens at the end."""
    letters = sorted(ByteLevel.alphabet())
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in MERGES)]
    return {piece: i for i, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}
