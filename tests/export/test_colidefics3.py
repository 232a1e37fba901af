"""ColIdefics3 as ONNX, against transformers, on tiny random models."""

from __future__ import annotations

import pytest
from onnx_graphs import check_graphs
from safetensors.torch import load_file, save_file
from tiny_idefics3 import make_colidefics3

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.export import open_source
from opensearch_multimodal.export.architectures.colidefics3 import ARCHITECTURE
from opensearch_multimodal.export.graphs import ExportOptions

OPTIONS = ExportOptions(kind="multi_vector")


@pytest.mark.parametrize("sizes", [{}, {"tile": 36, "patch": 4, "scale": 3, "heads": 6}])
def test_merged_models_of_colpali_engine_give_the_same_vectors(tmp_path, sizes):
    plan = ARCHITECTURE.plan(open_source(str(make_colidefics3(tmp_path / "model", **sizes))), OPTIONS)

    assert plan.dimension == 16
    assert tuple(plan.graphs[1].inputs) == ("pixel_values", "input_ids", "attention_mask")
    check_graphs(plan.graphs, tmp_path)


def test_prompts_are_those_of_colpali_engine(tmp_path):
    plan = ARCHITECTURE.plan(open_source(str(make_colidefics3(tmp_path / "model"))), OPTIONS)

    assert plan.text is not None
    assert plan.image is not None
    assert plan.text["query_suffix"] == "<end_of_utterance>" * 10
    assert plan.image["prompt"]["image_tokens"] == (32 // 8 // 2) ** 2
    assert plan.image["grid"] == {"tile_size": 32, "longest_edge": 96, "split": True}
    assert plan.inputs == ("image",)


def test_a_model_without_its_projection_is_refused(tmp_path):
    folder = make_colidefics3(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: value for name, value in weights.items() if "linear" not in name}, folder / "model.safetensors"
    )

    with pytest.raises(InvalidInput, match="its adapter merged"):
        ARCHITECTURE.plan(open_source(str(folder)), OPTIONS)


def test_weights_that_are_missing_are_refused(tmp_path):
    folder = make_colidefics3(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: value for name, value in weights.items() if "connector" not in name},
        folder / "model.safetensors",
    )

    with pytest.raises(InvalidInput, match="lacks 1 of the weights"):
        ARCHITECTURE.plan(open_source(str(folder)), OPTIONS)
