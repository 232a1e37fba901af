"""Causal language models (Qwen2, Qwen3, Llama) as modules that export with any batch and sequence length.

They hold the weights of transformers' own modules, and calculate what those calculate, on right-padded
batches: a token never attends to what follows it, so padding changes nothing and needs no mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...errors import InvalidInput

__all__ = ["MASKED", "Decoder", "Head", "RMSNorm", "TextGraph", "attend", "placed", "turned", "turns"]

MASKED = -30_000.0
"""Added to a score that must not count. A float16 holds it, with any score added."""


class RMSNorm(nn.Module):
    """Root mean square normalization, written as ONNX Runtime recognises it."""

    def __init__(self, original: nn.Module) -> None:
        super().__init__()
        self.weight = original.weight
        self.epsilon = original.variance_epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` (…, d) divided by its root mean square and scaled by the weights."""
        return x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * self.weight


class Decoder(nn.Module):
    """A causal language model without its token table: states in, normalised states out.

    Args:
        model: transformers' text model: ``layers``, ``norm``, ``rotary_emb`` and ``config``.
        axes: which of the three axes of positions each rotary frequency turns by, as many as half a head has
            components; None where there is one axis.

    Raises:
        InvalidInput: its positions depend on the length of the text, or it attends within a sliding window.
    """

    def __init__(self, model: nn.Module, axes: Sequence[int] | None = None) -> None:
        super().__init__()
        rotary = model.rotary_emb
        if rotary.rope_type in ("dynamic", "longrope"):
            raise InvalidInput(
                f"rope_type: positions of type '{rotary.rope_type}' depend on the length of a text and "
                "cannot be exported"
            )
        if "sliding_attention" in (getattr(model.config, "layer_types", None) or ()):
            raise InvalidInput(
                "layer_types: a language model with sliding window attention cannot be exported"
            )
        frequencies = rotary.inv_freq.detach().float()
        turned = torch.zeros(1, len(frequencies)) if axes is None else torch.zeros(3, len(frequencies))
        turned[list(axes) if axes is not None else 0, torch.arange(len(frequencies))] = frequencies
        self.register_buffer("frequencies", turned, persistent=False)
        self.scaling = float(rotary.attention_scaling)
        self.layers = nn.ModuleList(_Layer(layer) for layer in model.layers)
        self.norm = RMSNorm(model.norm)

    def forward(
        self,
        states: Tensor,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        added: Sequence[Tensor] = (),
    ) -> Tensor:
        """Return the states after the last layer.

        Args:
            states: (n, t, d): the token embeddings, with image features in their places.
            mask: not needed; other language models want to know what is padding.
            positions: (axes, n, t), int64; None for 0, 1, 2, …
            added: (n, t, d) each: added to the states after the first layers.

        Returns:
            (n, t, d). Rows of padding hold anything finite.
        """
        order = torch.arange(states.shape[1], device=states.device)
        if positions is None:
            angles = order[None, :, None].float() * self.frequencies.sum(0)
        else:
            angles = (positions.unsqueeze(-1).float() * self.frequencies[:, None, None]).sum(0)
        cosine, sine = turns(angles, self.scaling)
        bias = (order[None, :] > order[:, None]).float() * MASKED
        for number, layer in enumerate(self.layers):
            states = layer(states, cosine, sine, bias)
            if number < len(added):
                states = states + added[number]
        return self.norm(states)


