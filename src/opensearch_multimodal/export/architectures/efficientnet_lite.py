"""EfficientNet-Lite: a small convolutional network whose pooled features say which pages look alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ...errors import InvalidInput
from ...models import Kind
from ..graphs import Batch, ExportOptions, Graph, Plan
from . import _library as library

if TYPE_CHECKING:
    import torch

    from ..source import Source

__all__ = ["ARCHITECTURE", "EfficientNetLite", "Features"]

Features = Literal["head", "blocks"]
"""``head``: what the classifier reads, 1,280 components; ``blocks``: what the last block gives, 320."""


@dataclass(frozen=True)
class EfficientNetLite:
    """EfficientNet-Lite (Tan and Le, 2019, arXiv:1905.11946), as the package ``efficientnet-lite-pytorch``.

    It was trained to name what a photograph shows, and has no text tower: pages are found by pages.

    Attributes:
        size: (height, width) in pixels, multiples of 32. By default the shape of a page.
        resize: how a page gets that size.
        features: which features are averaged over the image.
    """

    size: tuple[int, int] = (320, 224)
    resize: Literal["stretch", "crop", "pad"] = "stretch"
    features: Features = "head"

    name: ClassVar[str] = "EfficientNet-Lite"
    model_types: ClassVar[frozenset[str]] = frozenset({"efficientnet_lite"})
    kinds: ClassVar[tuple[Kind, ...]] = ("dense",)

    def plan(self, source: Source, options: ExportOptions) -> Plan:
        """Make its features a model for images; see `Architecture.plan`."""
        model = _load(source)
        dimension = (model._bn1 if self.features == "head" else model._blocks[-1]._bn2).num_features
        return Plan(
            kind=options.kind,
            dimension=dimension,
            graphs=(_graph(model, self.size, self.features, dimension),),
            image={
                "pooling": "none",
                "size": self.size,
                "resize": self.resize,
                "resample": "bicubic",
                "rescale": 1.0,
                "mean": (127.0, 127.0, 127.0),
                "std": (128.0, 128.0, 128.0),
            },
            inputs=("image",),
        )


def _load(source: Source) -> Any:
    """Return the network with its weights, in evaluation mode."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    from ..packages import PackagedSource

    if not isinstance(source, PackagedSource):
        raise InvalidInput(
            f"{source.folder}: an EfficientNet-Lite is exported by its package's name: efficientnet-lite0"
        )
    model = EfficientNet.from_name(source.config["variant"])
    try:
        model.load_state_dict(torch.load(source.file, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises many kinds
        reason = " ".join(str(error).split())[:200]
        raise InvalidInput(f"weights: {source.file} cannot be loaded: {reason}") from None
    return model.eval()


def _graph(model: Any, size: tuple[int, int], features: Features, dimension: int) -> Graph:
    def examples(rng: np.random.Generator, count: int) -> list[Batch]:
        """Return blocks of grey, which are nearer to a page than noise is."""
        batches = []
        for _ in range(count):
            coarse = rng.uniform(-1, 1, (1, 3, size[0] // 16, size[1] // 16)).astype(np.float32)
            fine = rng.uniform(-0.3, 0.3, (1, 3, *size)).astype(np.float32)
            pixels = np.repeat(np.repeat(coarse, 16, axis=2), 16, axis=3) + fine
            batches.append({"pixel_values": np.clip(pixels, -1, 1)})
        return batches

    def reference(batch: Batch) -> npt.NDArray[np.float32]:
        def original(pixel_values: torch.Tensor) -> torch.Tensor:
            if features == "head":
                pooled: torch.Tensor = model._avg_pooling(model.extract_features(pixel_values)).flatten(1)
                return pooled
            return _last_block(model, pixel_values).mean((2, 3))

        return library.run(original, **batch)

    def pooled(network: Any, pixel_values: torch.Tensor) -> torch.Tensor:
        states = _last_block(network, pixel_values)
        if features == "head":
            states = network._swish(network._bn1(network._conv_head(states)))
        return states.mean((2, 3))

    return Graph(
        tower="image",
        file="image.onnx",
        module=library.tower(model, pooled),
        inputs={"pixel_values": ("n", 3, *size)},
        output="embedding",
        output_axes=("n", dimension),
        example=examples,
        collate=library.stack,
        reference=reference,
    )


def _last_block(network: Any, pixel_values: torch.Tensor) -> torch.Tensor:
    """Return what the last block gives, shape (n, 320, height / 32, width / 32)."""
    states: torch.Tensor = network._swish(network._bn0(network._conv_stem(pixel_values)))
    for block in network._blocks:
        states = block(states)
    return states


ARCHITECTURE = EfficientNetLite()
