"""The vision towers of Qwen2-VL, Qwen2.5-VL and Qwen3-VL on padded batches of pages of any grid.

Where transformers packs the patches of all images behind each other and cuts attention by their lengths,
these take one row of patches per image, with everything that depends on the grid as an input.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ._decoder import MASKED, RMSNorm, attend, turned, turns

__all__ = ["VisionTower"]


class VisionTower(nn.Module):
    """Patches in, one feature per block of merged patches out.

    Args:
        visual: transformers' vision model.
    """

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        config = visual.config
        convolution = visual.patch_embed.proj
        self.embed = nn.Linear(convolution.weight[0].numel(), convolution.out_channels, bias=False)
        self.embed.weight = nn.Parameter(convolution.weight.detach().flatten(1), requires_grad=False)
        self.embed.bias = convolution.bias
        self.register_buffer("frequencies", visual.rotary_pos_emb.inv_freq.detach().float(), persistent=False)
        self.blocks = nn.ModuleList(_Block(block, config.num_heads) for block in visual.blocks)
        self.merger = visual.merger
        self.table = visual.pos_embed if hasattr(visual, "pos_embed") else None
        self.mergers: Any = getattr(visual, "deepstack_merger_list", None)
        self.deep = list(getattr(visual, "deepstack_visual_indexes", ()))
        self.full: set[int] | None = None
        if hasattr(visual, "fullatt_block_indexes"):
            self.full = set(visual.fullatt_block_indexes)
            merge = config.spatial_merge_size
            self.side = config.window_size // merge // config.patch_size * merge

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs, in the order of `forward`, without those it has no use for."""
        windows = ("patch_windows",) if self.full is not None else ()
        table = ("position_indices", "position_weights") if self.table is not None else ()
        return ("patches", "patch_mask", "patch_positions", *windows, *table)

    def forward(
        self, patches: Tensor, patch_mask: Tensor, patch_positions: Tensor, *others: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the image features (n · p / merged, d), and the features for the first decoder layers.

        Args:
            patches: (n, p, channels · frames · side²), blocks of merged patches behind each other.
            patch_mask: (n, p), int64.
            patch_positions: (n, p, 2), int64: row, column.
            *others: ``patch_windows`` (n, p), int64; or ``position_indices`` (n, p, 4), int64, and
                ``position_weights`` (n, p, 4).
        """
        states = self.embed(patches)
        if self.table is not None:
            indices, weights = others
            states = states + (self.table(indices) * weights.unsqueeze(-1)).sum(2)
        angles = (patch_positions.unsqueeze(-1).float() * self.frequencies).flatten(2)
        cosine, sine = turns(angles)
        everywhere = (1 - patch_mask[:, None, None, :]).float() * MASKED
        windows = None
        if self.full is not None:
            windows = _windows(others[0], patch_mask, patch_positions, self.side)
        deep = []
        for number, block in enumerate(self.blocks):
            if windows is None or self.full is None or number in self.full:
                states = block(states, cosine, sine, everywhere)
            else:
                states = block(states, cosine, sine, None, windows)
            if number in self.deep:
                deep.append(self.mergers[self.deep.index(number)](states.reshape(-1, states.shape[-1])))
        return self.merger(states.reshape(-1, states.shape[-1])), deep


class _Block(nn.Module):
    def __init__(self, original: nn.Module, heads: int) -> None:
        super().__init__()
        self.before, self.after = _norm(original.norm1), _norm(original.norm2)
        self.qkv, self.out, self.mlp = original.attn.qkv, original.attn.proj, original.mlp
        self.heads = heads
        self.scale = original.attn.scaling

    def forward(
        self,
        states: Tensor,
        cosine: Tensor,
        sine: Tensor,
        bias: Tensor | None,
        windows: tuple[Tensor, Tensor, Tensor] | None = None,
    ) -> Tensor:
        n, p, d = states.shape[0], states.shape[1], states.shape[2]
        width = d // self.heads
        query, key, value = self.qkv(self.before(states)).view(n, p, 3, self.heads, width).unbind(2)
        query = turned(query, cosine, sine) * self.scale
        key = turned(key, cosine, sine)
        if windows is None:
            mixed = attend(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), bias)
            mixed = mixed.transpose(1, 2).reshape(n, p, d)
        else:
            patches, places, inside = windows
            slots = inside.shape[-1]
            query, key, value = (
                part.reshape(n * p, -1)[patches].view(-1, slots, self.heads, width).transpose(1, 2)
                for part in (query, key, value)
            )
            mixed = attend(query, key, value, inside).transpose(1, 2).reshape(-1, d)[places].view(n, p, d)
        states = states + self.out(mixed)
        return states + self.mlp(self.after(states))


def _windows(numbers: Tensor, mask: Tensor, positions: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Lay patches out by windows of side² slots, those at the edges only partly filled.

    Args:
        numbers: (n, p), int64: the window of each patch.
        mask: (n, p), int64.
        positions: (n, p, 2), int64: row, column.
        side: of a window, in patches.

    Returns:
        Which patch of the batch is in each slot (n · windows · side²), in which slot of the batch each patch
        is (n · p), and what is added to the scores of a window's slots (n · windows, 1, 1, side²).
    """
    n, p, slots = numbers.shape[0], numbers.shape[1], side * side
    within = torch.remainder(positions[:, :, 0], side) * side + torch.remainder(positions[:, :, 1], side)
    count = ((numbers * mask).max() + 1) * slots
    place = torch.where(mask > 0, numbers * slots + within, count)
    # Padding goes to one slot more, which is cut off again; 0 is an empty slot.
    one_more = torch.zeros(n, count + 1, dtype=torch.int64, device=numbers.device)
    order = torch.arange(1, p + 1, device=numbers.device).expand(n, p)
    filled = one_more.scatter(1, place, order)[:, :-1]
    row = torch.arange(n, device=numbers.device).unsqueeze(1)
    patches = (filled - 1).clamp(min=0) + row * p
    inside = (filled == 0).float().view(-1, 1, 1, slots) * MASKED
    places = place * mask + row * count
    return patches.reshape(-1), places.reshape(-1), inside


def _norm(original: nn.Module) -> nn.Module:
    return RMSNorm(original) if hasattr(original, "variance_epsilon") else original
