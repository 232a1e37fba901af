"""A tiny ColIdefics3 and a tiny ColModernVBERT with random weights, from transformers' own classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tiny_qwen import MERGES, random_weights
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    ColModernVBertConfig,
    ColModernVBertForRetrieval,
    ColModernVBertProcessor,
    Idefics3Config,
    Idefics3ImageProcessor,
    Idefics3Model,
    Idefics3Processor,
    PreTrainedTokenizerFast,
)

SPECIAL = [
    "<|endoftext|>",
    "<|begin_of_text|>",
    "<|im_start|>",
    "<|im_end|>",
    "<fake_token_around_image>",
    "<image>",
    "<end_of_utterance>",
    "<global-img>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
]


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer like SmolLM2's, with bytes, a few merges, and the special tokens of SmolVLM."""
    vocabulary = {token: number for number, token in enumerate(sorted(ByteLevel.alphabet()))}
    for pair in MERGES:
        vocabulary["".join(pair)] = len(vocabulary)
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=MERGES))
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(SPECIAL)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
    )


def make_colidefics3(folder: Path, *, dimension: int = 16, **sizes: Any) -> Path:
    """Write a merged ColIdefics3 as colpali-engine saves one."""
    sizes = {
        "hidden": 48,
        "layers": 2,
        "heads": 4,
        "vision": 32,
        "depth": 2,
        "vision_heads": 4,
        "tile": 32,
        "patch": 8,
        "scale": 2,
        "longest": 3,
    } | sizes
    tokenizer = make_tokenizer()
    config = Idefics3Config(
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=sizes["scale"],
        tie_word_embeddings=True,
        vision_config={
            "hidden_size": sizes["vision"],
            "intermediate_size": sizes.get("vision_inner", sizes["vision"] * 2),
            "num_hidden_layers": sizes["depth"],
            "num_attention_heads": sizes["vision_heads"],
            "image_size": sizes["tile"],
            "patch_size": sizes["patch"],
        },
        text_config={
            "model_type": "llama",
            "vocab_size": sizes.get("vocabulary", len(tokenizer) + 8),
            "hidden_size": sizes["hidden"],
            "intermediate_size": sizes.get("inner", sizes["hidden"] * 2),
            "num_hidden_layers": sizes["layers"],
            "num_attention_heads": sizes["heads"],
            "num_key_value_heads": sizes.get("groups", max(sizes["heads"] // 2, 1)),
            "max_position_embeddings": 8192,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
            "pad_token_id": tokenizer.pad_token_id,
        },
    )
    model = random_weights(Idefics3Model(config))
    projection = torch.nn.Linear(sizes["hidden"], dimension)
    weights = {f"model.{name}": value for name, value in model.state_dict().items()}
    weights |= {f"linear.{name}": value for name, value in projection.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    content = {**config.to_dict(), "architectures": ["ColIdefics3"]}
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
    save_file(
        {name: value.contiguous().clone() for name, value in weights.items()}, folder / "model.safetensors"
    )
    images = Idefics3ImageProcessor(
        size={"longest_edge": sizes["longest"] * sizes["tile"]},
        max_image_size={"longest_edge": sizes["tile"]},
    )
    length = (sizes["tile"] // sizes["patch"] // sizes["scale"]) ** 2
    Idefics3Processor(images, tokenizer, image_seq_len=length).save_pretrained(folder)
    return folder


def make_colmodernvbert(folder: Path, *, dimension: int = 16, **sizes: Any) -> Path:
    """Write a ColModernVBERT as transformers saves one."""
    sizes = {
        "hidden": 48,
        "layers": 3,
        "heads": 4,
        "vision": 32,
        "depth": 2,
        "vision_heads": 4,
        "tile": 32,
        "patch": 8,
        "scale": 2,
        "longest": 3,
        "local": 16,
    } | sizes
    tokenizer = make_tokenizer()
    config = ColModernVBertConfig(
        embedding_dim=dimension,
        vlm_config={
            "model_type": "modernvbert",
            "image_token_id": tokenizer.convert_tokens_to_ids("<image>"),
            "pixel_shuffle_factor": sizes["scale"],
            "vision_config": {
                "model_type": "siglip_vision_model",
                "hidden_size": sizes["vision"],
                "intermediate_size": sizes.get("vision_inner", sizes["vision"] * 2),
                "num_hidden_layers": sizes["depth"],
                "num_attention_heads": sizes["vision_heads"],
                "image_size": sizes["tile"],
                "patch_size": sizes["patch"],
                "vision_use_head": False,
            },
            "text_config": {
                "model_type": "modernbert",
                "vocab_size": sizes.get("vocabulary", len(tokenizer) + 8),
                "hidden_size": sizes["hidden"],
                "intermediate_size": sizes.get("inner", sizes["hidden"] * 2),
                "num_hidden_layers": sizes["layers"],
                "num_attention_heads": sizes["heads"],
                "global_attn_every_n_layers": 2,
                "local_attention": sizes["local"],
                "max_position_embeddings": 2048,
                "pad_token_id": tokenizer.pad_token_id,
                "bos_token_id": tokenizer.bos_token_id,
                "eos_token_id": tokenizer.eos_token_id,
                "cls_token_id": tokenizer.bos_token_id,
                "sep_token_id": tokenizer.eos_token_id,
            },
        },
    )
    random_weights(ColModernVBertForRetrieval(config)).save_pretrained(folder)
    images = Idefics3ImageProcessor(
        size={"longest_edge": sizes["longest"] * sizes["tile"]},
        max_image_size={"longest_edge": sizes["tile"]},
    )
    length = (sizes["tile"] // sizes["patch"] // sizes["scale"]) ** 2
    ColModernVBertProcessor(images, tokenizer, image_seq_len=length).save_pretrained(folder)
    return folder
