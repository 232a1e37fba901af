"""Tiny text models with random weights, made from the real configurations of transformers, and tokenizers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from opensearch_multimodal.export.tokens import SAMPLE

TEXTS = [
    *SAMPLE,
    "alpha beta gamma delta",
    "Which valve opens first?",
    "The red lamp goes out after a quarter of a minute; then the door may be opened. " * 3,
    "x",
]
SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
"""Random numbers of standard deviation 0.2, so that vectors of different texts differ."""


@dataclass(frozen=True)
class TinyFamily:
    """How a tiny model of one family is made."""

    config: Callable[[int, dict[str, Any]], Any]
    tokenizer: Callable[[], Tokenizer]
    special: dict[str, str]
    positions: int = 80


def wordpiece() -> Tokenizer:
    """Return a tokenizer as BERT has it, trained on the sample."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=500, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return tokenizer


def unigram() -> Tokenizer:
    """Return a tokenizer as XLM-RoBERTa has it, trained on the sample."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>")
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def byte_pairs() -> Tokenizer:
    """Return a tokenizer as Qwen3-Embedding has it: bytes, and an end of text after every text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<pad>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|>", pair="$A $B <|endoftext|>", special_tokens=[("<|endoftext|>", 0)]
    )
    return tokenizer


_BERT = {
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "mask_token": "[MASK]",
    "unk_token": "[UNK]",
}
_XLM = {
    "bos_token": "<s>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "eos_token": "</s>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
    "unk_token": "<unk>",
}
_QWEN = {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}


def _config(name: str, **fixed: Any) -> Callable[[int, dict[str, Any]], Any]:
    def make(vocabulary: int, more: dict[str, Any]) -> Any:
        settings = SMALL | {"initializer_range": 0.2, "max_position_embeddings": 80} | fixed | more
        return getattr(transformers, name)(vocab_size=vocabulary, **settings)

    return make


def _distilbert(vocabulary: int, more: dict[str, Any]) -> Any:
    named = {"hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads"}
    names = named | {"intermediate_size": "hidden_dim"}
    defaults = SMALL | {"max_position_embeddings": 80, "initializer_range": 0.2}
    settings = {names.get(key, key): value for key, value in (defaults | more).items()}
    return transformers.DistilBertConfig(vocab_size=vocabulary, **settings)


