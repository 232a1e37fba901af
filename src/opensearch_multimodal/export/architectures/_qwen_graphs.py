"""The graph of a Qwen vision language model that reads pages together with a prompt."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ._decoder import Decoder, Head, placed
from ._qwen_vision import VisionTower

__all__ = ["PageGraph", "axes_of"]


def axes_of(text_model: nn.Module) -> list[int]:
    """Return which of the axes (time, row, column) each rotary frequency turns by."""
    rotary = text_model.rotary_emb
    count = len(rotary.inv_freq)
    sections = list(rotary.mrope_section)
    if not text_model.config.model_type.startswith("qwen3"):
        return [number % 3 for number, section in enumerate(sections) for _ in range(section)]
    axes = [0] * count
    for axis in (1, 2):
        axes[axis : sections[axis] * 3 : 3] = [axis] * len(axes[axis : sections[axis] * 3 : 3])
    return axes


class PageGraph(nn.Module):
    """Pages with their prompts in, vectors out.

    Args:
        vision: the vision tower.
        table: the token embeddings.
        decoder: the language model.
        head: the pooling.
        image_token: the id that image features take the place of.
        sequential: positions are those of a text, whatever the token; else they are an input.
    """

    def __init__(
        self,
        vision: VisionTower,
        table: nn.Module,
        decoder: Decoder,
        head: Head,
        image_token: int,
        *,
        sequential: bool,
    ) -> None:
        super().__init__()
        self.vision, self.table, self.decoder, self.head = vision, table, decoder, head
        self.image_token = image_token
        self.sequential = sequential

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs, in the order of `forward`."""
        positions = () if self.sequential else ("position_ids",)
        return (*self.vision.inputs, "input_ids", "attention_mask", *positions)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return what the head makes of pages; `inputs` names what to give."""
        named = dict(zip(self.inputs, inputs, strict=True))
        features, deep = self.vision(*(named[name] for name in self.vision.inputs))
        ids, patches = named["input_ids"], named["patches"]
        is_image = ids == self.image_token
        # Features of one image fill the image tokens of its own row, in order.
        per_row = features.reshape(patches.shape[0], -1, features.shape[1]).shape[1]
        order = (is_image.long().cumsum(1) - 1).clamp(min=0)
        numbers = order + torch.arange(ids.shape[0], device=ids.device).unsqueeze(1) * per_row
        states = torch.where(is_image.unsqueeze(-1), features[numbers], self.table(ids))
        added = [placed(feature, numbers, is_image) for feature in deep]
        states = self.decoder(states, named["attention_mask"], named.get("position_ids"), added)
        return self.head(states, named["attention_mask"])
