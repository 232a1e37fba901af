"""Tiny SigLIP models with random weights, made from the real configuration classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from sentencepiece import SentencePieceTrainer
from transformers import (
    Siglip2Config,
    Siglip2ImageProcessorPil,
    Siglip2Model,
    Siglip2Processor,
    Siglip2Tokenizer,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipProcessor,
    SiglipTokenizer,
)

TEXTS = (
    "The pump draws cold water from the lower tank, and the other one feeds it back.",
    "Invoices are due within thirty days; a chart of sales by region and quarter.",
    "Wie öffnet man das Ventil? Eine halbe Drehung nach links, dann warten.",
    "弁の開け方 – 左へ半回転、ランプが消えるまで待つ。",
    "Ça va bien, merci. Où est la façade naïve de l'école?",
    "كيف يفتح الصمام",
)


def make(
    folder: Path, *, second: bool = False, masked: bool = False, left: bool = False, **sizes: int
) -> Path:
    """Write SigLIP, or with ``second`` SigLIP2 of fixed resolution, into ``folder`` and return it.

    Args:
        folder: where to.
        second: with SigLIP2's tokenizer instead of SigLIP's sentencepiece model.
        masked: let the tokenizer say that the model takes an attention mask.
        left: let the tokenizer pad at the left.
        sizes: see `configuration`.
    """
    told: dict[str, Any] = {"model_input_names": ["input_ids", "attention_mask"] if masked else ["input_ids"]}
    told["padding_side"] = "left" if left else "right"
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = gemma_tokenizer(**told) if second else sentencepiece_tokenizer(folder, **told)
    settings = configuration(len(tokenizer), **sizes)
    side = settings["vision_config"]["image_size"]
    torch.manual_seed(0)
    SiglipModel(SiglipConfig(**settings)).save_pretrained(folder)
    SiglipProcessor(SiglipImageProcessorPil(size={"height": side, "width": side}), tokenizer).save_pretrained(
        folder
    )
    return folder


def make_naflex(folder: Path, *, most: int = 48, grid: int = 4, **sizes: int) -> Path:
    """Write SigLIP2 NaFlex into ``folder`` and return it.

    Args:
        folder: where to.
        most: patches of an image.
        grid: side of the table of position embeddings.
        sizes: see `configuration`.
    """
    tokenizer = gemma_tokenizer(model_input_names=["input_ids"], padding_side="right")
    settings = configuration(len(tokenizer), **sizes)
    del settings["vision_config"]["image_size"]
    settings["vision_config"]["num_patches"] = grid * grid
    torch.manual_seed(0)
    Siglip2Model(Siglip2Config(**settings)).save_pretrained(folder)
    images = Siglip2ImageProcessorPil(
        patch_size=settings["vision_config"]["patch_size"], max_num_patches=most
    )
    Siglip2Processor(images, tokenizer).save_pretrained(folder)
    return folder


def configuration(
    vocabulary: int,
    *,
    side: int = 32,
    patch: int = 8,
    width: int = 32,
    layers: int = 2,
    heads: int = 4,
    length: int = 64,
) -> dict[str, Any]:
    """Return the arguments of a configuration.

    Args:
        vocabulary: tokens.
        side: of the images, in pixels.
        patch: side of a patch.
        width: hidden size of both towers, and the dimension of the vectors.
        layers: of each tower.
        heads: of each attention.
        length: tokens of every text, padding included.
    """
    common = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }
    return {
        "text_config": {
            **common,
            "vocab_size": vocabulary,
            "max_position_embeddings": length,
            "projection_size": width,
        },
        "vision_config": {**common, "image_size": side, "patch_size": patch},
    }


def sentencepiece_tokenizer(folder: Path, **told: Any) -> SiglipTokenizer:
    """Train a sentencepiece model with the special tokens of SigLIP's."""
    SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 20),
        model_prefix=str(folder / "spiece"),
        vocab_size=300,
        model_type="unigram",
        character_coverage=0.99,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        hard_vocab_limit=False,
        minloglevel=3,
    )
    return SiglipTokenizer(str(folder / "spiece.model"), **told)


def gemma_tokenizer(**told: Any) -> Siglip2Tokenizer:
    """Return a byte-fallback BPE like Gemma's, that ends texts with <eos> as SigLIP2's does."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    merges = [("t", "h"), ("th", "e"), ("e", "r"), ("a", "n"), ("▁", "the")]
    letters = sorted({letter for text in TEXTS for letter in text.lower()} - {" "})
    pieces = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *letters]
    pieces += [first + second for first, second in merges]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    return Siglip2Tokenizer(vocab=vocabulary, merges=merges, add_bos_token=False, add_eos_token=True, **told)
