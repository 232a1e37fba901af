from __future__ import annotations

from pathlib import Path

import exported
import numpy as np
import pages
import pytest
import tiny_clip
from PIL import Image
from transformers import AutoImageProcessor, CLIPModel, CLIPTokenizer

from opensearch_multimodal.encoder import load
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.export import ExportOptions, export_model, open_source
from opensearch_multimodal.export.architectures import recognise


@pytest.fixture(scope="module", params=[False, True], ids=["end token", "highest token"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip.make(tmp_path_factory.mktemp("clip"), legacy_end=request.param)


def test_towers_are_the_librarys(folder: Path, tmp_path: Path) -> None:
    source = open_source(str(folder))
    plan = recognise(source.config, ExportOptions()).plan(source, ExportOptions())
    made = exported.sessions(plan, tmp_path)
    assert {tower: [node.name for node in session.get_inputs()] for tower, (_, session) in made.items()} == {
        "text": ["input_ids", "attention_mask"],
        "image": ["pixel_values"],
    }
    for graph, session in made.values():
        assert exported.difference(graph, session) <= 1e-5


def test_texts_and_pages_get_the_librarys_vectors(folder: Path, tmp_path: Path) -> None:
    result = export_model(open_source(str(folder)), "tiny-clip", out=tmp_path / "model")
    encoder = load(result.spec, folder=result.folder)
    model, tokenizer = CLIPModel.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    tokens = tokenizer(list(pages.TEXTS), padding=True, truncation=True, return_tensors="pt")
    assert tokens["input_ids"].shape[1] == 77
    expected = pages.unit(model.get_text_features(**tokens).pooler_output)
    assert np.abs(encoder.encode_queries(pages.TEXTS) - expected).max() <= 1e-5
    assert encoder.truncated == 1
    assert np.abs(encoder.encode_passages(pages.TEXTS) - expected).max() <= 1e-5
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    images = pages.images()
    pixels = processor([image.convert("RGB") for image in images], return_tensors="pt")
    expected = pages.unit(model.get_image_features(**pixels).pooler_output)
    assert np.abs(encoder.encode_pages(images) - expected).max() <= 1e-5


def test_a_longer_side_before_the_crop_is_kept(tmp_path: Path) -> None:
    folder = tiny_clip.make(tmp_path / "clip", shortest_edge=40)
    result = export_model(open_source(str(folder)), "tiny-clip", out=tmp_path / "model")
    assert result.spec.image is not None
    assert (result.spec.image.size, result.spec.image.shortest_edge) == ((32, 32), 40)
    image = Image.new("RGB", (90, 50), (200, 30, 90))
    pixels = AutoImageProcessor.from_pretrained(folder, backend="pil")(image, return_tensors="pt")
    expected = pages.unit(CLIPModel.from_pretrained(folder).get_image_features(**pixels).pooler_output)
    [found] = load(result.spec, folder=result.folder).encode_pages([image])
    assert np.abs(found - expected).max() <= 1e-5


def test_another_models_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = tiny_clip.make(tmp_path / "clip")
    vocabulary = tiny_clip.vocabulary()
    shorter = {token: i for i, token in enumerate(sorted(vocabulary, key=lambda t: t.startswith("<|"))[3:])}
    CLIPTokenizer(vocab=shorter, merges=[]).save_pretrained(folder)
    with pytest.raises(InvalidInput, match=r"tokenizer: .* not the model's tokenizer"):
        export_model(open_source(str(folder)), "tiny-clip", out=tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_images_of_another_size_are_refused(tmp_path: Path) -> None:
    folder = tiny_clip.make(tmp_path / "clip")
    tiny_clip.image_processor(48).save_pretrained(folder)
    (folder / "processor_config.json").unlink()
    with pytest.raises(InvalidInput, match=r"\(48, 48\), the model's configuration says \(32, 32\)"):
        export_model(open_source(str(folder)), "tiny-clip", out=tmp_path / "model")


def test_weights_that_are_missing_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny_clip.make(tmp_path / "clip")
    weights = load_file(folder / "model.safetensors")
    del weights["text_projection.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InvalidInput, match="text_projection"):
        export_model(open_source(str(folder)), "tiny-clip", out=tmp_path / "model")


def test_options_that_mean_nothing_are_refused(folder: Path, tmp_path: Path) -> None:
    options = ExportOptions(pooling="mean")
    with pytest.raises(InvalidInput, match="pooling: 'mean' means nothing to CLIP"):
        export_model(open_source(str(folder)), "tiny-clip", options, out=tmp_path / "model")


def test_prefixes_and_lengths_of_the_user_reach_the_spec(folder: Path, tmp_path: Path) -> None:
    options = ExportOptions(query_prefix="a photo of ", max_tokens=20, mrl_dimensions=(12, 8))
    spec = export_model(open_source(str(folder)), "tiny-clip", options, out=tmp_path / "model").spec
    assert spec.text is not None
    assert (spec.text.query_prefix, spec.text.max_query_tokens) == ("a photo of ", 20)
    assert spec.mrl_dimensions == (8, 12)
