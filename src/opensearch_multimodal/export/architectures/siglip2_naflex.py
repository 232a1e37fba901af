"""SigLIP2 NaFlex: images keep their shape, as patches whose position embeddings are resized to their grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from ...errors import InvalidInput
from ...models import Kind
from ..graphs import Batch, ExportOptions, Graph, Plan
from . import _library as library
from .siglip import text_parts, text_tokenizer

if TYPE_CHECKING:
    import torch

    from ..source import Source

__all__ = ["ARCHITECTURE", "Siglip2NaFlex"]


class Siglip2NaFlex:
    """SigLIP2 NaFlex (Tschannen and others, 2025, arXiv:2502.14786), as transformers' ``Siglip2Model``."""

    name = "SigLIP2 NaFlex"
    model_types: ClassVar[frozenset[str]] = frozenset({"siglip2"})
    kinds: ClassVar[tuple[Kind, ...]] = ("dense",)

    def plan(self, source: Source, options: ExportOptions) -> Plan:
        """Take a SigLIP2 apart in its two towers; see `Architecture.plan`."""
        from transformers import Siglip2Model

        library.refuse(options, self.name, "pooling")
        model = source.model(Siglip2Model.from_pretrained)
        tokenizer, content = text_tokenizer(source.folder)
        config = model.config.vision_config
        if not getattr(config, "vision_use_head", True):
            raise InvalidInput(f"{source.folder}: its image tower has no pooling head, so it gives no vector")
        processor = library.image_processor(source.folder)
        if processor.patch_size != config.patch_size:
            raise InvalidInput(
                f"image processor: patch_size {processor.patch_size}, the model's configuration says "
                f"{config.patch_size}"
            )
        original = library.on(model, options.device)
        text, settings, notes = text_parts(model, original, tokenizer, content, options)
        return Plan(
            kind=options.kind,
            mrl_dimensions=library.cut(options),
            dimension=config.hidden_size,
            graphs=(text, _image_graph(model, original, processor.max_num_patches)),
            text=settings,
            image={
                "pooling": "none",
                "layout": "naflex",
                **library.image_settings(processor),
                "grid": {
                    "patch_size": config.patch_size,
                    "max_patches": processor.max_num_patches,
                    "position_side": model.vision_model.embeddings.position_embedding_size,
                },
            },
            files={"tokenizer.json": content},
            notes=notes,
        )


