"""Weights beside the ONNX file, as they have to be above 2 GiB; here above a few kilobytes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_colpali
from PIL import Image
from tiny_text import states, unit, write_model

from opensearch_multimodal import models
from opensearch_multimodal.encoder import load
from opensearch_multimodal.export import ExportOptions, export_model, open_source
from opensearch_multimodal.models.onnx_file import external_data


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8-weights", "int8-dynamic"])
def test_weights_lie_in_one_file_beside(precision: str, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "bert", hidden_size=64, initializer_range=0.1)
    options = ExportOptions(pooling="mean", precision=precision, external_above=10_000)
    result = export_model(open_source(str(folder)), "tiny", options)
    assert external_data(result.folder / "text.onnx") == ("text.onnx.data",)
    names = {file.path for file in result.spec.files}
    assert names == {"text.onnx", "text.onnx.data", "tokenizer.json"}
    assert {path.name for path in result.folder.glob("[!.]*")} == names | {"parity.json", "parity.md"}
    shutil.rmtree(folder)
    assert models.verify(result.spec) == result.folder
    assert load(result.spec, threads=1).encode_passages(["the valve"]).shape == (1, 64)


def test_vectors_are_the_same(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "bert")
    options = ExportOptions(pooling="mean", external_above=10_000)
    result = export_model(open_source(str(folder)), "tiny", options, out=tmp_path / "out")
    [found] = load(result.spec, folder=result.folder, threads=1).encode_passages(["the valve"])
    assert np.abs(found - unit(states(folder, "the valve").mean(axis=0))).max() < 1e-5
    moved = result.folder.rename(tmp_path / "moved")
    assert np.array_equal(load(result.spec, folder=moved, threads=1).encode_passages(["the valve"])[0], found)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_what_both_graphs_of_a_model_hold_is_kept_once(precision: str, tmp_path: Path) -> None:
    """A language model that reads queries and pages is more than half of each graph."""
    folder = tiny_colpali.make(tmp_path / "model", text_width=256, head_width=64)
    options = ExportOptions(kind="multi_vector", precision=precision)
    result = export_model(open_source(str(folder)), "tiny", options)
    sizes = {file.path: file.size for file in result.spec.files}
    graphs = ("text.onnx", "image.onnx")
    assert {external_data(result.folder / name) for name in graphs} == {("weights.data",)}
    assert sizes["weights.data"] > 3 * (sizes["text.onnx"] + sizes["image.onnx"])
    encoder = load(result.spec, threads=1)
    red = Image.new("RGB", (50, 70), "red")
    query, page = encoder.encode_queries(["valve"]), encoder.encode_pages([red])
    models.save_spec(result.spec.model_copy(update={"name": "linked"}), result.folder, link=True)
    linked = load(models.load_spec("linked"), threads=1)
    assert np.array_equal(linked.encode_queries(["valve"])[0], query[0])
    assert np.array_equal(linked.encode_pages([red])[0], page[0])
