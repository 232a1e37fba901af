"""The graph of a model like Idefics3, which reads pages cut in tiles together with a prompt."""

from __future__ import annotations

import inspect

import torch
from torch import Tensor, nn

from ._decoder import Head, attend

__all__ = ["TileGraph", "TileTower"]


class TileTower(nn.Module):
    """Square tiles in, image features of the language model out.

    Args:
        model: Idefics3Model or ModernVBertModel of transformers.
        scale: so many patches by so many become one feature.
    """

    def __init__(self, model: nn.Module, scale: int) -> None:
        super().__init__()
        vision, config = model.vision_model, model.config.vision_config
        self.patches = vision.embeddings.patch_embedding
        self.side = config.image_size // config.patch_size
        self.register_buffer("positions", _positions(vision.embeddings, config.image_size), persistent=False)
        self.layers = nn.ModuleList(_Layer(layer) for layer in vision.encoder.layers)
        self.norm = vision.post_layernorm
        self.scale = scale
        projection = model.connector.modality_projection
        self.out = getattr(projection, "proj", projection)

    def forward(self, tiles: Tensor) -> Tensor:
        """Return features (tiles · rows, d) of tiles (tiles, 3, s, s), tile after tile."""
        states = self.patches(tiles).flatten(2).transpose(1, 2) + self.positions
        for layer in self.layers:
            states = layer(states)
        states = self.norm(states)
        # Squares of scale × scale patches become one feature.
        cut, width = self.side // self.scale, states.shape[2]
        states = states.view(-1, cut, self.scale, cut, self.scale * width).permute(0, 1, 3, 2, 4)
        return self.out(states.reshape(-1, self.scale * self.scale * width))


class TileGraph(nn.Module):
    """Tiles of pages and their prompts in, vectors out.

    Args:
        vision: the vision tower.
        table: the token embeddings.
        language: the language model.
        head: the pooling.
        image_token: the id that image features take the place of.
    """

    def __init__(
        self, vision: TileTower, table: nn.Module, language: nn.Module, head: Head, image_token: int
    ) -> None:
        super().__init__()
        self.vision, self.table, self.language, self.head = vision, table, language, head
        self.image_token = image_token

    def forward(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return what the head makes of pages.

        Args:
            pixel_values: (tiles, 3, s, s): the tiles of all pages, page after page.
            input_ids: (n, t), int64.
            attention_mask: (n, t), int64.
        """
        features = self.vision(pixel_values)
        is_image = input_ids == self.image_token
        # Features fill the image tokens of the whole batch in order.
        numbers = (is_image.reshape(-1).long().cumsum(0) - 1).clamp(min=0).view_as(input_ids)
        states = torch.where(is_image.unsqueeze(-1), features[numbers], self.table(input_ids))
        return self.head(self.language(states, attention_mask), attention_mask)


class _Layer(nn.Module):
    def __init__(self, original: nn.Module) -> None:
        super().__init__()
        attention = original.self_attn
        self.before, self.after, self.mlp = original.layer_norm1, original.layer_norm2, original.mlp
        self.query, self.key, self.value = attention.q_proj, attention.k_proj, attention.v_proj
        self.out = attention.out_proj
        self.width, self.scale = attention.head_dim, attention.scale

    def forward(self, states: Tensor) -> Tensor:
        n, p, d = states.shape[0], states.shape[1], states.shape[2]
        normed = self.before(states)
        query, key, value = (
            part(normed).view(n, p, -1, self.width).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        mixed = attend(query * self.scale, key, value, None).transpose(1, 2).reshape(n, p, d)
        states = states + self.out(mixed)
        return states + self.mlp(self.after(states))


def _positions(embeddings: nn.Module, size: int) -> Tensor:
    """Return the position embeddings (patches, d) that transformers adds to those of a whole tile."""
    taken: list[Tensor] = []
    hook = embeddings.position_embedding.register_forward_hook(lambda _module, _given, out: taken.append(out))
    side = size // embeddings.patch_size
    tile, whole = torch.zeros(1, 3, size, size), torch.ones(1, side, side, dtype=torch.bool)
    masked = "patch_attention_mask" in inspect.signature(embeddings.forward).parameters
    with torch.no_grad():
        embeddings(*(tile, whole) if masked else (tile,))
    hook.remove()
    return taken[0][0].detach()