def _image_graph(model: Any, original: Any, most: int) -> Graph:
    config = model.config.vision_config
    side = model.vision_model.embeddings.position_embedding_size
    values = config.num_channels * config.patch_size**2

    def examples(rng: np.random.Generator, count: int) -> list[Batch]:
        batches: list[Batch] = []
        for _ in range(count):
            rows = int(rng.integers(1, min(most // 2, 3 * side) + 1))
            # PyTorch's antialiased resize to one column repeats the first row: no page is so slim.
            columns = int(rng.integers(2, min(most // rows, 3 * side) + 1))
            patches = rng.standard_normal((1, rows * columns, values), dtype=np.float32)
            batches.append(
                {
                    "patches": patches,
                    "patch_mask": np.ones(patches.shape[:2], dtype=np.int64),
                    **_weights(side, rows, columns),
                }
            )
        return batches

    def reference(batch: Batch) -> npt.NDArray[np.float32]:
        return library.original(
            original,
            lambda siglip, **inputs: siglip.get_image_features(**inputs).pooler_output,
            {
                "pixel_values": batch["patches"],
                "pixel_attention_mask": batch["patch_mask"],
                "spatial_shapes": np.array([_shape_of(side, batch)], dtype=np.int64),
            },
        )

    return Graph(
        tower="image",
        file="image.onnx",
        module=library.tower(model.vision_model, _encode),
        inputs={
            "patches": ("n", "p", values),
            "patch_mask": ("n", "p"),
            "row_weights": ("n", "p", side),
            "column_weights": ("n", "p", side),
        },
        output="embedding",
        output_axes=("n", config.hidden_size),
        example=examples,
        collate=_collate,
        reference=reference,
        widen=lambda batch: _collate([batch], more=5),
    )


def _encode(
    tower: Any,
    patches: torch.Tensor,
    patch_mask: torch.Tensor,
    row_weights: torch.Tensor,
    column_weights: torch.Tensor,
) -> torch.Tensor:
    """Run the image tower with position embeddings from the weights of its table's rows and columns.

    Args:
        tower: ``Siglip2VisionModel``.
        patches: shape (n, p, channels * side * side), float32.
        patch_mask: shape (n, p), 1 for a patch, 0 for padding.
        row_weights: shape (n, p, g), float32.
        column_weights: shape (n, p, g), float32.

    Returns:
        Shape (n, d).
    """
    from transformers.masking_utils import create_bidirectional_mask

    table = tower.embeddings.position_embedding.weight
    cells = (row_weights[:, :, :, None] * column_weights[:, :, None, :]).flatten(2)
    states = tower.embeddings.patch_embedding(patches) + cells @ table
    mask = create_bidirectional_mask(config=tower.config, inputs_embeds=states, attention_mask=patch_mask)
    states = tower.encoder(inputs_embeds=states, attention_mask=mask).last_hidden_state
    return _pool(tower.head, tower.post_layernorm(states), patch_mask)


def _pool(head: Any, states: torch.Tensor, patch_mask: torch.Tensor) -> torch.Tensor:
    """Run the attention of one learnt query over the patches.

    PyTorch's own ``MultiheadAttention`` writes the number of patches into a traced graph.

    Args:
        head: ``Siglip2MultiheadAttentionPoolingHead``.
        states: shape (n, p, d), float32.
        patch_mask: shape (n, p), 1 for a patch, 0 for padding.

    Returns:
        Shape (n, d).
    """
    from torch.nn import functional

    attention = head.attention
    weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
    query, key, value = (
        functional.linear(tokens, weight, bias)
        .unflatten(-1, (attention.num_heads, attention.head_dim))
        .transpose(1, 2)
        for tokens, weight, bias in zip((head.probe, states, states), weights, biases, strict=True)
    )
    scores = (query * attention.head_dim**-0.5) @ key.transpose(2, 3)
    scores = scores.masked_fill(patch_mask[:, None, None, :] == 0, float("-inf"))
    pooled = attention.out_proj((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))
    final: torch.Tensor = (pooled + head.mlp(head.layernorm(pooled)))[:, 0]
    return final


def _collate(batches: Sequence[Batch], more: int = 0) -> Batch:
    longest = max(batch["patches"].shape[1] for batch in batches) + more
    return {
        name: np.concatenate(
            [
                np.pad(
                    batch[name],
                    ((0, 0), (0, longest - batch[name].shape[1])) + ((0, 0),) * (batch[name].ndim - 2),
                )
                for batch in batches
            ]
        )
        for name in ("patches", "patch_mask", "row_weights", "column_weights")
    }


def _weights(side: int, rows: int, columns: int) -> Batch:
    """Return the weights of each patch of a grid, shape (1, rows * columns, side) each."""
    return {
        "row_weights": np.repeat(_resize_weights(side, rows), columns, axis=0)[None],
        "column_weights": np.tile(_resize_weights(side, columns), (rows, 1))[None],
    }


def _resize_weights(size: int, target: int) -> npt.NDArray[np.float32]:
    """Return the matrix (target, size) by which PyTorch resizes a line: bilinear, antialiased."""
    import torch

    lines = torch.eye(size)[None, None]
    resized = torch.nn.functional.interpolate(
        lines, size=(target, size), mode="bilinear", align_corners=False, antialias=True
    )
    return np.asarray(resized[0, 0].numpy(), dtype=np.float32)


def _shape_of(side: int, batch: Batch) -> tuple[int, int]:
    """Return the (rows, columns) of the one grid in a batch, which its weights tell."""
    count = batch["patches"].shape[1]
    for rows in range(1, count + 1):
        if count % rows == 0:
            found = _weights(side, rows, count // rows)
            if all(np.allclose(found[name], batch[name], atol=1e-6) for name in found):
                return rows, count // rows
    raise ValueError("the weights of a batch belong to no grid")


ARCHITECTURE = Siglip2NaFlex()
