"""Text towers as modules of torch; importing this imports torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..modules import Head

__all__ = ["EncoderModule", "HeadModule", "PairModule"]

_ACTIVATIONS = {"identity": nn.Identity, "tanh": nn.Tanh, "relu": nn.ReLU, "gelu": nn.GELU}


class HeadModule(nn.Module):
    """Pooling, Dense layers and unit length on token states."""

    def __init__(self, head: Head) -> None:
        """Take the weights of a head."""
        super().__init__()
        self.pooling = head.pooling or "none"
        self.normalize = head.normalize
        layers: list[nn.Module] = []
        for dense in head.layers:
            out, into = dense.weight.shape
            layer = nn.Linear(into, out, bias=dense.bias is not None)
            layer.weight.data = torch.from_numpy(dense.weight.copy())
            if dense.bias is not None:
                layer.bias.data = torch.from_numpy(dense.bias.copy())
            layers += [layer, _ACTIVATIONS[dense.activation]()]
        self.layers = nn.Sequential(*layers)

    def forward(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        """Return (n, d), or (n, t, d) where nothing is pooled, for states (n, t, hidden) and mask (n, t)."""
        vectors = self.layers(self._pooled(states, attention_mask))
        if self.normalize:
            vectors = vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-12)
        return vectors

    def _pooled(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        kept = attention_mask.unsqueeze(-1) > 0
        if self.pooling == "cls":
            return states[:, 0]
        if self.pooling == "mean":  # padding can be NaN: it is left out, not multiplied by 0
            total = torch.where(kept, states, torch.zeros_like(states)).sum(dim=1)
            return total / attention_mask.sum(dim=1, keepdim=True).to(states.dtype)
        if self.pooling == "last":
            last = attention_mask.sum(dim=1) - 1
            index = last[:, None, None].expand(-1, 1, states.shape[-1])
            return states.gather(1, index).squeeze(1)
        if self.pooling == "max":
            return torch.where(kept, states, torch.full_like(states, -1e30)).amax(dim=1)
        return states


class EncoderModule(nn.Module):
    """A transformer and its head."""

    def __init__(self, model: Any, head: Head) -> None:
        """Keep both."""
        super().__init__()
        self.model = model
        self.head = HeadModule(head)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return vectors for ids and mask, both (n, t), int64."""
        states = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return self.head(states, attention_mask)


class PairModule(nn.Module):
    """A classifier of pairs."""

    def __init__(self, model: Any) -> None:
        """Keep the model."""
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Return logits (n, labels) for ids, mask and maybe types, all (n, t), int64."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        return self.model(input_ids=input_ids, attention_mask=attention_mask, **types).logits
