"""CLIP: a causal text tower that is read at the end-of-text token, and a ViT, each with a projection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...errors import InvalidInput
from ...models import Kind
from ..graphs import Batch, ExportOptions, Graph, Plan
from . import _library as library

if TYPE_CHECKING:
    import torch

    from ..source import Source
    from ..tokens import SourceTokenizer

__all__ = ["ARCHITECTURE", "Clip"]


class Clip:
    """CLIP (Radford and others, 2021, arXiv:2103.00020), as transformers' ``CLIPModel``."""

    name = "CLIP"
    model_types: ClassVar[frozenset[str]] = frozenset({"clip"})
    kinds: ClassVar[tuple[Kind, ...]] = ("dense",)

    def plan(self, source: Source, options: ExportOptions) -> Plan:
        """Take a CLIP apart in its two towers; see `Architecture.plan`."""
        from transformers import CLIPModel

        library.refuse(options, self.name, "pooling")
        model = source.model(CLIPModel.from_pretrained)
        original = library.on(model, options.device)
        config = model.config
        tokenizer = source.tokenizer(config.text_config.vocab_size)
        limit = min(options.max_tokens or 512, config.text_config.max_position_embeddings)
        side = (config.vision_config.image_size,) * 2
        return Plan(
            kind=options.kind,
            mrl_dimensions=library.cut(options),
            dimension=config.projection_dim,
            graphs=(
                _text_graph(model, original, tokenizer, limit),
                library.picture_graph(model, original, side, config.projection_dim),
            ),
            text={
                "tokenizer": "tokenizer.json",
                "pooling": "none",
                "query_prefix": options.query_prefix or "",
                "passage_prefix": options.passage_prefix or "",
                "max_query_tokens": limit,
                "max_passage_tokens": limit,
                "long_input": "truncate",
            },
            image={
                "pooling": "none",
                **library.image_settings(library.image_processor(source.folder), side),
            },
            files={"tokenizer.json": tokenizer.content},
            notes=tokenizer.notes,
        )


def _text_graph(model: Any, original: Any, tokenizer: SourceTokenizer, limit: int) -> Graph:
    end = model.config.text_config.eos_token_id
    example = tokenizer.tokenizer.encode("a").ids
    # A configuration that says 2 is older than this setting: then the highest id is where the text ends.
    if end not in (example[-1], 2) or (end == 2 and example[-1] < max(example)):
        raise InvalidInput(
            f"tokenizer: a text ends in token {example[-1]}, the model's configuration says {end}: it is not "
            "the model's tokenizer"
        )
    ids = library.plain_ids(tokenizer.content, model.config.text_config.vocab_size)
    ids = ids[ids < example[-1]] if end == 2 else ids[ids != end]

    def examples(rng: np.random.Generator, count: int) -> list[Batch]:
        lengths = rng.integers(3, limit + 1, count)
        return library.random_sequences(rng, lengths, ids, (example[:1], example[-1:]))

    def features(clip: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        return clip.get_text_features(input_ids=input_ids, attention_mask=attention_mask).pooler_output

    return Graph(
        tower="text",
        file="text.onnx",
        module=library.tower(model, features),
        inputs={"input_ids": ("n", "t"), "attention_mask": ("n", "t")},
        output="embedding",
        output_axes=("n", model.config.projection_dim),
        example=examples,
        collate=library.pad_texts,
        reference=lambda batch: library.original(original, features, batch),
        widen=library.widen_texts(limit),
    )


ARCHITECTURE = Clip()
