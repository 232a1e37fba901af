"""Tiny vision language models of the Qwen families with random weights, from transformers' own classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    ColQwen2Config,
    ColQwen2ForRetrieval,
    ColQwen2Processor,
    Qwen2_5_VLConfig,
    Qwen2_5_VLModel,
    Qwen2_5_VLProcessor,
    Qwen2Tokenizer,
    Qwen2VLConfig,
    Qwen2VLImageProcessor,
    Qwen2VLModel,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLModel,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
MERGES = [("t", "h"), ("th", "e"), ("i", "n"), ("e", "r"), ("Ġ", "the"), ("a", "n")]
CHAT = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.content is string %}{{- message.content }}{%- else %}"
    "{%- for content in message.content %}"
    "{%- if content.type == 'image' %}{{- '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{%- else %}{{- content.text }}{%- endif %}{%- endfor %}{%- endif %}{{- '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


def make_tokenizer() -> Qwen2Tokenizer:
    """Return Qwen's tokenizer with bytes, a few merges, and its special tokens."""
    vocabulary = {token: number for number, token in enumerate(sorted(ByteLevel.alphabet()))}
    for pair in MERGES:
        vocabulary["".join(pair)] = len(vocabulary)
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=MERGES, eos_token="<|im_end|>")
    tokenizer.add_special_tokens({"additional_special_tokens": SPECIAL})
    return tokenizer


def make_colqwen2(folder: Path, *, backbone: str = "qwen2_vl", dimension: int = 16, **sizes: Any) -> Path:
    """Write a ColQwen2 as transformers saves one, over Qwen2-VL or Qwen2.5-VL."""
    tokenizer = make_tokenizer()
    config = ColQwen2Config(vlm_config=_config(backbone, tokenizer, sizes), embedding_dim=dimension)
    model = random_weights(ColQwen2ForRetrieval(config))
    model.save_pretrained(folder)
    ColQwen2Processor(_images(backbone, sizes), tokenizer).save_pretrained(folder)
    return folder


def make_engine_colqwen(
    folder: Path, *, backbone: str = "qwen2_vl", dimension: int = 16, old_names: bool = False, **sizes: Any
) -> Path:
    """Write a merged ColQwen2, ColQwen2.5 or ColQwen3 as colpali-engine saves one."""
    tokenizer = make_tokenizer()
    config = _config(backbone, tokenizer, sizes)
    model = random_weights(_MODELS[backbone](config))
    projection = torch.nn.Linear(config.text_config.hidden_size, dimension)
    weights = dict(model.state_dict())
    if old_names:
        weights = {name.replace("language_model.", "model."): value for name, value in weights.items()}
    weights |= {f"custom_text_proj.{name}": value for name, value in projection.state_dict().items()}
    _save(folder, config, weights, _NAMES[backbone])
    _processor(backbone, sizes, tokenizer).save_pretrained(folder)
    return folder


def make_qwen_embedding(
    folder: Path, *, backbone: str = "qwen3_vl", architecture: str | None = None, **sizes: Any
) -> Path:
    """Write a vision language model whose last token's state is the embedding."""
    tokenizer = make_tokenizer()
    config = _config(backbone, tokenizer, sizes)
    model = random_weights(_MODELS[backbone](config))
    _save(folder, config, dict(model.state_dict()), architecture or type(model).__name__)
    _processor(backbone, sizes, tokenizer).save_pretrained(folder)
    return folder


_MODELS = {"qwen2_vl": Qwen2VLModel, "qwen2_5_vl": Qwen2_5_VLModel, "qwen3_vl": Qwen3VLModel}
_NAMES = {"qwen2_vl": "ColQwen2", "qwen2_5_vl": "ColQwen2_5", "qwen3_vl": "ColQwen3"}


