"""Qwen-VL embedders with last-token pooling as ONNX, against transformers, on tiny random models."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx_graphs import check_graphs
from tiny_qwen import make_qwen_embedding

from opensearch_multimodal.export import open_source
from opensearch_multimodal.export.architectures.qwen_vl_embedding import ARCHITECTURE
from opensearch_multimodal.export.graphs import ExportOptions

OPTIONS = ExportOptions(kind="dense")


@pytest.mark.parametrize("backbone", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_the_last_token_of_a_model_gives_the_same_vectors(tmp_path, backbone):
    folder = make_qwen_embedding(tmp_path / "model", backbone=backbone)
    plan = ARCHITECTURE.plan(open_source(str(folder)), OPTIONS)

    assert "position_ids" in plan.graphs[1].inputs
    check_graphs(plan.graphs, tmp_path)


def test_gme_has_positions_of_a_text_and_its_own_prompt(tmp_path):
    folder = make_qwen_embedding(tmp_path / "model", backbone="qwen2_vl", architecture="GmeQwen2VL")
    plan = ARCHITECTURE.plan(open_source(str(folder)), OPTIONS)

    assert plan.text is not None
    assert plan.image is not None
    assert "position_ids" not in plan.graphs[1].inputs
    assert plan.text["query_prefix"] == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    )
    assert plan.text["query_suffix"] == "<|im_end|>\n<|im_start|>assistant\n<|endoftext|>"
    assert plan.image["prompt"]["text"].endswith(
        "<|vision_end|><|im_end|>\n<|im_start|>assistant\n<|endoftext|>"
    )
    assert plan.image["grid"]["min_pixels"] == 256 * 8 * 8
    check_graphs(plan.graphs, tmp_path)


def test_instructions_stand_in_the_chat_template(tmp_path):
    folder = make_qwen_embedding(tmp_path / "Qwen3-VL-Embedding-tiny", hidden=96)
    options = ExportOptions(kind="dense", query_prefix="Find pages about pumps.")
    plan = ARCHITECTURE.plan(open_source(str(folder)), options)

    assert plan.text is not None
    assert (
        plan.text["query_prefix"]
        == "<|im_start|>system\nFind pages about pumps.<|im_end|>\n<|im_start|>user\n"
    )
    assert plan.text["passage_prefix"] == (
        "<|im_start|>system\nRepresent the user's input.<|im_end|>\n<|im_start|>user\n"
    )
    assert plan.text["query_suffix"] == plan.text["passage_suffix"] == "<|im_end|>\n<|im_start|>assistant\n"
    assert plan.mrl_dimensions == (64,)


def test_a_prefix_with_special_tokens_is_taken_as_it_is(tmp_path):
    folder = make_qwen_embedding(tmp_path / "model")
    options = ExportOptions(kind="dense", query_prefix="<|im_start|>user\nQuery: ", mrl_dimensions=(16, 32))
    plan = ARCHITECTURE.plan(open_source(str(folder)), options)

    assert plan.text is not None
    assert plan.text["query_prefix"] == "<|im_start|>user\nQuery: "
    assert plan.text["query_suffix"] == "<|im_end|>\n<|im_start|>assistant\n"
    assert plan.mrl_dimensions == (16, 32)


def test_a_folder_without_chat_template_gets_qwens(tmp_path):
    folder = make_qwen_embedding(tmp_path / "model")
    Path(folder / "chat_template.jinja").unlink()
    plan = ARCHITECTURE.plan(open_source(str(folder)), OPTIONS)

    assert plan.image is not None
    assert plan.image["prompt"]["text"] == (
        "<|im_start|>system\nRepresent the user's input.<|im_end|>\n<|im_start|>user\n"
        "<|vision_start|><|image_pad|><|vision_end|><|im_end|>\n<|im_start|>assistant\n"
    )
