"""ColQwen2, ColQwen2.5 and ColQwen3: late interaction over Qwen vision language models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import InvalidInput
from ..graphs import ExportOptions, Plan

if TYPE_CHECKING:
    from ..source import Source
    from ._qwen import Original

__all__ = ["ARCHITECTURE", "ColQwen"]

_PROMPT = (
    "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Describe the image.<|im_end|><|endoftext|>"
)
_AUGMENTATION = "<|endoftext|>"
_TOKENS = 512
_SEQUENTIAL = (
    "Tokens of a page have the positions of a text (0, 1, 2, …), as ColQwen2ForRetrieval of transformers "
    "computes them; colpali-engine gives image tokens positions in the grid of the page."
)
_ENGINE_QUERIES = (
    "Nothing stands before a query, as in colpali-engine since July 2025; before, it put 'Query: ' there: "
    "give --query-prefix 'Query: ' for a model that was trained so."
)


class ColQwen:
    """Models saved by transformers (``colqwen2``), or by colpali-engine with their adapter merged."""

    name = "ColQwen family"
    model_types = frozenset({"colqwen2", "qwen2_vl", "qwen2_5_vl", "qwen3_vl"})
    kinds = ("multi_vector",)

    def plan(self, source: Source, options: ExportOptions) -> Plan:
        """Read the weights and take the model apart.

        Raises:
            InvalidInput: the folder is not a whole model of this architecture.
        """
        from ._qwen import graphs, image_settings

        ours = source.config.get("model_type") == "colqwen2"
        original = _of_transformers(source, options.device) if ours else _of_engine(source, options.device)
        tokenizer = source.tokenizer(original.base.language_model.embed_tokens.num_embeddings)
        processor = source.read("processor_config.json")
        prompt = (processor.get("visual_prompt_prefix") if ours else None) or _PROMPT
        padding = source.read("tokenizer_config.json").get("pad_token") if ours else None
        token = (padding.get("content") if isinstance(padding, dict) else padding) or _AUGMENTATION
        prefix = (processor.get("query_prefix") or "Query: ") if ours else ""
        image = image_settings(source, original.base, prompt)
        limit = options.max_tokens or _TOKENS
        return Plan(
            kind="multi_vector",
            dimension=original.dimension,
            graphs=graphs(original, tokenizer, image, limit, options.device),
            inputs=("image",),
            text={
                "tokenizer": "tokenizer.json",
                "pooling": "none",
                "query_prefix": prefix if options.query_prefix is None else options.query_prefix,
                "query_suffix": token * 10 + ("\n" if ours else ""),
                "passage_prefix": options.passage_prefix or "",
                "max_query_tokens": limit,
                "max_passage_tokens": limit,
            },
            image=image,
            files={"tokenizer.json": tokenizer.content},
            notes=(*tokenizer.notes, *_notes(ours=ours, prefixed=options.query_prefix is not None)),
            own_prompts=not ours,
        )


def _notes(*, ours: bool, prefixed: bool) -> tuple[str, ...]:
    if ours:
        return (_SEQUENTIAL,)
    return () if prefixed else (_ENGINE_QUERIES,)


def _of_transformers(source: Source, device: str) -> Original:
    from transformers import ColQwen2ForRetrieval

    from ._examples import on
    from ._qwen import Original

    model: Any = source.model(ColQwen2ForRetrieval.from_pretrained)
    original = on(model, device)

    def texts(input_ids: Any, attention_mask: Any) -> Any:
        return original(input_ids=input_ids, attention_mask=attention_mask).embeddings[0]

    def pages(given: dict[str, Any]) -> Any:
        given = {name: value for name, value in given.items() if name != "mm_token_type_ids"}
        return original(**{**given, "pixel_values": given["pixel_values"][None]}).embeddings[0]

    return Original(model.vlm, model.embedding_proj_layer, texts, pages, True, model.embedding_dim)


def _of_engine(source: Source, device: str) -> Original:
    import torch
    from transformers import AutoModel

    from ._examples import on
    from ._qwen import Original

    weight, bias = source.tensor("custom_text_proj.weight"), source.tensor("custom_text_proj.bias")
    if weight is None or bias is None:
        raise InvalidInput(
            f"weights: {source.folder} has no custom_text_proj.weight and bias: it is no ColQwen model with "
            "its adapter merged; with --kind dense, the state of its last token is exported instead"
        )
    base: Any = source.model(AutoModel.from_pretrained)
    projection = torch.nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        projection.weight.copy_(torch.from_numpy(weight))
        projection.bias.copy_(torch.from_numpy(bias))

    original, last = on(base, device), on(projection, device)

    def vectors(**given: Any) -> Any:
        projected = last(original(**given, use_cache=False).last_hidden_state)
        return (projected / projected.norm(dim=-1, keepdim=True))[0]

    def texts(input_ids: Any, attention_mask: Any) -> Any:
        return vectors(input_ids=input_ids, attention_mask=attention_mask)

    def pages(given: dict[str, Any]) -> Any:
        return vectors(**given)

    return Original(base, projection, texts, pages, False, int(weight.shape[0]))


ARCHITECTURE = ColQwen()