def _config(backbone: str, tokenizer: Qwen2Tokenizer, sizes: dict[str, Any]) -> Any:
    sizes = {"hidden": 48, "layers": 2, "heads": 4, "vision": 32, "depth": 3, "vision_heads": 4} | sizes
    ids = tokenizer.convert_tokens_to_ids
    width = sizes["hidden"] // sizes["heads"]
    half = width // 2
    third = half // 3
    text: dict[str, Any] = {
        "vocab_size": sizes.get("vocabulary", len(tokenizer) + 8),
        "hidden_size": sizes["hidden"],
        "intermediate_size": sizes["hidden"] * 2,
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": sizes["heads"],
        "num_key_value_heads": max(sizes["heads"] // 2, 1),
        "max_position_embeddings": 4096,
        "bos_token_id": None,
        "eos_token_id": ids("<|im_end|>"),
        "pad_token_id": ids("<|endoftext|>"),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [half - 2 * third, third, third],
        },
    }
    vision: dict[str, Any] = {
        "depth": sizes["depth"],
        "num_heads": sizes["vision_heads"],
        "patch_size": _SIDE[backbone],
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    if backbone == "qwen2_vl":
        vision |= {"embed_dim": sizes["vision"], "hidden_size": sizes["hidden"], "mlp_ratio": 2}
    else:
        vision |= {
            "hidden_size": sizes["vision"],
            "out_hidden_size": sizes["hidden"],
            "intermediate_size": sizes["vision"] * 2,
        }
    if backbone == "qwen2_5_vl":
        vision |= {"window_size": 4 * 2 * _SIDE[backbone], "fullatt_block_indexes": [sizes["depth"] - 1]}
    if backbone == "qwen3_vl":
        text |= {"head_dim": width}
        text["rope_parameters"]["mrope_interleaved"] = True
        vision |= {"num_position_embeddings": 36, "deepstack_visual_indexes": [0, 1]}
    return _CONFIGS[backbone](
        text_config=text,
        vision_config=vision,
        image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
        tie_word_embeddings=True,
    )


_CONFIGS = {"qwen2_vl": Qwen2VLConfig, "qwen2_5_vl": Qwen2_5_VLConfig, "qwen3_vl": Qwen3VLConfig}
_SIDE = {"qwen2_vl": 4, "qwen2_5_vl": 4, "qwen3_vl": 4}


def _images(backbone: str, sizes: dict[str, Any]) -> Qwen2VLImageProcessor:
    factor = 2 * _SIDE[backbone]
    options: dict[str, Any] = {
        "patch_size": _SIDE[backbone],
        "merge_size": 2,
        "temporal_patch_size": 2,
        "size": {"shortest_edge": 4 * factor**2, "longest_edge": sizes.get("features", 40) * factor**2},
    }
    if backbone == "qwen3_vl":
        options |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return Qwen2VLImageProcessor(**options)


def _processor(backbone: str, sizes: dict[str, Any], tokenizer: Qwen2Tokenizer) -> Any:
    images = _images(backbone, sizes)
    if backbone == "qwen3_vl":
        return Qwen3VLProcessor(images, tokenizer, Qwen3VLVideoProcessor(), chat_template=CHAT)
    kind = Qwen2VLProcessor if backbone == "qwen2_vl" else Qwen2_5_VLProcessor
    return kind(images, tokenizer, Qwen2VLVideoProcessor(), chat_template=CHAT)


def random_weights(model: torch.nn.Module) -> Any:
    """Fill every weight with random numbers, norms and biases too: what is 1 or 0 shows no mistake."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim == 1:
                weight.copy_(noise * 0.1 + (0.0 if name.endswith("bias") else 1.0))
            else:
                weight.copy_(noise * (0.5 if "embed" in name else weight[0].numel() ** -0.5))
    return model.eval()


def _save(folder: Path, config: Any, weights: dict[str, torch.Tensor], architecture: str) -> None:
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    content = {**config.to_dict(), "architectures": [architecture]}
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
    save_file(
        {name: value.contiguous().clone() for name, value in weights.items()}, folder / "model.safetensors"
    )
