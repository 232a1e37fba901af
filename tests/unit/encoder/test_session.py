"""How ONNX Runtime is asked to run a graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tiny_models

from opensearch_multimodal.encoder.batches import CPU
from opensearch_multimodal.encoder.session import OnnxSession, _chain, _provider_options
from opensearch_multimodal.models import Session

FEED = {"input_ids": np.array([[2, 8, 3], [2, 9, 3]]), "attention_mask": np.ones((2, 3))}


@pytest.fixture
def onnx(tmp_path: Path) -> Path:
    tiny_models.write_text_model(tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def opened(path: Path, settings: Session | None = None) -> OnnxSession:
    return OnnxSession(path, "text", "sentence_embedding", provider="cpu", threads=2, settings=settings)


def test_the_spec_says_how_a_graph_is_run(onnx: Path) -> None:
    usual = opened(onnx)._session.get_session_options()
    assert usual.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    assert (usual.enable_mem_pattern, usual.enable_cpu_mem_arena) == (False, True)
    assert (usual.intra_op_num_threads, usual.inter_op_num_threads) == (2, 1)
    settings = Session(optimization="basic", execution="parallel", arena=False, memory_pattern=True)
    chosen = opened(onnx, settings)._session.get_session_options()
    assert chosen.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert chosen.execution_mode == onnxruntime.ExecutionMode.ORT_PARALLEL
    assert (chosen.enable_mem_pattern, chosen.enable_cpu_mem_arena) == (True, False)
    assert chosen.inter_op_num_threads == 2


@pytest.mark.parametrize("optimization", ["none", "basic", "extended", "all"])
def test_no_setting_changes_a_vector(onnx: Path, optimization: str) -> None:
    settings = Session.model_validate({"optimization": optimization})
    np.testing.assert_allclose(opened(onnx, settings).run(FEED), opened(onnx).run(FEED), atol=1e-6)


def test_bound_memory_gives_the_same(onnx: Path) -> None:
    session = opened(onnx)
    typed = {"input_ids": FEED["input_ids"], "attention_mask": FEED["attention_mask"].astype(np.int64)}
    np.testing.assert_array_equal(session._run_bound(typed, device="cpu"), session._run(typed))
    assert session.device == "cpu"
    assert session.budget == CPU


def test_what_a_provider_cannot_run_another_takes_over() -> None:
    assert _chain("tensorrt") == ["tensorrt", "cuda", "cpu"]
    assert _chain("cuda") == ["cuda", "cpu"]
    assert _chain("cpu") == ["cpu"]


def test_options_of_providers_come_from_the_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSMM_CACHE", str(tmp_path))
    settings = Session(
        providers={"tensorrt": {"trt_timing_cache_enable": True}, "cuda": {"gpu_mem_limit": 2**30}}
    )
    assert _provider_options("cuda", settings) == {"gpu_mem_limit": str(2**30)}
    assert _provider_options("tensorrt", settings) == {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(tmp_path / "tensorrt"),
        "trt_timing_cache_enable": "1",
    }
    assert _provider_options("cpu", settings) == {}
