"""ONNX Runtime sessions: the provider that was asked for, or a warning that the user sees."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import resources
from ..errors import EnvironmentProblem, InvalidInput
from ..models.onnx_file import batch_axis, signature_of, tower_of
from ..models.runtime import onnx_runtime
from ..models.spec import Session
from ..types import FloatArray, Input
from .batches import CPU, GPU, Budget
from .pacing import pace

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions

__all__ = ["PROVIDERS", "OnnxSession", "ProviderWarning"]

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
"""Our short names of ONNX Runtime's execution providers."""

_BOUND = {"cuda", "tensorrt"}
"""Providers that read and write the memory of an NVIDIA GPU: their inputs and outputs are bound to it."""

_DTYPES: dict[str, type[np.generic]] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}


class ProviderWarning(UserWarning):
    """The execution provider that was asked for is not the one that runs the model."""


class OnnxSession:
    """One loaded ONNX file and the one output that is taken of it. Safe to use from several threads.

    Attributes:
        signature: its inputs and outputs.
        takes_one: its batch axis is fixed at 1.
        device: the short name of the execution provider that runs it.
    """

    def __init__(
        self,
        path: Path,
        tower: Input,
        output: str,
        *,
        provider: str,
        threads: int | None,
        settings: Session | None = None,
    ) -> None:
        """Load the file.

        Args:
            path: the ONNX file.
            tower: what it must read.
            output: the output to take.
            provider: a key of `PROVIDERS`; where it does not load, a warning says so and the CPU takes over.
            threads: threads that run one operator, None for one per core that this process may use.
            settings: how the spec wants the graph run, None for what suits most.

        Raises:
            InvalidInput: the provider is unknown, or the file does not read ``tower`` or has no such output.
            EnvironmentProblem: ONNX Runtime cannot load the file.
            MissingExtra: ONNX Runtime is not installed.
        """
        if provider not in PROVIDERS:
            raise InvalidInput(f"provider: '{provider}' is not one of {', '.join(PROVIDERS)}")
        settings = settings or Session()
        self._session = _open(path, provider, _options(threads, settings), settings)
        self.device = next(
            (name for name, full in PROVIDERS.items() if full == self._session.get_providers()[0]), provider
        )
        self.signature = signature_of(self._session)
        if tower_of(self.signature, str(path)) != tower:
            raise InvalidInput(f"{path}: it does not read {tower}")
        names = [node.name for node in self.signature.outputs]
        if output not in names:
            raise InvalidInput(f"{path}: it has no output '{output}', only {', '.join(names)}")
        self._output = output
        self._dtypes: dict[str, type[np.generic]] = {
            node.name: _DTYPES.get(node.type, np.float32) for node in self.signature.inputs
        }
        batch = batch_axis(self.signature)
        if isinstance(batch, int) and batch != 1:
            raise InvalidInput(f"{path}: its batch axis is fixed at {batch}; export it with an open one")
        self.takes_one = batch == 1

    @property
    def inputs(self) -> frozenset[str]:
        """The names of the inputs."""
        return frozenset(self._dtypes)

    @property
    def budget(self) -> Budget:
        """How much it should read at once; one item where its batch axis is fixed at 1."""
        budget = GPU if self.device in _BOUND else CPU
        return replace(budget, items=1) if self.takes_one else budget

    def run(self, feed: Mapping[str, npt.NDArray[Any]]) -> FloatArray:
        """Return the output, float32, for the inputs in ``feed``; those that the model lacks are left out."""
        typed = {name: np.asarray(feed[name], dtype=dtype) for name, dtype in self._dtypes.items()}
        with pace():
            result = self._run_bound(typed) if self.device in _BOUND else self._run(typed)
        return np.asarray(result, dtype=np.float32)

    def _run(self, feed: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
        [result] = self._session.run([self._output], feed)
        array: npt.NDArray[Any] = result
        return array

    def _run_bound(self, feed: Mapping[str, npt.NDArray[Any]], device: str = "cuda") -> npt.NDArray[Any]:
        """Run with the output kept on the device until it is whole, and copied once."""
        binding = self._session.io_binding()
        for name, array in feed.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(array))
        binding.bind_output(self._output, device)
        self._session.run_with_iobinding(binding)
        [result] = binding.copy_outputs_to_cpu()
        bound: npt.NDArray[Any] = result
        return bound


def _options(threads: int | None, settings: Session) -> SessionOptions:
    runtime = onnx_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or _usable_cores()
    options.inter_op_num_threads = 1 if settings.execution == "sequential" else options.intra_op_num_threads
    options.log_severity_level = 3
    # Batches come in hundreds of shapes: a plan of memory kept for each of them would never be used again.
    options.enable_mem_pattern = settings.memory_pattern
    options.enable_cpu_mem_arena = settings.arena
    options.graph_optimization_level = {
        "none": runtime.GraphOptimizationLevel.ORT_DISABLE_ALL,
        "basic": runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
        "extended": runtime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
        "all": runtime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    }[settings.optimization]
    if settings.execution == "parallel":
        options.execution_mode = runtime.ExecutionMode.ORT_PARALLEL
    return options


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _open(path: Path, provider: str, options: SessionOptions, settings: Session) -> InferenceSession:
    runtime = onnx_runtime()
    available = runtime.get_available_providers()
    wanted = [name for name in _chain(provider) if PROVIDERS[name] in available]
    if provider in _BOUND and hasattr(runtime, "preload_dlls"):
        with redirect_stdout(
            sys.stderr
        ):  # finds CUDA's libraries where pip put them, and prints what it lacks
            runtime.preload_dlls()
    named = [(PROVIDERS[name], _provider_options(name, settings)) for name in wanted]
    try:
        session = runtime.InferenceSession(str(path), options, providers=named)
    except Exception as error:  # the runtime's exceptions have no common base but this
        reason = " ".join(str(error).split())[:300]
        raise EnvironmentProblem(f"{path}: ONNX Runtime cannot load it: {reason}") from None
    running = session.get_providers()[0]
    if running != PROVIDERS[provider]:
        warnings.warn(
            f"execution provider {PROVIDERS[provider]} did not load, {running} runs {path.name} instead "
            f"(this ONNX Runtime offers {', '.join(available)})",
            ProviderWarning,
            stacklevel=5,
        )
    return session


def _chain(provider: str) -> list[str]:
    """Return the provider and those that take over what it cannot run."""
    return list(dict.fromkeys([provider, *(["cuda"] if provider == "tensorrt" else []), "cpu"]))


def _provider_options(provider: str, settings: Session) -> dict[str, str]:
    """Return a provider's options as ONNX Runtime takes them; TensorRT's engines are kept by default."""
    chosen: dict[str, str | int | float | bool] = {}
    if provider == "tensorrt":
        engines = resources.cache_folder() / "tensorrt"
        engines.mkdir(parents=True, exist_ok=True)
        chosen = {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(engines)}
    chosen |= settings.providers.get(provider, {})
    return {
        name: str(int(value)) if isinstance(value, bool) else str(value) for name, value in chosen.items()
    }