_ROBERTA = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "max_position_embeddings": 82}
_MODERN = {
    "global_attn_every_n_layers": 3,
    "local_attention": 16,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "cls_token_id": 2,
    "sep_token_id": 3,
}
_DECODER = {"num_key_value_heads": 2, "pad_token_id": 0, "eos_token_id": 0, "bos_token_id": None}
_EURO = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "mask_token_id": 4}
_GEMMA = {
    "num_key_value_heads": 2,
    "head_dim": 8,
    "sliding_window": 16,
    "use_bidirectional_attention": True,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
_DEBERTA = {
    "relative_attention": True,
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
}

FAMILIES = {
    "bert": TinyFamily(_config("BertConfig"), wordpiece, _BERT),
    "roberta": TinyFamily(_config("RobertaConfig", **_ROBERTA), unigram, _XLM),
    "xlm-roberta": TinyFamily(_config("XLMRobertaConfig", **_ROBERTA), unigram, _XLM),
    "mpnet": TinyFamily(_config("MPNetConfig", pad_token_id=1, max_position_embeddings=82), unigram, _XLM),
    "distilbert": TinyFamily(_distilbert, wordpiece, _BERT),
    "electra": TinyFamily(_config("ElectraConfig", embedding_size=16), wordpiece, _BERT),
    "deberta-v2": TinyFamily(_config("DebertaV2Config", **_DEBERTA), wordpiece, _BERT),
    "modernbert": TinyFamily(_config("ModernBertConfig", **_MODERN), wordpiece, _BERT),
    "albert": TinyFamily(_config("AlbertConfig", embedding_size=16), wordpiece, _BERT),
    "nomic_bert": TinyFamily(_config("NomicBertConfig"), wordpiece, _BERT),
    "gte": TinyFamily(_config("GteConfig", pad_token_id=1), unigram, _XLM),
    "eurobert": TinyFamily(_config("EuroBertConfig", **_EURO), unigram, _XLM),
    "qwen3": TinyFamily(_config("Qwen3Config", head_dim=8, **_DECODER), byte_pairs, _QWEN),
    "qwen2": TinyFamily(_config("Qwen2Config", **_DECODER), byte_pairs, _QWEN),
    "mistral": TinyFamily(_config("MistralConfig", sliding_window=16, **_DECODER), byte_pairs, _QWEN),
    "llama": TinyFamily(_config("LlamaConfig", **_DECODER), byte_pairs, _QWEN),
    "gemma3_text": TinyFamily(_config("Gemma3TextConfig", **_GEMMA), unigram, _XLM),
}
"""model_type → how it is made."""


def write_model(
    folder: Path, family: str, *, labels: int | None = None, shards: str = "50GB", **settings: Any
) -> Path:
    """Write a model with random weights and its tokenizer as transformers saves them.

    Args:
        folder: to be made.
        family: a key of `FAMILIES`.
        labels: a classifier of pairs with so many labels; None for an encoder.
        shards: the largest size of a file of weights.
        settings: of the configuration, over those of the tiny one.
    """
    made = FAMILIES[family]
    tokenizer = made.tokenizer()
    if labels is not None:
        settings["num_labels"] = labels
    config = made.config(tokenizer.get_vocab_size() + 3, settings)
    torch.manual_seed(7)
    automatic = transformers.AutoModel if labels is None else transformers.AutoModelForSequenceClassification
    model = automatic.from_config(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:  # biases and norms, which begin as 0 and 1
                parameter.add_(torch.randn_like(parameter) * 0.1)
            assert torch.isfinite(parameter).all(), name
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(str(folder), max_shard_size=shards)
    write_tokenizer(folder, family)
    return folder


def write_tokenizer(folder: Path, family: str) -> None:
    """Write the tokenizer of a family."""
    made = FAMILIES[family]
    made.tokenizer().save(str(folder / "tokenizer.json"))
    config = made.special | {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": made.positions}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def write_modules(folder: Path, *modules: tuple[str, dict[str, Any], dict[str, np.ndarray] | None]) -> Path:
    """Write ``modules.json`` and the modules behind the transformer, which lies in ``folder`` itself.

    Args:
        folder: of the transformer.
        modules: (type, configuration, weights) of each.
    """
    listed = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for number, (kind, config, weights) in enumerate(modules, start=1):
        path = f"{number}_{kind.rpartition('.')[2]}"
        listed.append({"idx": number, "name": str(number), "path": path, "type": kind})
        (folder / path).mkdir()
        (folder / path / "config.json").write_text(json.dumps(config))
        if weights:
            save_file(weights, str(folder / path / "model.safetensors"))
    (folder / "modules.json").write_text(json.dumps(listed))
    return folder


def pooling(mode: str, dimension: int = 32) -> tuple[str, dict[str, Any], None]:
    """Return a Pooling module."""
    names = ("cls_token", "mean_tokens", "max_tokens", "lasttoken")
    config = {f"pooling_mode_{name}": name == mode for name in names}
    return "sentence_transformers.models.Pooling", {"word_embedding_dimension": dimension} | config, None


def dense(
    into: int,
    out: int,
    *,
    bias: bool = True,
    activation: str = "torch.nn.modules.activation.Tanh",
    kind: str = "sentence_transformers.models.Dense",
) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    """Return a Dense module with random weights."""
    rng = np.random.default_rng(3)
    weights = {"linear.weight": rng.standard_normal((out, into)).astype(np.float32) * 0.2}
    if bias:
        weights["linear.bias"] = rng.standard_normal(out).astype(np.float32) * 0.2
    config = {"in_features": into, "out_features": out, "bias": bias, "activation_function": activation}
    return kind, config, weights


def states(folder: Path, text: str, **settings: Any) -> np.ndarray:
    """Return the token states (tokens, hidden) of transformers' own tokenizer and model for one text."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    model = transformers.AutoModel.from_pretrained(str(folder), **settings).eval()
    encoded = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        output = model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"])
    return output.last_hidden_state[0].numpy()


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return the vectors with unit length."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
