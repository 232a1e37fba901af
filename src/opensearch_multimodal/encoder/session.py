"""ONNX Runtime sessions: the provider that was asked for, or a warning that the user sees."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from ..errors import EnvironmentProblem, InvalidInput
from ..models.onnx_file import batch_axis, signature_of, tower_of
from ..types import FloatArray, Input
from .pacing import pace

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

_DTYPES: dict[str, type[np.generic]] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}


class ProviderWarning(UserWarning):
    """The execution provider that was asked for is not the one that runs the model."""


class OnnxSession:
    """One loaded ONNX file and the one output that is taken of it. Safe to use from several threads."""

    def __init__(self, path: Path, tower: Input, output: str, *, provider: str, threads: int | None) -> None:
        """Load the file.

        Args:
            path: the ONNX file.
            tower: what it must read.
            output: the output to take.
            provider: a key of `PROVIDERS`; where it does not load, a warning says so and the CPU takes over.
            threads: threads that run one operator, None for one per core that this process may use.

        Raises:
            InvalidInput: the provider is unknown, or the file does not read ``tower`` or has no such output.
            EnvironmentProblem: ONNX Runtime cannot load the file.
        """
        if provider not in PROVIDERS:
            raise InvalidInput(f"provider: '{provider}' is not one of {', '.join(PROVIDERS)}")
        self._session = _open(path, PROVIDERS[provider], _options(threads))
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

    def run(self, feed: Mapping[str, npt.NDArray[Any]]) -> FloatArray:
        """Return the output, float32, for the inputs in ``feed``; those that the model lacks are left out."""
        typed = {name: np.asarray(feed[name], dtype=dtype) for name, dtype in self._dtypes.items()}
        with pace():
            [result] = self._session.run([self._output], typed)
        return np.asarray(result, dtype=np.float32)


def _options(threads: int | None) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or _usable_cores()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Batches come in hundreds of shapes: a plan of memory kept for each of them would never be used again.
    options.enable_mem_pattern = False
    return options


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _open(path: Path, provider: str, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    cpu = PROVIDERS["cpu"]
    available = onnxruntime.get_available_providers()
    wanted = [provider, cpu] if provider in available and provider != cpu else [cpu]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=wanted)
    except Exception as error:  # the runtime's exceptions have no common base but this
        reason = " ".join(str(error).split())[:300]
        raise EnvironmentProblem(f"{path}: ONNX Runtime cannot load it: {reason}") from None
    running = session.get_providers()[0]
    if running != provider:
        warnings.warn(
            f"execution provider {provider} did not load, {running} runs {path.name} instead "
            f"(this ONNX Runtime offers {', '.join(available)})",
            ProviderWarning,
            stacklevel=5,
        )
    return session
