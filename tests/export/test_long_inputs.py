"""Half precision on texts and pages that are long: rotary angles keep their digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx_graphs import run
from PIL import Image
from tiny_qwen import make_engine_colqwen

from opensearch_multimodal.encoder.images import open_reader
from opensearch_multimodal.export import open_source
from opensearch_multimodal.export.architectures.colqwen import ARCHITECTURE
from opensearch_multimodal.export.convert import convert
from opensearch_multimodal.export.graphs import ExportOptions
from opensearch_multimodal.export.precision import write_precision
from opensearch_multimodal.models import ImageTower


def float16_before_angles(path: Path) -> list[str]:
    """Return the names of tensors of float16 that a sine or cosine depends on: a GPU would round them."""
    graph = onnx.load(path).graph
    made_by = {output: node for node in graph.node for output in node.output}
    half = {tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT16}
    found = []
    waiting = [name for node in graph.node if node.op_type in ("Sin", "Cos") for name in node.input]
    while waiting:
        name = waiting.pop()
        node = made_by.get(name)
        kinds = [a.t.data_type if a.name == "value" else a.i for a in node.attribute] if node else []
        if name in half or (node and node.op_type in ("Cast", "Constant") and 10 in kinds):
            found.append(name)
        waiting += node.input if node and node.op_type != "Shape" else []
    return found


@pytest.mark.parametrize("backbone", ["qwen2_vl", "qwen3_vl"])
def test_half_precision_keeps_the_angles_of_high_positions(tmp_path, backbone):
    folder = make_engine_colqwen(tmp_path / "model", backbone=backbone, features=1200)
    plan = ARCHITECTURE.plan(open_source(str(folder)), ExportOptions(kind="multi_vector"))
    ids = np.random.default_rng(2).integers(0, 250, (1, 1500))
    assert plan.image is not None
    tower = ImageTower(onnx="image.onnx", output="embeddings", **plan.image)
    page = open_reader(tower, folder).read(
        Image.fromarray(np.random.default_rng(2).integers(0, 256, (1200, 60, 3)).astype(np.uint8))
    )
    assert page["patch_positions"].max() > 250
    for graph, example in zip(
        plan.graphs,
        (
            {"input_ids": ids, "attention_mask": np.ones_like(ids)},
            {name: page[name] for name in plan.graphs[1].inputs},
        ),
        strict=True,
    ):
        (tmp_path / "whole").mkdir(exist_ok=True)
        (tmp_path / "half").mkdir(exist_ok=True)
        convert(graph, tmp_path / "whole" / graph.file)
        half = tmp_path / "half" / graph.file
        write_precision(tmp_path / "whole" / graph.file, half, "fp16", external_above=2_000_000_000)
        wanted = graph.reference(example)
        whole = run(onnxruntime.InferenceSession(tmp_path / "whole" / graph.file), example)[0]
        got = run(onnxruntime.InferenceSession(half), example)[0]
        np.testing.assert_allclose(whole, wanted, atol=1e-5)
        cosines = np.sum(got * wanted, axis=1) / np.linalg.norm(got, axis=1)
        assert cosines.min() > 0.9999
        assert float16_before_angles(half) == []
