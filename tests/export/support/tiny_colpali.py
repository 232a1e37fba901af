"""A tiny ColPali with random weights, made from the real configuration classes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from tiny_siglip import TEXTS
from transformers import (
    ColPaliConfig,
    ColPaliForRetrieval,
    ColPaliProcessor,
    GemmaTokenizer,
    SiglipImageProcessorPil,
)

Layout = Literal["transformers", "transformers-4", "engine", "engine-old"]


def make(
    folder: Path,
    *,
    layout: Layout = "transformers",
    side: int = 32,
    patch: int = 8,
    image_width: int = 32,
    text_width: int = 48,
    layers: int = 2,
    heads: int = 4,
    head_width: int = 12,
    dimension: int = 16,
    gemma: Literal[1, 2] = 1,
    spread: float = 0.2,
) -> Path:
    """Write model and processor into ``folder`` and return it.

    Args:
        folder: where to.
        layout: how the weights are named: as transformers 5 or 4 writes ``ColPaliForRetrieval``, or as
            colpali-engine writes ``ColPali`` on the newer or the older PaliGemma.
        side: of the images, in pixels.
        patch: side of a patch.
        image_width: hidden size of the image tower.
        text_width: hidden size of the language model.
        layers: of each.
        heads: of each attention.
        head_width: of the language model's heads.
        dimension: of the vectors.
        gemma: the language model: of PaliGemma or of PaliGemma 2.
        spread: the standard deviation of weights.
    """
    image_tokens = (side // patch) ** 2
    tokenizer = gemma_tokenizer()
    images = SiglipImageProcessorPil(size={"height": side, "width": side})
    images.image_seq_length = image_tokens
    processor = ColPaliProcessor(images, tokenizer)
    rows = len(tokenizer) + 7
    config = ColPaliConfig(
        vlm_config={
            "model_type": "paligemma",
            "text_config": {
                "model_type": "gemma" if gemma == 1 else "gemma2",
                "hidden_size": text_width,
                "intermediate_size": 4 * text_width,
                "num_hidden_layers": layers,
                "num_attention_heads": heads,
                "num_key_value_heads": 1,
                "head_dim": head_width,
                "vocab_size": rows,
                **({"query_pre_attn_scalar": head_width} if gemma == 2 else {}),
            },
            "vision_config": {
                "model_type": "siglip_vision_model",
                "hidden_size": image_width,
                "intermediate_size": 4 * image_width,
                "num_hidden_layers": layers,
                "num_attention_heads": heads,
                "image_size": side,
                "patch_size": patch,
                "vision_use_head": False,
            },
            "image_token_index": tokenizer.convert_tokens_to_ids("<image>"),
            "projection_dim": text_width,
            "hidden_size": text_width,
            "vocab_size": rows,
        },
        embedding_dim=dimension,
    )
    torch.manual_seed(0)
    model = ColPaliForRetrieval(config)
    for parameter in model.parameters():  # the classes begin with biases of 0 and norms of 1
        torch.nn.init.normal_(parameter, std=0.1 if parameter.ndim == 1 else spread)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    if layout != "transformers":
        _rename(folder, layout)
    return folder


def gemma_tokenizer(**told: Any) -> GemmaTokenizer:
    """Return a byte-fallback BPE like Gemma's, with PaliGemma's token of an image."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    merges = [("t", "h"), ("th", "e"), ("e", "r"), ("a", "n"), ("▁", "the"), ("▁", "i")]
    letters = sorted({letter for text in TEXTS for letter in text + text.upper()} - {" "})
    pieces = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "\n", *letters]
    pieces += [first + second for first, second in merges]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    return GemmaTokenizer(vocab=vocabulary, merges=merges, **told)


def _rename(folder: Path, layout: Layout) -> None:
    """Name the weights as another program does, and write its ``config.json``."""
    path = folder / "model.safetensors"
    weights = {
        name.replace("language_model.model.", "language_model."): weight
        for name, weight in load_file(path).items()
    }
    old = layout in ("transformers-4", "engine-old")
    renamed = {_old_name(name, old=old, layout=layout): weight for name, weight in weights.items()}
    if old:
        head = "vlm.language_model.lm_head" if layout == "transformers-4" else "model.language_model.lm_head"
        renamed[f"{head}.weight"] = weights["vlm.language_model.embed_tokens.weight"].clone()
    save_file(renamed, path, metadata={"format": "pt"})
    if layout.startswith("engine"):
        config = json.loads((folder / "config.json").read_text())
        told = config["vlm_config"] | {"architectures": ["ColPali"], "model_type": "paligemma"}
        (folder / "config.json").write_text(json.dumps(told))
        processor = json.loads((folder / "processor_config.json").read_text())
        for key in ("visual_prompt_prefix", "query_prefix"):
            processor.pop(key, None)
        processor["processor_class"] = "ColPaliProcessor"
        (folder / "processor_config.json").write_text(json.dumps(processor))


def _old_name(name: str, *, old: bool, layout: Layout) -> str:
    if old:
        name = re.sub(r"^vlm\.language_model\.", "vlm.language_model.model.", name)
        name = re.sub(r"^vlm\.vision_tower\.", "vlm.vision_tower.vision_model.", name)
    if layout.startswith("engine"):
        name = name.replace("embedding_proj_layer.", "custom_text_proj.")
        name = re.sub(r"^vlm\.", "model." if old else "model.model.", name)
    return name
