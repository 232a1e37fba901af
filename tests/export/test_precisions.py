"""Lower precisions of small graphs, and of tiny models of every family."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_text import FAMILIES, write_model

from opensearch_multimodal.export import ExportOptions, export_model, open_source
from opensearch_multimodal.export.int8_weights import quantize_weights


def model(
    nodes: list, weights: dict[str, np.ndarray], shape: list, kind: int = TensorProto.FLOAT
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(made: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": x})[0]


RNG = np.random.default_rng(1)
MATRIX = RNG.standard_normal((100, 48)).astype(np.float32)  # 100 is no multiple of a block
X = RNG.standard_normal((3, 100)).astype(np.float32)
IMAGES = RNG.standard_normal((2, 16, 9, 9)).astype(np.float32)
KERNEL = RNG.standard_normal((32, 16, 3, 3)).astype(np.float32)
BIAS = RNG.standard_normal(48).astype(np.float32)
CASES = {
    "matrix": ([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": MATRIX}, X),
    "gemm": (
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)],
        {"w": MATRIX.T.copy(), "b": BIAS},
        X,
    ),
    "scaled gemm": (
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"], alpha=0.5)],
        {"w": MATRIX, "b": BIAS},
        X,
    ),
    "convolution": ([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": KERNEL}, IMAGES),
    "shared": (
        [
            helper.make_node("MatMul", ["x", "w"], ["a"]),
            helper.make_node("MatMul", ["x", "w"], ["b"]),
            helper.make_node("Add", ["a", "b"], ["y"]),
        ],
        {"w": MATRIX},
        X,
    ),
}


@pytest.mark.parametrize("float_arithmetic", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_int8_weights_are_near(case: str, float_arithmetic: bool) -> None:
    nodes, weights, x = CASES[case]
    made = model(nodes, weights, [None, *x.shape[1:]])
    expected = run(made, x)
    quantize_weights(made, float_arithmetic=float_arithmetic)
    found = run(made, x)
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()
    if case != "scaled gemm":  # left as it is
        assert not {tensor.name for tensor in made.graph.initializer} & {"w"}
        assert np.abs(found - expected).max() > 0


def test_int8_rows_of_an_embedding() -> None:
    table = RNG.standard_normal((300, 20)).astype(np.float32)
    made = model(
        [helper.make_node("Gather", ["table", "x"], ["y"])], {"table": table}, [None], TensorProto.INT64
    )
    quantize_weights(made)
    ids = np.array([0, 7, 299, 7])
    steps = np.abs(table[ids]).max(axis=1, keepdims=True) / 127
    assert (np.abs(run(made, ids) - table[ids]) <= steps / 2 + 1e-7).all()


def test_small_tensors_are_left_alone() -> None:
    small = RNG.standard_normal((10, 10)).astype(np.float32)
    made = model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": small}, [None, 10])
    before = made.SerializeToString()
    quantize_weights(made)
    assert made.SerializeToString() == before


@pytest.mark.parametrize("precision", ["fp16", "int8-weights", "int8-dynamic"])
@pytest.mark.parametrize("family", [*FAMILIES, "classifier"])
def test_every_family_in_lower_precision(family: str, precision: str, tmp_path: Path) -> None:
    """At a hidden size of 128 and this spread, layers pass on about what they get, as trained ones do."""
    labels = {"classifier": 1}.get(family)
    sizes = {"hidden_size": 128, "intermediate_size": 256, "initializer_range": 0.05}
    folder = write_model(tmp_path / "model", "bert" if labels else family, labels=labels, **sizes)
    options = ExportOptions(
        kind="reranker" if labels else "dense",
        pooling=None if labels or family in ("qwen3", "qwen2", "mistral", "llama") else "mean",
        precision=precision,
    )
    result = export_model(open_source(str(folder)), "tiny", options, out=tmp_path / "out")
    assert result.parity.precision == precision
    assert result.spec.batch_dependent == (precision == "int8-dynamic")
