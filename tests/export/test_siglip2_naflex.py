from __future__ import annotations

from pathlib import Path

import exported
import numpy as np
import pages
import pytest
import tiny_siglip
from transformers import AutoImageProcessor, AutoTokenizer, Siglip2Model

from opensearch_multimodal.encoder import load
from opensearch_multimodal.export import ExportOptions, export_model, open_source
from opensearch_multimodal.export.architectures import recognise


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_siglip.make_naflex(tmp_path_factory.mktemp("naflex"))


def test_towers_are_the_librarys(folder: Path, tmp_path: Path) -> None:
    source = open_source(str(folder))
    plan = recognise(source.config, ExportOptions()).plan(source, ExportOptions())
    made = exported.sessions(plan, tmp_path)
    assert [node.name for node in made["image"][1].get_inputs()] == [
        "patches",
        "patch_mask",
        "row_weights",
        "column_weights",
    ]
    for graph, session in made.values():
        assert exported.difference(graph, session, counts=(1, 4, 9)) <= 1e-5


def test_texts_and_pages_get_the_librarys_vectors(folder: Path, tmp_path: Path) -> None:
    result = export_model(open_source(str(folder)), "tiny-naflex", out=tmp_path / "model")
    encoder = load(result.spec, folder=result.folder)
    model, tokenizer = Siglip2Model.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer(
        list(pages.TEXTS), padding="max_length", truncation=True, max_length=64, return_tensors="pt"
    )
    expected = pages.unit(model.get_text_features(**tokens).pooler_output)
    assert np.abs(encoder.encode_queries(pages.TEXTS) - expected).max() <= 1e-5
    images = pages.images()
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    patches = processor([image.convert("RGB") for image in images], return_tensors="pt")
    assert len(np.unique(patches["spatial_shapes"].numpy(), axis=0)) > 3
    expected = pages.unit(model.get_image_features(**patches).pooler_output)
    assert np.abs(encoder.encode_pages(images) - expected).max() <= 1e-5
