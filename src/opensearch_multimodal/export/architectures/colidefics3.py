"""ColIdefics3 and ColSmol: late interaction over Idefics3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import InvalidInput
from ..graphs import ExportOptions, Plan

if TYPE_CHECKING:
    from ..source import Source

__all__ = ["ARCHITECTURE", "ColIdefics3"]

_PROMPT = "<|im_start|>User:<image>Describe the image.<end_of_utterance>\nAssistant:"
_AUGMENTATION = "<end_of_utterance>"
_TOKENS = 512
_DECODERS = ("llama", "mistral", "qwen2")


class ColIdefics3:
    """Models saved by colpali-engine with their adapter merged: Idefics3Model and a linear layer."""

    name = "ColIdefics3 family"
    model_types = frozenset({"idefics3"})
    kinds = ("multi_vector",)

    def plan(self, source: Source, options: ExportOptions) -> Plan:
        """Read the weights and take the model apart.

        Raises:
            InvalidInput: the folder is not a whole model of this architecture.
        """
        weight, bias = source.tensor("linear.weight"), source.tensor("linear.bias")
        if weight is None or bias is None:
            raise InvalidInput(
                f"weights: {source.folder} has no linear.weight and linear.bias: it is no ColIdefics3 model "
                "with its adapter merged"
            )
        from transformers import AutoModel

        from ._decoder import Decoder
        from ._examples import on
        from ._idefics3 import TileTower
        from ._tiles import tile_graphs, tile_prompt

        model: Any = source.model(AutoModel.from_pretrained)
        kind = model.config.text_config.model_type
        if kind not in _DECODERS:
            raise InvalidInput(
                f"text_config: a language model of type '{kind}' cannot be exported, only "
                f"{', '.join(_DECODERS)}"
            )
        prompt = tile_prompt(source, model, model.config.scale_factor, _PROMPT)
        whole, projection = on(model, options.device), _projection(weight, bias)
        last = on(projection, options.device)

        def vectors(given: dict[str, Any]) -> Any:
            projected = last(whole(**given, use_cache=False).last_hidden_state)
            return (projected / projected.norm(dim=-1, keepdim=True))[0]

        limit = options.max_tokens or _TOKENS
        graphs = tile_graphs(
            TileTower(model, model.config.scale_factor),
            (model, Decoder(model.text_model), projection),
            prompt,
            vectors,
            longest=limit,
            device=options.device,
        )
        return Plan(
            kind="multi_vector",
            dimension=int(weight.shape[0]),
            graphs=graphs,
            inputs=("image",),
            text={
                "tokenizer": "tokenizer.json",
                "pooling": "none",
                "query_prefix": options.query_prefix or "",
                "query_suffix": _AUGMENTATION * 10,
                "passage_prefix": options.passage_prefix or "",
                "max_query_tokens": limit,
                "max_passage_tokens": limit,
            },
            image=prompt.settings,
            files={"tokenizer.json": prompt.tokenizer.content},
            notes=prompt.tokenizer.notes,
        )


def _projection(weight: Any, bias: Any) -> Any:
    import torch

    layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias.copy_(torch.from_numpy(bias))
    return layer


ARCHITECTURE = ColIdefics3()
