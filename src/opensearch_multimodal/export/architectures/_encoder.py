"""Language models that attend both ways, as a part of a larger graph."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Encoder"]


class Encoder(nn.Module):
    """An encoder of transformers without its token table.

    Args:
        model: such as ModernBertModel.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return the states (n, t, d) after the last layer for embeddings (n, t, d) and their mask (n, t)."""
        return self.model(inputs_embeds=states, attention_mask=mask).last_hidden_state
