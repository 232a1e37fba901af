from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.models.onnx_file import batch_axis, external_data, read_signature, tower_of


def inspect(path: Path) -> None:
    external_data(path)
    read_signature(path)


def test_external_data_is_found_by_its_own_name(tmp_path: Path, tiny: ModuleType) -> None:
    tiny.write_text_model(tmp_path / "plain.onnx")
    tiny.write_text_model(tmp_path / "split.onnx", external="weights.bin")
    assert external_data(tmp_path / "plain.onnx") == ()
    assert external_data(tmp_path / "split.onnx") == ("weights.bin",)


def test_external_data_is_found_in_nested_graphs(tmp_path: Path) -> None:
    def outside(name: str, location: str) -> TensorProto:
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2])
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("offset", "0"), ("location", location), ("length", "8")):
            tensor.external_data.add(key=key, value=value)
        return tensor

    constant = helper.make_node("Constant", [], ["c"], value=outside("c", "constant.bin"))
    branch = helper.make_graph([constant], "branch", [], [], [outside("w", "branch.bin")])
    node = helper.make_node("If", ["flag"], ["y"], then_branch=branch, else_branch=branch)
    inner = numpy_helper.from_array(np.zeros(3), "z")
    graph = helper.make_graph(
        [node], "main", [], [], [outside("a", "main.bin"), outside("b", "main.bin"), inner]
    )
    onnx.save_model(helper.make_model(graph), str(tmp_path / "model.onnx"))
    assert external_data(tmp_path / "model.onnx") == ("branch.bin", "constant.bin", "main.bin")


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 a zip file", b"\x00" * 64, b"\xff" * 64, b"<html>no</html>"]
)
def test_what_is_not_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"model\.onnx: (not an ONNX file|ONNX Runtime cannot load it)"):
        inspect(path)


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, tiny: ModuleType) -> None:
    path = tmp_path / "model.onnx"
    tiny.write_text_model(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InvalidInput, match=r"model\.onnx: not an ONNX file: it ends within a field"):
        external_data(path)


def test_the_signature_says_what_a_model_reads(tmp_path: Path, tiny: ModuleType) -> None:
    writers = {"text": tiny.write_text_model, "image": tiny.write_image_model}
    for tower, write in writers.items():
        write(tmp_path / "model.onnx")
        assert tower_of(read_signature(tmp_path / "model.onnx"), "m") == tower
    towers = {
        "patches": ({"patches": 3, "patch_mask": 2}, {"row_weights": 3}),
        "tokens": ({"input_ids": 2, "attention_mask": 2}, {"pixel_values": 4}),
        "positions": ({"position_ids": 3, "input_ids": 2}, {"patches": 3, "patch_positions": 3}),
    }
    for name, (rows, read) in towers.items():
        tiny.write_echo_model(tmp_path / f"{name}.onnx", rows, read)
        signature = read_signature(tmp_path / f"{name}.onnx")
        assert tower_of(signature, "m") == "image"
        # Tiles of several images and the three axes of positions are no batch axes.
        assert batch_axis(signature) == ("patches_0" if name == "patches" else "input_ids_0")
    tiny.write_odd_model(tmp_path / "odd.onnx")
    assert batch_axis(read_signature(tmp_path / "odd.onnx")) == "n"
    with pytest.raises(InvalidInput, match=r"m: its inputs are waveform \['n', 'samples'\]"):
        tower_of(read_signature(tmp_path / "odd.onnx"), "m")
