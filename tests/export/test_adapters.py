"""Adapters, which is how colpali-engine publishes most models: refused unless merged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_qwen import make_engine_colqwen

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.export import open_source

ADAPTER = {"peft_type": "LORA", "base_model_name_or_path": "vidore/colqwen2-base", "r": 32}


@pytest.mark.parametrize("with_config", [True, False])
def test_an_adapter_is_refused_with_what_to_do(tmp_path: Path, with_config: bool) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps(ADAPTER), encoding="utf-8")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    if with_config:
        (tmp_path / "config.json").write_text('{"model_type": "qwen2_vl"}', encoding="utf-8")

    with pytest.raises(
        InvalidInput, match=r"LORA adapter for vidore/colqwen2-base, no model: .*merge_and_unload"
    ):
        open_source(str(tmp_path))


def test_a_merged_model_that_still_names_its_adapter_is_opened(tmp_path: Path) -> None:
    folder = make_engine_colqwen(tmp_path / "model")
    (folder / "adapter_config.json").write_text(json.dumps(ADAPTER), encoding="utf-8")

    assert open_source(str(folder)).config["model_type"] == "qwen2_vl"
