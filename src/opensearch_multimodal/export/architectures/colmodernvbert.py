"""ColModernVBERT: late interaction over ModernVBERT, an encoder that attends both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..graphs import ExportOptions, Plan

if TYPE_CHECKING:
    from ..source import Source

__all__ = ["ARCHITECTURE", "ColModernVBert"]

_PROMPT = "<|begin_of_text|>User:<image>Describe the image.<end_of_utterance>\nAssistant:"
_AUGMENTATION = "<end_of_utterance>"
_TOKENS = 512


class ColModernVBert:
    """Models saved by transformers: ColModernVBertForRetrieval."""

    name = "ColModernVBERT"
    model_types = frozenset({"colmodernvbert"})
    kinds = ("multi_vector",)

    def plan(self, source: Source, options: ExportOptions) -> Plan:
        """Read the weights and take the model apart.

        Raises:
            InvalidInput: the folder is not a whole model of this architecture.
        """
        from transformers import ColModernVBertForRetrieval

        from ._encoder import Encoder
        from ._examples import on
        from ._idefics3 import TileTower
        from ._tiles import tile_graphs, tile_prompt

        model: Any = source.model(ColModernVBertForRetrieval.from_pretrained)
        scale = model.vlm.config.pixel_shuffle_factor
        processor = source.read("processor_config.json")
        prompt = tile_prompt(source, model.vlm, scale, processor.get("visual_prompt_prefix") or _PROMPT)
        original = on(model, options.device)

        def vectors(given: dict[str, Any]) -> Any:
            return original(**given).embeddings[0]

        limit = options.max_tokens or _TOKENS
        graphs = tile_graphs(
            TileTower(model.vlm, scale),
            (model.vlm, Encoder(model.vlm.text_model), model.embedding_proj_layer),
            prompt,
            vectors,
            longest=limit,
            device=options.device,
        )
        prefix = processor.get("query_prefix") or ""
        return Plan(
            kind="multi_vector",
            dimension=model.embedding_dim,
            graphs=graphs,
            inputs=("image",),
            text={
                "tokenizer": "tokenizer.json",
                "pooling": "none",
                "query_prefix": prefix if options.query_prefix is None else options.query_prefix,
                "query_suffix": _AUGMENTATION * 10,
                "passage_prefix": options.passage_prefix or "",
                "max_query_tokens": limit,
                "max_passage_tokens": limit,
            },
            image=prompt.settings,
            files={"tokenizer.json": prompt.tokenizer.content},
            notes=prompt.tokenizer.notes,
        )


ARCHITECTURE = ColModernVBert()
