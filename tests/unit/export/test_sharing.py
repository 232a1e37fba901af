"""Weights that two ONNX files hold lie in one file, and both still give what they gave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from opensearch_multimodal.export.convert import save_proto
from opensearch_multimodal.export.sharing import SHARED_FILE, share_weights
from opensearch_multimodal.models.onnx_file import external_data

WIDTH = 600
GIVEN = np.random.default_rng(5).standard_normal((2, WIDTH), dtype=np.float32)
COMMON, FIRST, SECOND = np.random.default_rng(3).standard_normal((3, WIDTH, WIDTH), dtype=np.float32)
SHIFT = np.arange(WIDTH, dtype=np.float32)


def write(path: Path, *weights: np.ndarray, external: bool = False) -> list[Path]:
    """Write a graph that multiplies by each of the weights and adds a vector."""
    named = [numpy_helper.from_array(array, f"{path.stem}_{number}") for number, array in enumerate(weights)]
    nodes, last = [], "x"
    for tensor in named:
        nodes.append(helper.make_node("MatMul", [last, tensor.name], [f"after_{tensor.name}"]))
        last = f"after_{tensor.name}"
    nodes.append(helper.make_node("Add", [last, "shift"], ["y"]))
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", WIDTH], "") for name in ("x", "y")]
    initializers = [*named, numpy_helper.from_array(SHIFT, "shift")]
    graph = helper.make_graph(nodes, "g", shapes[:1], shapes[1:], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if not external:
        onnx.save_model(model, str(path))
        return [path]
    data = path.with_name(f"{path.name}.data")
    onnx.save_model(model, str(path), save_as_external_data=True, location=data.name, size_threshold=1024)
    return [path, data]


def run(path: Path) -> np.ndarray:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(
        None, {"x": GIVEN}
    )[0]


@pytest.mark.parametrize("external", [(False, False), (True, True), (True, False)])
def test_equal_weights_are_kept_once(external: tuple[bool, bool], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    files = write(folder / "text.onnx", COMMON, FIRST, external=external[0])
    files += write(folder / "image.onnx", SECOND, COMMON, external=external[1])
    before = [run(folder / name) for name in ("text.onnx", "image.onnx")]
    size = sum(path.stat().st_size for path in files)

    kept = share_weights(files)

    assert (
        set(kept) == set(folder.iterdir()) == {folder / n for n in ("text.onnx", "image.onnx", SHARED_FILE)}
    )
    assert external_data(folder / "text.onnx") == external_data(folder / "image.onnx") == (SHARED_FILE,)
    assert size - sum(path.stat().st_size for path in kept) == pytest.approx(COMMON.nbytes, abs=50_000)
    for name, wanted in zip(("text.onnx", "image.onnx"), before, strict=True):
        np.testing.assert_array_equal(run(folder / name), wanted)
    moved = folder.rename(tmp_path / "moved")
    np.testing.assert_array_equal(run(moved / "text.onnx"), before[0])
    for name in ("text.onnx", "image.onnx"):
        onnx.checker.check_model(str(moved / name))


@pytest.mark.parametrize("external", [False, True])
def test_files_with_little_in_common_stay_as_they_are(external: bool, tmp_path: Path) -> None:
    files = write(tmp_path / "text.onnx", FIRST, external=external)
    files += write(tmp_path / "image.onnx", SECOND, external=external)
    before = {path: path.read_bytes() for path in files}
    assert share_weights(files) == tuple(files)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_an_attempt_before_has_shared_goes(tmp_path: Path) -> None:
    (tmp_path / SHARED_FILE).write_bytes(b"old")
    files = write(tmp_path / "text.onnx", FIRST)
    assert share_weights(files) == tuple(files)
    assert list(tmp_path.iterdir()) == files


def test_a_graph_within_a_graph_keeps_its_weights(tmp_path: Path) -> None:
    """onnx moves tensors of inner graphs outside, too."""
    inner = [
        helper.make_graph(
            [helper.make_node("Identity", [f"w{branch}"], [f"out{branch}"])],
            branch,
            [],
            [helper.make_tensor_value_info(f"out{branch}", TensorProto.FLOAT, [WIDTH, WIDTH])],
            [numpy_helper.from_array(COMMON + shift, f"w{branch}")],
        )
        for branch, shift in (("then", 0), ("else", 1))
    ]
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner[0], else_branch=inner[1])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("c", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [WIDTH, WIDTH])],
        [numpy_helper.from_array(array, name) for name, array in (("a", FIRST), ("b", FIRST))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path, data = tmp_path / "text.onnx", tmp_path / "text.onnx.data"
    onnx.save_model(model, str(path), save_as_external_data=True, location=data.name, size_threshold=1024)
    assert share_weights([path, data]) == (path, data)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"c": np.array(True)})[0], COMMON)


def test_a_second_attempt_replaces_the_weights_of_the_first(tmp_path: Path) -> None:
    for _ in range(2):
        model = onnx.load(str(write(tmp_path / "model.onnx", FIRST)[0]))
        path, data = save_proto(model, tmp_path / "text.onnx", external_above=10_000)
        assert data.stat().st_size == pytest.approx(FIRST.nbytes, abs=10_000)
    assert run(path).shape == GIVEN.shape