class _Layer(nn.Module):
    def __init__(self, original: nn.Module) -> None:
        super().__init__()
        attention = original.self_attn
        self.before = RMSNorm(original.input_layernorm)
        self.after = RMSNorm(original.post_attention_layernorm)
        self.query, self.key, self.value = attention.q_proj, attention.k_proj, attention.v_proj
        self.out, self.mlp = attention.o_proj, original.mlp
        self.width = attention.head_dim
        self.groups = attention.num_key_value_groups
        self.scale = attention.scaling
        self.query_norm, self.key_norm = (
            RMSNorm(getattr(attention, name)) if hasattr(attention, name) else nn.Identity()
            for name in ("q_norm", "k_norm")
        )

    def forward(self, states: Tensor, cosine: Tensor, sine: Tensor, bias: Tensor) -> Tensor:
        n, t = states.shape[0], states.shape[1]
        normed = self.before(states)
        query = self.query_norm(self.query(normed).view(n, t, -1, self.width))
        key = self.key_norm(self.key(normed).view(n, t, -1, self.width))
        value = self.value(normed).view(n, t, -1, self.width).transpose(1, 2)
        query = turned(query, cosine, sine) * self.scale
        key = turned(key, cosine, sine).transpose(1, 2)
        # The query heads that share a key head lie beside each other: one product serves them all.
        query = query.view(n, t, -1, self.groups, self.width).permute(0, 2, 3, 1, 4)
        scores = query.reshape(n, -1, self.groups * t, self.width) @ key.transpose(-1, -2)
        weights = torch.softmax(scores.view(n, -1, self.groups, t, t) + bias, dim=-1)
        mixed = weights.view(n, -1, self.groups * t, t) @ value
        mixed = mixed.view(n, -1, self.groups, t, self.width).permute(0, 3, 1, 2, 4)
        states = states + self.out(mixed.reshape(n, t, -1))
        return states + self.mlp(self.after(states))


def turns(angles: Tensor, scaling: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return the cosines and the signed sines of angles (n, t, w / 2), each (n, t, 1, w)."""
    cosine, sine = angles.cos() * scaling, angles.sin() * scaling
    return torch.cat((cosine, cosine), dim=-1).unsqueeze(2), torch.cat((-sine, sine), dim=-1).unsqueeze(2)


def turned(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn every pair of components (i, i + w / 2) of ``x`` (n, t, heads, w) by its angle."""
    half = x.shape[-1] // 2
    return x * cosine + torch.cat((x[..., half:], x[..., :half]), dim=-1) * sine


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """Return softmax(q kᵀ + bias) v; ``query`` is scaled already, all are (n, heads, rows, w)."""
    scores = query @ key.transpose(-1, -2)
    return torch.softmax(scores if bias is None else scores + bias, dim=-1) @ value


def placed(features: Tensor, numbers: Tensor, is_image: Tensor) -> Tensor:
    """Return the image feature of every token, zero where a token is none.

    Args:
        features: (rows, d).
        numbers: (n, t), int64: the row for each token.
        is_image: (n, t), bool.
    """
    return features[numbers] * is_image.unsqueeze(-1).to(features.dtype)


def _last_token(states: Tensor, mask: Tensor) -> Tensor:
    """Return the states (n, d) of the last tokens that are no padding; ``mask`` (n, t) is int64."""
    n, t = states.shape[0], states.shape[1]
    rows = torch.arange(n, device=states.device) * t + mask.sum(1) - 1
    return states.reshape(-1, states.shape[2])[rows]


def _unit(x: Tensor) -> Tensor:
    """Return ``x`` (…, d) with its last axis scaled to unit length."""
    return x / x.norm(dim=-1, keepdim=True).clamp(min=1e-12)


class Head(nn.Module):
    """From the states of a language model to unit vectors: all of them projected, or the last one.

    Args:
        projection: the linear layer of a multi-vector model; None for the last token's own state.
    """

    def __init__(self, projection: nn.Module | None) -> None:
        super().__init__()
        self.projection = projection

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return (n, t, d), zero in rows of padding, or (n, d); ``states`` is (n, t, h), ``mask`` (n, t)."""
        if self.projection is None:
            return _unit(_last_token(states, mask))
        return _unit(self.projection(states)) * mask.unsqueeze(-1).to(states.dtype)


class TextGraph(nn.Module):
    """Texts in, vectors out.

    Args:
        table: the token embeddings.
        language: the language model.
        head: the pooling.
    """

    def __init__(self, table: nn.Module, language: nn.Module, head: Head) -> None:
        super().__init__()
        self.table, self.language, self.head = table, language, head

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return what the head makes of texts (n, t)."""
        return self.head(self.language(self.table(input_ids), attention_mask), attention_mask)
