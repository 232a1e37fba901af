"""What sentence-transformers and PyLate put behind a transformer: pooling, Dense layers, unit length."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import InvalidInput
from ..models.hints import read_object
from .weights import read_tensor

if TYPE_CHECKING:
    from .source import Source

__all__ = ["Dense", "Head", "PoolingMode", "read_head"]

PoolingMode = Literal["cls", "mean", "last", "max", "none"]
"""How token states become one vector; ``none`` keeps them all."""

_POOLINGS: dict[str, PoolingMode] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "last",
    "pooling_mode_max_tokens": "max",
}
_BY_NAME: dict[str, PoolingMode] = {"cls": "cls", "mean": "mean", "lasttoken": "last", "max": "max"}
_ACTIVATIONS = {"Identity": "identity", "Tanh": "tanh", "ReLU": "relu", "GELU": "gelu"}


@dataclass(frozen=True)
class Dense:
    """One linear layer.

    Attributes:
        weight: shape (out, in), float32.
        bias: shape (out,), float32, or None.
        activation: ``identity``, ``tanh``, ``relu`` or ``gelu``.
    """

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32] | None
    activation: str

    def __call__(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the layer's output for vectors of shape (…, in)."""
        out: Any = vectors @ self.weight.T
        if self.bias is not None:
            out = out + self.bias
        if self.activation == "tanh":
            out = np.tanh(out)
        elif self.activation == "relu":
            out = np.maximum(out, 0)
        elif self.activation == "gelu":
            import torch

            out = torch.nn.functional.gelu(torch.from_numpy(np.asarray(out, np.float32))).numpy()
        result: npt.NDArray[np.float32] = np.asarray(out, dtype=np.float32)
        return result


@dataclass(frozen=True)
class Head:
    """What is done with the token states of a transformer.

    Attributes:
        pooling: None where no module says it.
        layers: after the pooling, in their order.
        normalize: whether vectors then get unit length.
        known: whether ``modules.json`` was there.
    """

    pooling: PoolingMode | None = None
    layers: tuple[Dense, ...] = ()
    normalize: bool = False
    known: bool = False

    def __call__(self, states: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the vectors (rows, d) for the states (tokens, hidden) of one text without padding."""
        pooled = _pool(states, self.pooling)
        for layer in self.layers:
            pooled = layer(pooled)
        if self.normalize:
            pooled = pooled / np.maximum(np.linalg.norm(pooled, axis=-1, keepdims=True), 1e-12)
        return pooled


def _pool(states: npt.NDArray[np.float32], pooling: PoolingMode | None) -> npt.NDArray[np.float32]:
    if pooling == "cls":
        return states[:1]
    if pooling == "mean":
        return states.mean(axis=0, keepdims=True)
    if pooling == "last":
        return states[-1:]
    if pooling == "max":
        return states.max(axis=0, keepdims=True)
    return states


def read_head(source: Source) -> Head:
    """Return what ``modules.json`` puts behind the transformer; an unknown head where there is none.

    Raises:
        InvalidInput: a module is there that is not offered, or is not whole.
    """
    path = source.root / "modules.json"
    if not path.is_file():
        return Head()
    modules = json.loads(path.read_text("utf-8"))
    pooling: PoolingMode | None = None
    layers: list[Dense] = []
    normalize = False
    for module in modules:
        name, folder = str(module["type"]).rpartition(".")[2], source.root / str(module.get("path") or "")
        if name == "Transformer":
            continue
        if normalize:
            raise InvalidInput(f"{path}: module {name} after Normalize is not offered")
        if name == "Pooling":
            pooling = _pooling(folder / "config.json")
        elif name == "Dense":
            layers.append(_dense(folder))
        elif name == "Normalize":
            normalize = True
        else:
            raise InvalidInput(f"{path}: module {name} is not offered, only Pooling, Dense and Normalize")
    return Head(pooling, tuple(layers), normalize, known=True)


def _pooling(path: Path) -> PoolingMode:
    config = read_object(path)
    named = config.get("pooling_mode")
    if isinstance(named, str) and named in _BY_NAME:
        return _BY_NAME[named]
    chosen = [name for name, on in config.items() if name.startswith("pooling_mode_") and on is True]
    if len(chosen) != 1 or chosen[0] not in _POOLINGS:
        raise InvalidInput(
            f"{path}: pooling by {' and '.join(chosen) or named or 'nothing'} is not offered, only by one of "
            f"{', '.join(_POOLINGS)}"
        )
    if config.get("include_prompt") is False:
        raise InvalidInput(f"{path}: pooling that leaves out the prompt (include_prompt) is not offered")
    return _POOLINGS[chosen[0]]


def _dense(folder: Path) -> Dense:
    config = read_object(folder / "config.json")
    activation = str(config.get("activation_function") or "torch.nn.modules.linear.Identity")
    name = activation.rpartition(".")[2]
    if name not in _ACTIVATIONS:
        raise InvalidInput(
            f"{folder}: activation {activation} is not offered, only {', '.join(_ACTIVATIONS)}"
        )
    if config.get("use_residual"):
        raise InvalidInput(f"{folder}: a Dense module with a residual is not offered")
    weight = read_tensor(folder, ["linear.weight"])
    bias = read_tensor(folder, ["linear.bias"]) if config.get("bias", True) else None
    expected = (config.get("out_features"), config.get("in_features"))
    if weight is None or weight.shape != expected or (config.get("bias", True) and bias is None):
        raise InvalidInput(
            f"weights: {folder} has no linear layer of shape {expected}, as its config.json says"
        )
    return Dense(weight, bias, _ACTIVATIONS[name])
