"""ColQwen2, ColQwen2.5 and ColQwen3 as ONNX, against transformers, on tiny random models."""

from __future__ import annotations

import pytest
from onnx_graphs import check_graphs
from tiny_qwen import make_colqwen2, make_engine_colqwen, make_qwen_embedding

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.export import open_source
from opensearch_multimodal.export.architectures.colqwen import ARCHITECTURE
from opensearch_multimodal.export.graphs import ExportOptions

OPTIONS = ExportOptions(kind="multi_vector")


@pytest.mark.parametrize("backbone", ["qwen2_vl", "qwen2_5_vl"])
def test_colqwen2_of_transformers_gives_the_same_vectors(tmp_path, backbone):
    plan = ARCHITECTURE.plan(open_source(str(make_colqwen2(tmp_path / "model", backbone=backbone))), OPTIONS)

    assert plan.dimension == 16
    assert "position_ids" not in plan.graphs[1].inputs
    assert ("patch_windows" in plan.graphs[1].inputs) == (backbone == "qwen2_5_vl")
    check_graphs(plan.graphs, tmp_path)


@pytest.mark.parametrize("backbone", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_merged_models_of_colpali_engine_give_the_same_vectors(tmp_path, backbone):
    folder = make_engine_colqwen(tmp_path / "model", backbone=backbone)
    plan = ARCHITECTURE.plan(open_source(str(folder)), OPTIONS)

    assert "position_ids" in plan.graphs[1].inputs
    assert ("position_weights" in plan.graphs[1].inputs) == (backbone == "qwen3_vl")
    check_graphs(plan.graphs, tmp_path)


def test_weights_named_as_before_transformers_4_52_are_found(tmp_path):
    folder = make_engine_colqwen(tmp_path / "model", old_names=True)
    plan = ARCHITECTURE.plan(open_source(str(folder)), OPTIONS)

    check_graphs(plan.graphs, tmp_path)


def test_prompts_are_those_of_the_processor(tmp_path):
    plan = ARCHITECTURE.plan(open_source(str(make_colqwen2(tmp_path / "model"))), OPTIONS)

    assert plan.text is not None
    assert plan.image is not None
    assert plan.text["query_prefix"] == "Query: "
    assert plan.text["query_suffix"] == "<|endoftext|>" * 10 + "\n"
    assert plan.image["prompt"]["text"].count("<|image_pad|>") == 1
    assert plan.image["grid"]["min_pixels"] == 4 * 8 * 8
    assert plan.image["grid"]["max_pixels"] == 40 * 8 * 8
    assert plan.inputs == ("image",)


def test_a_model_without_its_projection_is_refused(tmp_path):
    folder = make_qwen_embedding(tmp_path / "model", backbone="qwen2_vl")

    with pytest.raises(InvalidInput, match="custom_text_proj"):
        ARCHITECTURE.plan(open_source(str(folder)), OPTIONS)


def test_an_image_processor_of_another_model_is_refused(tmp_path):
    folder = make_colqwen2(tmp_path / "model")
    path = folder / "processor_config.json"
    path.write_text(path.read_text("utf-8").replace('"patch_size": 4', '"patch_size": 14'), "utf-8")

    with pytest.raises(InvalidInput, match="patch_size = 14, the model 4"):
        ARCHITECTURE.plan(open_source(str(folder)), OPTIONS)
