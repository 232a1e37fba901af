"""Vision language models end to end: exported, loaded, and equal to transformers' processors and models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image, ImageDraw
from tiny_idefics3 import make_colidefics3, make_colmodernvbert
from tiny_qwen import make_colqwen2, make_engine_colqwen, make_qwen_embedding
from transformers import (
    AutoModel,
    AutoProcessor,
    ColModernVBertForRetrieval,
    ColQwen2ForRetrieval,
    Idefics3ImageProcessorPil,
    Qwen2VLImageProcessorPil,
)

from opensearch_multimodal import encoder, models
from opensearch_multimodal.cli.models import models as command
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.export import ExportOptions, export_model, open_source

TEXTS = ["How is the valve opened?", "Wie öffnet man das Ventil?", "pump", "弁の開け方 " * 20]
SIZES = [(60, 90), (200, 70), (33, 31), (120, 160)]


def pages() -> list[Image.Image]:
    drawn = []
    for number, (width, height) in enumerate(SIZES):
        page = Image.new("RGB", (width, height), "white")
        draw = ImageDraw.Draw(page)
        draw.text((3, 5), f"Page {number}\nof a manual", fill="navy")
        draw.ellipse((width // 3, height // 2, width - 4, height - 4), fill=(200, 30 * number, 40))
        drawn.append(page)
    return drawn


def exported(folder: Path, tmp_path: Path, **options: object) -> encoder.OnnxEncoder:
    result = export_model(open_source(str(folder)), "tiny", ExportOptions(**options), out=tmp_path / "out")
    assert all(graph.max_difference < 1e-5 for graph in result.parity.graphs)
    assert all(graph.padding_difference < 1e-5 for graph in result.parity.graphs)
    return encoder.load(result.spec, folder=result.folder)


def processor(folder: Path, images: type) -> object:
    loaded = AutoProcessor.from_pretrained(folder)
    loaded.image_processor = images.from_pretrained(folder)
    return loaded


def assert_equal(got: object, wanted: list[np.ndarray]) -> None:
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def engine_vectors(model: torch.nn.Module, projection: torch.nn.Linear, inputs: dict) -> np.ndarray:
    projected = projection(model(**inputs).last_hidden_state)
    return (projected / projected.norm(dim=-1, keepdim=True))[0].numpy()


def stored_projection(folder: Path, name: str) -> torch.nn.Linear:
    source = open_source(str(folder))
    weight, bias = (torch.from_numpy(source.tensor(f"{name}.{part}")) for part in ("weight", "bias"))
    projection = torch.nn.Linear(weight.shape[1], weight.shape[0])
    projection.load_state_dict({"weight": weight, "bias": bias})
    return projection


@torch.no_grad()
@pytest.mark.parametrize("backbone", ["qwen2_vl", "qwen2_5_vl"])
def test_colqwen2_of_transformers(tmp_path, backbone):
    folder = make_colqwen2(tmp_path / "model", backbone=backbone)
    loaded = exported(folder, tmp_path, kind="multi_vector")
    model = ColQwen2ForRetrieval.from_pretrained(folder)
    library = processor(folder, Qwen2VLImageProcessorPil)

    queries = [model(**library.process_queries([text])).embeddings[0].numpy() for text in TEXTS]
    images = [model(**library.process_images([page])).embeddings[0].numpy() for page in pages()]
    assert_equal(loaded.encode_queries(TEXTS), queries)
    assert_equal(loaded.encode_pages(pages()), images)
    assert loaded.spec.inputs == ("image",)
    with pytest.raises(InvalidInput, match="does not read passages"):
        loaded.encode_passages(TEXTS)


@torch.no_grad()
@pytest.mark.parametrize("backbone", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_merged_colqwen_of_colpali_engine(tmp_path, backbone):
    folder = make_engine_colqwen(tmp_path / "model", backbone=backbone)
    loaded = exported(folder, tmp_path, kind="multi_vector")
    model = AutoModel.from_pretrained(folder)
    projection = stored_projection(folder, "custom_text_proj")
    library = processor(folder, Qwen2VLImageProcessorPil)
    prompt = (
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Describe the image.<|im_end|>"
        "<|endoftext|>"
    )

    queries = [
        engine_vectors(model, projection, library(text=[text + "<|endoftext|>" * 10], return_tensors="pt"))
        for text in TEXTS
    ]
    images = [
        engine_vectors(model, projection, library(text=[prompt], images=[page], return_tensors="pt"))
        for page in pages()
    ]
    assert_equal(loaded.encode_queries(TEXTS), queries)
    assert_equal(loaded.encode_pages(pages()), images)


@torch.no_grad()
def test_merged_colidefics3_of_colpali_engine(tmp_path):
    folder = make_colidefics3(tmp_path / "model")
    loaded = exported(folder, tmp_path, kind="multi_vector")
    model = AutoModel.from_pretrained(folder)
    projection = stored_projection(folder, "linear")
    library = processor(folder, Idefics3ImageProcessorPil)
    prompt = "<|im_start|>User:<image>Describe the image.<end_of_utterance>\nAssistant:"

    queries = [
        engine_vectors(
            model, projection, library(text=[text + "<end_of_utterance>" * 10], return_tensors="pt")
        )
        for text in TEXTS
    ]
    images = [
        engine_vectors(model, projection, library(text=[prompt], images=[[page]], return_tensors="pt"))
        for page in pages()
    ]
    assert_equal(loaded.encode_queries(TEXTS), queries)
    assert_equal(loaded.encode_pages(pages()), images)


@torch.no_grad()
def test_colmodernvbert_of_transformers(tmp_path):
    folder = make_colmodernvbert(tmp_path / "model")
    loaded = exported(folder, tmp_path, kind="multi_vector")
    model = ColModernVBertForRetrieval.from_pretrained(folder)
    library = processor(folder, Idefics3ImageProcessorPil)

    queries = [model(**library.process_queries([text])).embeddings[0].numpy() for text in TEXTS]
    images = [model(**library.process_images([page])).embeddings[0].numpy() for page in pages()]
    assert_equal(loaded.encode_queries(TEXTS), queries)
    assert_equal(loaded.encode_pages(pages()), images)


@torch.no_grad()
@pytest.mark.parametrize("backbone", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_embedders_with_last_token_pooling(tmp_path, backbone):
    folder = make_qwen_embedding(tmp_path / "model", backbone=backbone)
    loaded = exported(
        folder,
        tmp_path,
        kind="dense",
        query_prefix="Find a page.",
        passage_prefix="Represent it.",
        mrl_dimensions=(16,),
    )
    model = AutoModel.from_pretrained(folder)
    library = processor(folder, Qwen2VLImageProcessorPil)

    def vector(instruction: str, **content: object) -> np.ndarray:
        kind = "image" if "image" in content else "text"
        messages = [
            {"role": "system", "content": [{"type": "text", "text": instruction}]},
            {"role": "user", "content": [{"type": kind, **content}]},
        ]
        text = library.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        images = {"images": [content["image"]]} if kind == "image" else {}
        state = model(**library(text=[text], return_tensors="pt", **images)).last_hidden_state[0, -1]
        return torch.nn.functional.normalize(state, dim=0).numpy()

    assert_equal(loaded.encode_queries(TEXTS), [vector("Find a page.", text=text) for text in TEXTS])
    assert_equal(loaded.encode_passages(TEXTS), [vector("Represent it.", text=text) for text in TEXTS])
    assert_equal(loaded.encode_pages(pages()), [vector("Represent it.", image=page) for page in pages()])
    assert loaded.spec.mrl_dimensions == (16,)


def test_the_command_exports_them(tmp_path):
    folder = make_colqwen2(tmp_path / "model")
    ran = CliRunner().invoke(
        command, ["export", str(folder), "--name", "tiny-colqwen2", "--kind", "multi_vector"]
    )

    assert ran.exit_code == 0, ran.output
    spec = models.load_spec("tiny-colqwen2")
    vectors = encoder.load(spec).encode_pages(pages())
    assert [rows.shape[1] for rows in vectors] == [16] * 4
    assert spec.image is not None
    assert spec.image.layout == "qwen_vl"


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (make_qwen_embedding, "reranker", "yields multi_vector or dense, not reranker"),
        (make_colidefics3, "dense", "yields multi_vector, not dense"),
    ],
)
def test_what_they_cannot_yield_is_refused(tmp_path, make, kind, said):
    with pytest.raises(InvalidInput, match=said):
        export_model(open_source(str(make(tmp_path / "model"))), "tiny", ExportOptions(kind=kind))
