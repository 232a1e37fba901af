"""EfficientNet-Lite: a small convolutional network by whose features pages that look alike are found."""

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

__all__ = ["ARCHITECTURE", "EfficientNetLite"]


@dataclass(frozen=True)
class EfficientNetLite:
    """EfficientNet-Lite (Tan and Le, 2019, arXiv:1905.11946), as the package ``efficientnet-lite-pytorch``.

    It was trained to name what a photograph shows, and has no text tower: pages are found by pages. What it
    says of a page as a whole is much the same for all pages; where on the page its features are stronger or
    weaker is not. So the vector is the mean of the features in each cell of a coarse grid, less the mean of
    the cells. ``benchmarks/look_alike.py`` has the numbers by which the defaults were chosen.

    Attributes:
        size: (height, width) in pixels, multiples of 32.
        resize: how a page gets that size.
        block: the block whose features are taken; None takes those of the classifier, after the last one.
        cells: (rows, columns) of the grid; one cell is the mean over the whole page.
        centred: whether the mean of the cells is taken off.
    """

    size: tuple[int, int] = (224, 224)
    resize: Literal["stretch", "crop", "pad"] = "stretch"
    block: int | None = 10
    cells: tuple[int, int] = (3, 3)
    centred: bool = True

    name: ClassVar[str] = "EfficientNet-Lite"
    model_types: ClassVar[frozenset[str]] = frozenset({"efficientnet_lite"})
    kinds: ClassVar[tuple[Kind, ...]] = ("dense",)

    def plan(self, source: Source, options: ExportOptions) -> Plan:
        """Make its features a model for images; see `Architecture.plan`."""
        library.refuse(options, self.name, "pooling", "max_tokens", "query_prefix", "passage_prefix")
        model = _load(source)
        norm = model._bn1 if self.block is None else model._blocks[self.block]._bn2
        dimension = norm.num_features * self.cells[0] * self.cells[1]
        return Plan(
            kind=options.kind,
            mrl_dimensions=library.cut(options),
            dimension=dimension,
            graphs=(self._graph(model, library.on(model, options.device), dimension),),
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
            notes=("The network was trained on photographs. Its vectors say where a page has what.",),
        )

    def _graph(self, model: Any, original: Any, dimension: int) -> Graph:
        return Graph(
            tower="image",
            file="image.onnx",
            module=library.tower(model, self._encode),
            inputs={"pixel_values": ("n", 3, *self.size)},
            output="embedding",
            output_axes=("n", dimension),
            example=self._examples,
            collate=library.stack,
            reference=lambda batch: library.original(original, self._original, batch),
        )

    def _examples(self, rng: np.random.Generator, count: int) -> list[Batch]:
        """Return blocks of grey, which are nearer to a page than noise is."""
        batches: list[Batch] = []
        for _ in range(count):
            coarse = rng.uniform(-1, 1, (1, 3, self.size[0] // 16, self.size[1] // 16)).astype(np.float32)
            fine = rng.uniform(-0.3, 0.3, (1, 3, *self.size)).astype(np.float32)
            pixels = np.repeat(np.repeat(coarse, 16, axis=2), 16, axis=3) + fine
            batches.append({"pixel_values": np.clip(pixels, -1, 1)})
        return batches

    def _encode(self, network: Any, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return the vectors, shape (n, cells * channels), of pixels, shape (n, 3, height, width)."""
        import torch

        states = network._swish(network._bn0(network._conv_stem(pixel_values)))
        for block in network._blocks if self.block is None else network._blocks[: self.block + 1]:
            states = block(states)
        if self.block is None:
            states = network._swish(network._bn1(network._conv_head(states)))
        stride = 2 ** round(np.log2(self.size[0] / int(states.shape[2])))
        weights = torch.from_numpy(
            np.kron(
                _shares(self.size[0] // stride, self.cells[0]), _shares(self.size[1] // stride, self.cells[1])
            )
        )
        pooled = weights @ states.flatten(2).transpose(1, 2)
        if self.centred:
            pooled = pooled - pooled.mean(1, keepdim=True)
        return pooled.flatten(1)

    def _original(self, network: Any, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return the same by what the package and PyTorch have for it."""
        import torch

        kept: list[torch.Tensor] = []
        if self.block is None:
            kept.append(network.extract_features(pixel_values))
        else:
            hook = network._blocks[self.block].register_forward_hook(lambda _, __, out: kept.append(out))
            network(pixel_values)
            hook.remove()
        pooled = torch.nn.functional.adaptive_avg_pool2d(kept[0], self.cells).flatten(2)
        if self.centred:
            pooled = pooled - pooled.mean(2, keepdim=True)
        return pooled.transpose(1, 2).flatten(1)


def _load(source: Source) -> Any:
    """Return the network with its weights, in evaluation mode."""
    import torch

    from ..packages import PackagedSource

    if not isinstance(source, PackagedSource):
        raise InvalidInput(
            f"{source.folder}: an EfficientNet-Lite is exported by its package's name: efficientnet-lite0"
        )
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name(source.config["variant"])
    try:
        model.load_state_dict(torch.load(source.file, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises many kinds
        reason = " ".join(str(error).split())[:200]
        raise InvalidInput(f"weights: {source.file} cannot be loaded: {reason}") from None
    return model.eval()


def _shares(length: int, cells: int) -> npt.NDArray[np.float32]:
    """Return how much of each cell's mean each of ``length`` positions is, shape (cells, length).

    As PyTorch's adaptive pooling cuts them: cells may share a position.
    """
    shares = np.zeros((cells, length), dtype=np.float32)
    for cell in range(cells):
        start, end = cell * length // cells, -(-(cell + 1) * length // cells)
        shares[cell, start:end] = 1 / (end - start)
    return shares


ARCHITECTURE = EfficientNetLite()
