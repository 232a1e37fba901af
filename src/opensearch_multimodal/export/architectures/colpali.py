"""ColPali: PaliGemma reads a page with a prompt, or a query, and every token's state becomes a vector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from ...errors import InvalidInput
from ...models import Kind
from ..graphs import Batch, ExportOptions, Graph, Plan
from . import _library as library

if TYPE_CHECKING:
    import torch

    from ..source import Source

__all__ = ["ARCHITECTURE", "ColPali"]

_MOST_QUERY_TOKENS = 512
_ENGINE_NAMES = {r"^model\.(model\.)?": "vlm.", r"^custom_text_proj\.": "embedding_proj_layer."}
"""How colpali-engine names weights → how transformers does."""


class ColPali:
    """ColPali (Faysse and others, 2024, arXiv:2407.01449), on PaliGemma or PaliGemma 2.

    Two kinds of folders are read: transformers' ``ColPaliForRetrieval`` (``vidore/colpali-v1.3-hf``), and
    colpali-engine's ``ColPali`` with its adapter merged (``vidore/colpali-v1.3-merged``), whose
    configuration is a PaliGemma's. Both get the prompts of transformers' processor.
    """

    name = "ColPali"
    model_types: ClassVar[frozenset[str]] = frozenset({"colpali", "paligemma"})
    kinds: ClassVar[tuple[Kind, ...]] = ("multi_vector",)

    def plan(self, source: Source, options: ExportOptions) -> Plan:
        """Take a ColPali apart in queries and pages; see `Architecture.plan`."""
        library.refuse(options, self.name, "pooling", "passage_prefix")
        model = _load(source)
        original = library.on(model, options.device)
        processor = _processor(source, model)
        tokenizer, config = processor.tokenizer, model.config.vlm_config
        content = library.tokenizer_json(tokenizer)
        ids = library.plain_ids(content, config.text_config.vocab_size)
        side = (config.vision_config.image_size,) * 2
        prefix = processor.query_prefix if options.query_prefix is None else options.query_prefix
        limit = min(options.max_tokens or _MOST_QUERY_TOKENS, config.text_config.max_position_embeddings)
        return Plan(
            kind=options.kind,
            mrl_dimensions=library.cut(options),
            dimension=model.config.embedding_dim,
            graphs=(
                _text_graph(model, original, processor, ids, limit),
                _image_graph(model, original, processor, ids, side),
            ),
            text={
                "tokenizer": "tokenizer.json",
                "pooling": "none",
                "query_prefix": f"{tokenizer.bos_token}{prefix}",
                "query_suffix": f"{processor.query_augmentation_token * 10}\n",
                "max_query_tokens": limit,
                "max_passage_tokens": limit,
                "long_input": "truncate",
            },
            image={
                "pooling": "none",
                **library.image_settings(processor.image_processor, side),
                "prompt": {
                    "tokenizer": "tokenizer.json",
                    "text": f"{processor.image_token}{_prompt(processor)}",
                    "image_token": processor.image_token,
                    "image_tokens": processor.image_seq_length,
                    "add_special_tokens": False,
                },
            },
            files={"tokenizer.json": content},
            inputs=("image",),
        )


def _load(source: Source) -> Any:
    """Return the model as ``ColPaliForRetrieval``, whichever program wrote it."""
    from transformers import ColPaliConfig, ColPaliForRetrieval

    if source.config.get("model_type") == "colpali":
        return source.model(ColPaliForRetrieval.from_pretrained)
    projection = source.tensor("custom_text_proj.weight")
    if projection is None:
        raise InvalidInput(
            f"{source.folder}: a PaliGemma without ColPali's projection (custom_text_proj) gives no vectors "
            "to search by; an adapter is merged into its model before it is exported"
        )
    config = ColPaliConfig(vlm_config=source.config, embedding_dim=len(projection))
    return source.model(ColPaliForRetrieval.from_pretrained, config=config, key_mapping=dict(_ENGINE_NAMES))


def _processor(source: Source, model: Any) -> Any:
    """Return transformers' processor of ColPali around the folder's tokenizer and image processor."""
    from transformers import ColPaliProcessor

    images = library.image_processor(source.folder)
    vision = model.config.vlm_config.vision_config
    patches = (vision.image_size // vision.patch_size) ** 2
    if getattr(images, "image_seq_length", patches) != patches:
        raise InvalidInput(
            f"image processor: image_seq_length {images.image_seq_length}, the model gives {patches} vectors "
            "of an image"
        )
    images.image_seq_length = patches
    told = source.read("processor_config.json")
    chosen = {
        key: told[key] for key in ("visual_prompt_prefix", "query_prefix") if isinstance(told.get(key), str)
    }
    processor = ColPaliProcessor(images, library.load_tokenizer(source.folder), **chosen)
    if processor.image_token_id != model.config.vlm_config.image_token_id:
        raise InvalidInput(
            f"tokenizer: {processor.image_token} is token {processor.image_token_id}, the model's "
            f"configuration says {model.config.vlm_config.image_token_id}: it is not the model's tokenizer"
        )
    return processor


def _prompt(processor: Any) -> str:
    return f"{processor.tokenizer.bos_token}{processor.visual_prompt_prefix}\n"


def _text_graph(model: Any, original: Any, processor: Any, ids: npt.NDArray[np.int64], limit: int) -> Graph:
    tokenizer = processor.tokenizer
    tail = tokenizer(f"{processor.query_augmentation_token * 10}\n", add_special_tokens=False)["input_ids"]

    def examples(rng: np.random.Generator, count: int) -> list[Batch]:
        lengths = rng.integers(len(tail) + 3, min(limit, len(tail) + 60), count)
        return library.random_sequences(rng, lengths, ids, ([tokenizer.bos_token_id], tail))

    return Graph(
        tower="text",
        file="text.onnx",
        module=library.tower(
            model,
            lambda colpali, input_ids, attention_mask: (
                colpali(
                    input_ids=input_ids, attention_mask=attention_mask, token_type_ids=input_ids * 0
                ).embeddings
            ),
        ),
        inputs={"input_ids": ("n", "t"), "attention_mask": ("n", "t")},
        output="embeddings",
        output_axes=("n", "t", model.config.embedding_dim),
        example=examples,
        collate=library.pad_texts,
        reference=lambda batch: _original(original, batch),
        widen=library.widen_texts(limit),
    )


def _image_graph(
    model: Any, original: Any, processor: Any, ids: npt.NDArray[np.int64], side: tuple[int, int]
) -> Graph:
    patches = [processor.image_token_id] * processor.image_seq_length
    lead = [*patches, processor.tokenizer.bos_token_id]
    prompt = processor.tokenizer(_prompt(processor), add_special_tokens=False)["input_ids"]

    def examples(rng: np.random.Generator, count: int) -> list[Batch]:
        """Return images with the model's own prompt, and with others of other lengths."""
        sequences = library.random_sequences(
            rng, len(lead) + rng.integers(1, len(prompt) + 9, count), ids, (lead, [])
        )
        if sequences:
            own = np.array([[*patches, *prompt]], dtype=np.int64)
            sequences[0] = {"input_ids": own, "attention_mask": np.ones_like(own)}
        return [
            {"pixel_values": rng.standard_normal((1, 3, *side), dtype=np.float32), **sequence}
            for sequence in sequences
        ]

    return Graph(
        tower="image",
        file="image.onnx",
        module=library.tower(model, _encode_pages),
        inputs={"pixel_values": ("n", 3, *side), "input_ids": ("n", "t"), "attention_mask": ("n", "t")},
        output="embeddings",
        output_axes=("n", "t", model.config.embedding_dim),
        example=examples,
        collate=_collate,
        reference=lambda batch: _original(original, batch),
        widen=lambda batch: {
            **batch,
            **library.pad_texts([batch], batch["input_ids"].shape[1] + 7),
        },
    )


