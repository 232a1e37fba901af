"""Tiny random models of every family of text models, exported and used by our encoder, beside transformers.

Their vectors mean nothing: what is tested is that both give the same ones.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from tiny_text import FAMILIES, TEXTS, states, unit, write_model

from opensearch_multimodal.encoder import load, load_reranker
from opensearch_multimodal.encoder.reranker import RerankerQuery
from opensearch_multimodal.export import ExportOptions, export_model, open_source

DECODERS = ("qwen3", "qwen2", "mistral", "llama")
ENCODERS = tuple(name for name in FAMILIES if name not in (*DECODERS, "gemma3_text"))
PASSAGES = ["The pump draws cold water.", "Invoices are due.", "Alpha beta gamma, delta!", "弁の開け方。"]


class Passage:
    title = ""
    image = None

    def __init__(self, text: str) -> None:
        self.text = text


@pytest.mark.parametrize("family", FAMILIES)
def test_pooled_vectors_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", family)
    options = ExportOptions(kind="dense", pooling=None if family in DECODERS else "mean")
    result = export_model(open_source(str(folder)), "tiny", options, out=tmp_path / "out")
    [graph] = result.parity.graphs
    assert graph.cosine_min >= 0.99999
    assert graph.max_difference < 1e-5
    assert graph.padding_difference < 1e-5
    assert result.parity.ranking.decided_kept == 1
    assert result.spec.text is not None
    assert result.spec.text.max_passage_tokens == 80
    texts = [text for text in TEXTS if len(text) < 60]
    found = load(result.spec, folder=result.folder, threads=1).encode_passages(texts)
    for text, vector in zip(texts, found, strict=True):
        tokens = states(folder, text)
        expected = unit(tokens[-1] if family in DECODERS else tokens.mean(axis=0))
        assert np.abs(vector - expected).max() < 1e-5, text


@pytest.mark.parametrize("family", FAMILIES)
def test_token_vectors_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", family)
    source = open_source(str(folder))
    result = export_model(source, "tiny", ExportOptions(kind="multi_vector"), out=tmp_path / "out")
    assert result.parity.graphs[0].max_difference < 1e-5
    texts = PASSAGES[:3]
    found = load(result.spec, folder=result.folder, threads=1).encode_passages(texts)
    for text, rows in zip(texts, found, strict=True):
        assert np.abs(rows - unit(states(folder, text))).max() < 1e-5


@pytest.mark.parametrize("labels", [1, 2])
@pytest.mark.parametrize("family", ENCODERS)
def test_scores_of_pairs_are_those_of_transformers(family: str, labels: int, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", family, labels=labels)
    source = open_source(str(folder))
    result = export_model(source, "tiny", ExportOptions(kind="reranker"), out=tmp_path / "out")
    assert result.spec.dimension == labels
    assert result.parity.graphs[0].max_difference < 1e-4
    reranker = load_reranker(result.spec, folder=result.folder, threads=1)
    found = reranker.score(RerankerQuery("Which valve?"), [Passage(text) for text in PASSAGES])
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(str(folder)).eval()
    for text, score in zip(PASSAGES, found, strict=True):
        encoded = tokenizer("Which valve?", text, return_tensors="pt", return_token_type_ids=True)
        if getattr(model.config, "type_vocab_size", 0) < 2:
            encoded.pop("token_type_ids", None)
        with torch.no_grad():
            logits = model(**encoded).logits[0].numpy()
        expected = logits[0] if labels == 1 else logits[1] - logits[0]
        assert abs(score - expected) < 1e-4


def test_queries_and_passages_get_the_prefixes_of_the_folder(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "qwen3")
    prompts = {"query": "Instruct: find it\nQuery:", "document": ""}
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))
    result = export_model(open_source(str(folder)), "tiny", ExportOptions(), out=tmp_path / "out")
    encoder = load(result.spec, folder=result.folder, threads=1)
    asked = unit(states(folder, "Instruct: find it\nQuery:which valve")[-1])
    assert np.abs(encoder.encode_queries(["which valve"])[0] - asked).max() < 1e-5
    assert (
        np.abs(encoder.encode_passages(["which valve"])[0] - unit(states(folder, "which valve")[-1])).max()
        < 1e-5
    )


def test_weights_in_half_precision_and_shards_are_read(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "bert", shards="40KB")
    model = transformers.AutoModel.from_pretrained(str(folder)).half()
    for path in folder.glob("model*"):
        path.unlink()
    model.save_pretrained(str(folder), max_shard_size="40KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    result = export_model(
        open_source(str(folder)), "tiny", ExportOptions(pooling="cls"), out=tmp_path / "out"
    )
    encoder = load(result.spec, folder=result.folder, threads=1)
    expected = unit(states(folder, "which valve", dtype=torch.float32)[0])
    assert np.abs(encoder.encode_passages(["which valve"])[0] - expected).max() < 1e-5


def test_matryoshka_dimensions_are_those_of_the_configuration_or_the_options(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "modernbert", matryoshka_dimensions=[8, 16, 32])
    source = open_source(str(folder))
    made = export_model(source, "tiny", ExportOptions(pooling="mean"), out=tmp_path / "a")
    assert made.spec.mrl_dimensions == (8, 16)
    options = ExportOptions(pooling="mean", mrl_dimensions=[24])
    assert export_model(source, "tiny", options, out=tmp_path / "b").spec.mrl_dimensions == (24,)


def test_longest_text_is_what_the_model_can_number(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "roberta")
    (folder / "tokenizer_config.json").write_text(
        json.dumps(json.loads((folder / "tokenizer_config.json").read_text()) | {"model_max_length": 512})
    )
    result = export_model(
        open_source(str(folder)), "tiny", ExportOptions(pooling="cls"), out=tmp_path / "out"
    )
    assert result.spec.text is not None
    assert result.spec.text.max_passage_tokens == 82 - 1 - 1  # positions are counted from the padding id + 1
