"""Weights: whole files only, and a model of which no weight is missing."""

from __future__ import annotations

import json
import pickle
import re
import struct
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InvalidInput
from ..models.hints import read_object

__all__ = ["ONLY_FOLDER", "check_weights", "load_model", "quiet_transformers", "read_tensor", "weight_files"]

ONLY_FOLDER: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
"""For every ``from_pretrained`` of transformers: nothing is fetched, and no code of the folder is run."""

_NAMES = ("model.safetensors", "pytorch_model.bin")
_LARGEST_HEADER = 100_000_000
_LAYER = re.compile(r"(^|\.)(layers?|blocks?|h)\.\d+\.")
"""A weight of one layer of many."""


def weight_files(folder: Path) -> list[Path]:
    """Return the files that hold a model's weights: one, or the shards that an index names.

    Raises:
        InvalidInput: there are none, or a shard is missing.
    """
    for name in _NAMES:
        index = folder / f"{name}.index.json"
        if index.is_file():
            named = read_object(index).get("weight_map")
            if not isinstance(named, dict) or not all(isinstance(shard, str) for shard in named.values()):
                raise InvalidInput(f"weights: {index} has no weight_map from names to files")
            shards = sorted(set(named.values()))
            absent = [shard for shard in shards if not (folder / str(shard)).is_file()]
            if absent or not shards:
                raise InvalidInput(
                    f"weights: {index} names {len(shards)} files, of which {len(absent)} are missing"
                    f"{', the first ' + str(absent[0]) if absent else ''}: the folder is not whole"
                )
            return [folder / str(shard) for shard in shards]
        if (folder / name).is_file():
            return [folder / name]
    raise InvalidInput(f"weights: {folder} has neither {' nor '.join(_NAMES)}, whole or in shards")


def check_weights(folder: Path) -> int:
    """Return the bytes of a model's weights, after seeing that no safetensors file is cut short.

    Raises:
        InvalidInput: a file is missing, cut short, or not what its name says.
    """
    files = weight_files(folder)
    for path in files:
        if path.suffix == ".safetensors":
            _check_safetensors(path)
    return sum(path.stat().st_size for path in files)


def _check_safetensors(path: Path) -> dict[str, Any]:
    """Return the header of a safetensors file, after comparing what it promises with the file's size."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(_LARGEST_HEADER, size - 8):
            raise InvalidInput(
                f"weights: {path} is no safetensors file, or was cut within its header ({size} bytes)"
            )
        try:
            header = json.loads(file.read(length))
            expected = max(
                int(tensor["data_offsets"][1]) for name, tensor in header.items() if name[0] != "_"
            )
        except (AttributeError, ValueError, KeyError, TypeError, IndexError):
            raise InvalidInput(f"weights: {path} has a damaged header") from None
    if 8 + length + expected != size:
        raise InvalidInput(
            f"weights: {path} has {size:,} bytes, its header promises {8 + length + expected:,}: "
            "it was cut short or damaged on its way; fetch it again"
        )
    return dict(header)


def read_tensor(folder: Path, names: Collection[str]) -> npt.NDArray[np.float32] | None:
    """Return the one tensor of a checkpoint that has one of these names, None where none has.

    Raises:
        InvalidInput: a file cannot be read.
    """
    import torch
    from safetensors import safe_open

    for path in weight_files(folder):
        try:
            if path.suffix == ".safetensors":
                with safe_open(str(path), framework="pt") as file:
                    tensors = {name: file.get_tensor(name) for name in names if name in file.keys()}  # noqa: SIM118
            else:
                stored = torch.load(path, map_location="cpu", weights_only=True)
                tensors = {name: stored[name] for name in names if name in stored}
        except InvalidInput:
            raise
        except Exception as error:  # the readers' exceptions have no common base but this
            raise InvalidInput(f"weights: {path} cannot be read: {_reason(error)}") from None
        for tensor in tensors.values():
            array: npt.NDArray[np.float32] = tensor.to(torch.float32).numpy()
            return array
    return None


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' progress bars and warnings off the terminal: what matters is raised."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def load_model(
    load: Callable[..., Any], folder: Path, *, unused: Collection[str] = (), **settings: Any
) -> Any:
    """Return a model in evaluation mode, float32, on the CPU, of which every weight came from the folder.

    transformers fills weights that are missing with random numbers, and says so in a log line.

    Args:
        load: a ``from_pretrained`` of transformers.
        folder: of ``config.json`` and the weights.
        unused: beginnings of names of weights that may be missing because nothing uses them.
        settings: further arguments of ``load``.

    Raises:
        InvalidInput: the weights are cut short, of another shape, or some are missing.
    """
    import torch

    check_weights(folder)
    try:
        with quiet_transformers():
            model, told = load(
                str(folder),
                dtype=torch.float32,
                output_loading_info=True,
                **ONLY_FOLDER,
                **settings,
            )
    except InvalidInput:
        raise
    except Exception as error:  # transformers raises many kinds
        raise InvalidInput(f"weights: {folder} cannot be loaded: {_reason(error)}") from None
    missing = sorted(
        name for name in told["missing_keys"] if not any(name.startswith(begin) for begin in unused)
    )
    if missing:
        raise InvalidInput(
            f"weights: {folder} lacks {len(missing)} of the weights that {type(model).__name__} has, the "
            f"first {missing[0]}: they would be random numbers"
        )
    if mismatched := told["mismatched_keys"]:
        first = next(iter(mismatched))
        raise InvalidInput(f"weights: {folder} has weights of another shape than config.json says: {first}")
    if beyond := sorted(name for name in told["unexpected_keys"] if _LAYER.search(name)):
        raise InvalidInput(
            f"weights: {folder} has {len(beyond)} weights of layers that {type(model).__name__} lacks by its "
            f"config.json, the first {beyond[0]}: they are of two models"
        )
    if errors := told.get("error_msgs"):
        raise InvalidInput(f"weights: {folder} cannot be loaded: {str(errors)[:300]}")
    for name, parameter in model.named_parameters():
        if not all(bool(torch.isfinite(part).all()) for part in parameter.detach().flatten().split(1 << 24)):
            raise InvalidInput(
                f"weights: {name} in {folder}, shape {tuple(parameter.shape)}, holds NaN or infinity: it was "
                "damaged; fetch it again"
            )
    return model.eval()


def _reason(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):
        # torch's own words name ways to run whatever code the file holds.
        return "it holds more than weights, or is damaged: only weights are read, save it as safetensors"
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
