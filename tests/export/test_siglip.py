from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import exported
import numpy as np
import pages
import pytest
import tiny_siglip
from tokenizers import Tokenizer
from transformers import AutoImageProcessor, AutoTokenizer, SiglipModel

from opensearch_multimodal.encoder import load
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.export import ExportOptions, export_model, open_source
from opensearch_multimodal.export.architectures import recognise
from opensearch_multimodal.export.architectures.siglip import text_tokenizer

VARIANTS: dict[str, dict[str, Any]] = {
    "siglip": {},
    "siglip2": {"second": True},
    "with a mask": {"masked": True},
    "with a mask, padded at the left": {"second": True, "masked": True, "left": True},
    "padded at the left": {"second": True, "left": True},
}
EDGES = (
    "...",
    "▁x ▁ y",
    "İstanbul ΣΑΣ ẞ",
    "x\u00a0y\u3000z",
    "don't a-b_c (d)",
    "ÀÉ \u0301 e\u0301",
    "ﷺ ½ ² ™ ﬁne ＦＵＬＬ",
    "😀 emoji 日本語テキスト",
)


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("siglip")
    return request.param, tiny_siglip.make(folder, **VARIANTS[request.param])


def test_towers_are_the_librarys(variant: tuple[str, Path], tmp_path: Path) -> None:
    source = open_source(str(variant[1]))
    plan = recognise(source.config, ExportOptions()).plan(source, ExportOptions())
    for graph, session in exported.sessions(plan, tmp_path).values():
        assert exported.difference(graph, session) <= 1e-5
    assert bool(plan.notes) == VARIANTS[variant[0]].get("masked", False)


def test_texts_and_pages_get_the_librarys_vectors(variant: tuple[str, Path], tmp_path: Path) -> None:
    folder = variant[1]
    result = export_model(open_source(str(folder)), "tiny-siglip", out=tmp_path / "model")
    encoder = load(result.spec, folder=result.folder)
    model, tokenizer = SiglipModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer(
        list(pages.TEXTS), padding="max_length", truncation=True, max_length=64, return_tensors="pt"
    )
    assert set(tokens) == set(tokenizer.model_input_names)
    expected = pages.unit(model.get_text_features(**tokens).pooler_output)
    assert np.abs(encoder.encode_queries(pages.TEXTS) - expected).max() <= 1e-5
    images = pages.images()
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    pixels = processor([image.convert("RGB") for image in images], return_tensors="pt")
    expected = pages.unit(model.get_image_features(**pixels).pooler_output)
    assert np.abs(encoder.encode_pages(images) - expected).max() <= 1e-5


def test_padding_is_read(variant: tuple[str, Path]) -> None:
    """Without a mask, the model reads the padding: leaving it out would give other vectors."""
    source = open_source(str(variant[1]))
    plan = recognise(source.config, ExportOptions()).plan(source, ExportOptions())
    [example] = plan.graphs[0].example(np.random.default_rng(2), 1)
    model = SiglipModel.from_pretrained(variant[1])
    import torch

    bare = model.get_text_features(torch.from_numpy(example["input_ids"])).pooler_output
    assert np.abs(plan.graphs[0].reference(example) - bare.detach().numpy()).max() > 1e-2


@pytest.mark.parametrize("second", [False, True])
def test_the_tokenizer_lowers_the_case_as_the_librarys_does(tmp_path: Path, second: bool) -> None:
    folder = tiny_siglip.make(tmp_path / "siglip", second=second)
    library, content = text_tokenizer(folder)
    ours = Tokenizer.from_buffer(content)
    ours.no_padding()
    for text in (*pages.TEXTS, *tiny_siglip.TEXTS, *EDGES):
        assert ours.encode(text).ids == library(text)["input_ids"], text
    assert ours.encode("PUMP").ids == ours.encode("pump").ids
    assert (ours.encode("a (b).").ids == ours.encode("a b").ids) is not second


def test_a_tokenizer_file_that_differs_from_the_librarys_is_not_taken(tmp_path: Path) -> None:
    folder = tiny_siglip.make(tmp_path / "siglip")
    _, made = text_tokenizer(folder)
    other = json.loads(made)
    other["normalizer"] = None
    (folder / "tokenizer.json").write_text(json.dumps(other))
    library, content = text_tokenizer(folder)
    assert Tokenizer.from_buffer(content).encode("The PUMP").ids == library("The PUMP")["input_ids"]


def test_a_model_without_pooling_head_is_refused(tmp_path: Path) -> None:
    folder = tiny_siglip.make(tmp_path / "siglip")
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["vision_use_head"] = False
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidInput, match="no pooling head"):
        export_model(open_source(str(folder)), "tiny-siglip", out=tmp_path / "model")
