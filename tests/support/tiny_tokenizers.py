"""Small tokenizers with the special tokens of real models, which cannot be had from a package registry."""

from __future__ import annotations

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

SAMPLE = (
    "The pump draws cold water from the lower tank. Invoices are due within thirty days; see page 12.",
    "Wie öffnet man das Ventil? Eine halbe Umdrehung nach links, dann warten, bis die rote Lampe erlischt.",
    "¿Dónde está la válvula? L'été, où l'on répare les chaudières, coûte 1 234,56 €.",
    "弁の開け方：左に半回転させ、赤いランプが消えるまで待ちます。",
    "阀门应向左转半圈，然后等待红灯熄灭。",
    "كيف يُفتح الصمام؟ نصف دورة إلى اليسار.",
    "Как открыть клапан? Пол-оборота влево.",
    "वाल्व कैसे खोलें? आधा घुमाव बाईं ओर।",
    "밸브를 여는 방법: 왼쪽으로 반 바퀴.",
    "Ελληνικά, עברית, ไทย, Tiếng Việt, 🙂👩‍🔧 ﬁ e\u0301 \u00a0½",
    "def f(x):\n\treturn x**2  # two  spaces\r\n",
    "a",
    " leading and trailing ",
    "UPPER lower MiXeD 0123456789 !\"#$%&'()*+,-./:;<=>?@[]^_`{|}~",
)
"""Texts in many scripts."""

QWEN_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
IDEFICS3_TOKENS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|im_start|>",
    "<end_of_utterance>",
    "<fake_token_around_image>",
    "<image>",
    "<global-img>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
)
GEMMA_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<image>")


def byte_level(special: tuple[str, ...], *, size: int = 420) -> Tokenizer:
    """Return a byte-level BPE tokenizer, as Qwen's, Llama 3's and SmolLM's are.

    Args:
        special: its special tokens.
        size: of its vocabulary; 0 for single bytes, which no version of the trainer changes.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(SAMPLE, trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return tokenizer


def sentencepiece(*, bos: bool = True, size: int = 700) -> Tokenizer:
    """Return a BPE tokenizer over pieces with byte fallback, as Gemma's is.

    Args:
        bos: put <bos> in front.
        size: of its vocabulary; 0 for bytes only.
    """
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback()])
    bytes_ = [f"<0x{value:02X}>" for value in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[*GEMMA_TOKENS, *bytes_], show_progress=False
    )
    tokenizer.train_from_iterator(SAMPLE, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<bos> $A",
            pair="<bos> $A <bos> $B",
            special_tokens=[("<bos>", tokenizer.token_to_id("<bos>"))],
        )
    return tokenizer
