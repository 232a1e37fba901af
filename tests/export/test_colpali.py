from __future__ import annotations

import json
from pathlib import Path

import exported
import numpy as np
import pages
import pytest
import tiny_colpali
import torch
from transformers import AutoImageProcessor, AutoTokenizer, ColPaliForRetrieval, ColPaliProcessor

from opensearch_multimodal.encoder import load
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.export import ExportOptions, export_model, open_source
from opensearch_multimodal.export.architectures import recognise

KIND = ExportOptions(kind="multi_vector")


@pytest.fixture(scope="module", params=[1, 2], ids=["PaliGemma", "PaliGemma 2"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_colpali.make(tmp_path_factory.mktemp("colpali"), gemma=request.param)


def processor(folder: Path) -> ColPaliProcessor:
    images = AutoImageProcessor.from_pretrained(folder, backend="pil")
    return ColPaliProcessor(images, AutoTokenizer.from_pretrained(folder))


@torch.inference_mode()
def original(model: ColPaliForRetrieval, **inputs: torch.Tensor) -> np.ndarray:
    """Return the rows of one text or page."""
    inputs.pop("labels", None)
    return model(**inputs).embeddings[0].numpy()


def test_towers_are_the_librarys(folder: Path, tmp_path: Path) -> None:
    source = open_source(str(folder))
    plan = recognise(source.config, KIND).plan(source, KIND)
    for graph, session in exported.sessions(plan, tmp_path).values():
        assert exported.difference(graph, session) <= 1e-5


def test_queries_and_pages_get_the_librarys_vectors(folder: Path, tmp_path: Path) -> None:
    result = export_model(open_source(str(folder)), "tiny-colpali", KIND, out=tmp_path / "model")
    assert result.spec.inputs == ("image",)
    encoder = load(result.spec, folder=result.folder)
    model, prepare = ColPaliForRetrieval.from_pretrained(folder), processor(folder)
    texts = [text for text in pages.TEXTS if len(text) < 100]
    for text, found in zip(texts, encoder.encode_queries(texts), strict=True):
        expected = original(model, **prepare(text=[text]))
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 1e-5
    images = pages.images()
    for image, found in zip(images, encoder.encode_pages(images), strict=True):
        expected = original(model, **prepare(images=[image.convert("RGB")]))
        assert found.shape == expected.shape
        assert len(found) > 16
        assert np.abs(found - expected).max() <= 1e-5


@pytest.mark.parametrize("layout", ["transformers-4", "engine", "engine-old"])
def test_weights_named_by_other_programs_are_the_same_model(tmp_path: Path, layout: str) -> None:
    same, renamed = tiny_colpali.make(tmp_path / "a"), tiny_colpali.make(tmp_path / "b", layout=layout)
    first, second = (
        recognise(source.config, KIND).plan(source, KIND)
        for source in (open_source(str(same)), open_source(str(renamed)))
    )
    assert (first.text, first.image, first.dimension) == (second.text, second.image, second.dimension)
    assert first.files == second.files
    wanted, found = (plan.graphs[0].module.state_dict() for plan in (first, second))
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_a_paligemma_without_projection_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny_colpali.make(tmp_path / "colpali", layout="engine")
    weights = load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if "custom_text_proj" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InvalidInput, match="without ColPali's projection"):
        export_model(open_source(str(folder)), "tiny-colpali", KIND, out=tmp_path / "model")


def test_another_image_token_is_refused(tmp_path: Path) -> None:
    folder = tiny_colpali.make(tmp_path / "colpali")
    config = json.loads((folder / "config.json").read_text())
    config["vlm_config"]["image_token_index"] += 1
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidInput, match=r"tokenizer: <image> is token \d+"):
        export_model(open_source(str(folder)), "tiny-colpali", KIND, out=tmp_path / "model")


def test_only_multi_vectors(folder: Path) -> None:
    with pytest.raises(InvalidInput, match="kind: a model of the ColPali yields multi_vector, not dense"):
        recognise(open_source(str(folder)).config, ExportOptions(kind="dense"))