def _original(model: Any, batch: Batch) -> npt.NDArray[np.float32]:
    """Return the rows that the library gives for one query or page, without padding."""
    types = {"token_type_ids": np.zeros_like(batch["input_ids"])}
    return library.original(model, lambda colpali, **inputs: colpali(**inputs).embeddings[0], batch | types)


def _encode_pages(
    colpali: Any, pixel_values: torch.Tensor, input_ids: torch.Tensor, attention_mask: torch.Tensor
) -> torch.Tensor:
    """Put the vectors of each image in the places of its image tokens, and run the language model.

    Args:
        colpali: ``ColPaliForRetrieval``.
        pixel_values: shape (n, 3, height, width), float32.
        input_ids: shape (n, t), with as many image tokens as an image has patches.
        attention_mask: shape (n, t), 1 for a token, 0 for padding.

    Returns:
        Shape (n, t, d), unit rows, zeros for padding.
    """
    import torch

    vlm = colpali.vlm
    patches = vlm.get_image_features(pixel_values).pooler_output
    of_image = input_ids == vlm.config.image_token_id
    order = (of_image.long().cumsum(1) - 1).clamp(min=0, max=patches.shape[1] - 1)
    placed = torch.gather(patches, 1, order[:, :, None].expand(-1, -1, patches.shape[2]))
    words = vlm.get_input_embeddings()(input_ids.masked_fill(of_image, 0))
    embedded = torch.where(of_image[:, :, None], placed, words)
    with _plain_attention(vlm):
        states = vlm(
            inputs_embeds=embedded, attention_mask=attention_mask, token_type_ids=input_ids * 0
        ).last_hidden_state
    vectors = colpali.embedding_proj_layer(states)
    unit: torch.Tensor = vectors / vectors.norm(dim=-1, keepdim=True)
    return unit * attention_mask[:, :, None]


@contextmanager
def _plain_attention(vlm: Any) -> Iterator[None]:
    """Let a language model add its mask to the scores of a page's thousand tokens.

    PyTorch's fused attention becomes an ONNX graph that looks for NaN in every score and chooses between two
    numbers by a mask as large as the scores: a fourteenth of a page's time. Gemma 2 keeps it, because its two
    implementations differ (soft caps).
    """
    before = vlm.language_model.config._attn_implementation
    if getattr(vlm.language_model.config, "attn_logit_softcapping", None):
        yield
        return
    vlm.language_model.set_attn_implementation("eager")
    try:
        yield
    finally:
        vlm.language_model.set_attn_implementation(before)


def _collate(batches: Sequence[Batch]) -> Batch:
    pixels = np.concatenate([batch["pixel_values"] for batch in batches])
    return {"pixel_values": pixels, **library.pad_texts(batches)}


ARCHITECTURE = ColPali()
