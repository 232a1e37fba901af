"""Qwen vision language models whose last token's state is the vector: Qwen3-VL-Embedding, GME and others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import InvalidInput
from ..graphs import ExportOptions, Plan

if TYPE_CHECKING:
    from ..source import Source
    from ._qwen import Original

__all__ = ["ARCHITECTURE", "QwenEmbedding"]

_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
_GME_NOTE = (
    "Tokens of a page have the positions of a text (0, 1, 2, …), and the prompt and numbers of pixels are "
    "those of GME's own code."
)
_MATRYOSHKA = (64, 128, 256, 512, 1024, 2048)


@dataclass(frozen=True)
class _Recipe:
    """How a family of embedders writes its prompts.

    Attributes:
        instruction: of the system where the user gives none.
        ending: put behind the chat template; the vector is the state of its last token.
        sequential: whether the tokens of a page have the positions of a text.
        fewest: features of a page; None where the image processor says it.
        most: the same.
        tokens: the longest text.
        notes: for the report.
    """

    instruction: str
    ending: str = ""
    sequential: bool = False
    fewest: int | None = None
    most: int | None = None
    tokens: int = 8192
    notes: tuple[str, ...] = ()


_QWEN3 = _Recipe("Represent the user's input.")
_QWEN2 = _Recipe("You are a helpful assistant.")
_GME = _Recipe(
    "You are a helpful assistant.", "<|endoftext|>", True, 256, 1280, tokens=1800, notes=(_GME_NOTE,)
)


class QwenEmbedding:
    """Embedders of texts and pages with instructions in a chat template and last-token pooling.

    An option ``query_prefix`` or ``passage_prefix`` is the instruction of the system; one that has a special
    token such as ``<|im_start|>`` in it is the whole text before the query, and nothing but the ending of the
    chat template follows.
    """

    name = "Qwen-VL embedders"
    model_types = frozenset({"qwen2_vl", "qwen2_5_vl", "qwen3_vl"})
    kinds = ("dense",)

    def plan(self, source: Source, options: ExportOptions) -> Plan:
        """Read the weights and take the model apart.

        Raises:
            InvalidInput: the folder is not a whole model of this architecture, or its chat template fails.
        """
        from ._processor import chat
        from ._qwen import graphs, image_settings

        recipe = _recipe(source.config)
        original = _original(source, recipe, options.device)
        tokenizer = source.tokenizer(original.base.language_model.embed_tokens.num_embeddings)
        stored = source.read("config_sentence_transformers.json").get("prompts") or {}
        query = _instruction(options.query_prefix, stored.get("query"), recipe)
        passage = _instruction(options.passage_prefix, stored.get("document"), recipe)
        query_prefix, query_suffix = _around(source, query)
        passage_prefix, passage_suffix = _around(source, passage)
        prompt, _ = chat(source, recipe.instruction if "<|" in passage else passage, _IMAGE)
        side = (
            original.base.config.vision_config.patch_size
            * original.base.config.vision_config.spatial_merge_size
        )
        limits = (recipe.fewest * side**2, recipe.most * side**2) if recipe.fewest and recipe.most else None
        image = image_settings(source, original.base, prompt + recipe.ending, limits)
        limit = options.max_tokens or min(
            recipe.tokens, original.base.config.text_config.max_position_embeddings
        )
        return Plan(
            kind="dense",
            dimension=original.dimension,
            graphs=graphs(original, tokenizer, image, limit, options.device),
            text={
                "tokenizer": "tokenizer.json",
                "pooling": "none",
                "query_prefix": query_prefix,
                "query_suffix": query_suffix + recipe.ending,
                "passage_prefix": passage_prefix,
                "passage_suffix": passage_suffix + recipe.ending,
                "max_query_tokens": limit,
                "max_passage_tokens": limit,
            },
            image=image,
            files={"tokenizer.json": tokenizer.content},
            mrl_dimensions=_dimensions(source, options, original.dimension),
            notes=(*tokenizer.notes, *recipe.notes),
            processor_settings=(
                {"size": {"shortest_edge": limits[0], "longest_edge": limits[1]}} if limits else {}
            ),
        )


def _recipe(config: dict[str, Any]) -> _Recipe:
    if any("Gme" in str(name) for name in config.get("architectures") or ()):
        return _GME
    return _QWEN3 if config.get("model_type") == "qwen3_vl" else _QWEN2


def _instruction(given: str | None, stored: Any, recipe: _Recipe) -> str:
    if given is not None:
        return given
    return stored if isinstance(stored, str) and stored else recipe.instruction


def _around(source: Source, instruction: str) -> tuple[str, str]:
    from ._processor import chat

    if "<|" not in instruction:
        return chat(source, instruction, None)
    return instruction, chat(source, "", None)[1]


def _dimensions(source: Source, options: ExportOptions, dimension: int) -> tuple[int, ...]:
    """Return to how many components vectors may be cut: as asked, by config.json, or what the family says.

    Raises:
        InvalidInput: more are asked for than there are.
    """
    from ...models.hints import mrl_hint

    if options.mrl_dimensions is not None:
        if wrong := [value for value in options.mrl_dimensions if not 0 < value < dimension]:
            raise InvalidInput(
                f"mrl_dimension: {wrong[0]} is not below the dimension of the vectors, {dimension}"
            )
        return tuple(sorted(set(options.mrl_dimensions)))
    if hinted := mrl_hint(source.folder, dimension):
        return hinted
    named = f"{source.origin} {source.root.name}".lower()
    return tuple(size for size in _MATRYOSHKA if size < dimension) if "qwen3-vl-embedding" in named else ()


def _original(source: Source, recipe: _Recipe, device: str) -> Original:
    import torch
    from transformers import AutoModel

    from ._examples import on
    from ._qwen import Original

    base: Any = source.model(AutoModel.from_pretrained)
    original = on(base, device)

    def pooled(output: Any) -> Any:
        return torch.nn.functional.normalize(output.last_hidden_state[:, -1].float(), p=2, dim=1)

    def texts(input_ids: Any, attention_mask: Any) -> Any:
        return pooled(original(input_ids=input_ids, attention_mask=attention_mask, use_cache=False))

    def pages(given: dict[str, Any]) -> Any:
        return pooled(original(**given, use_cache=False))

    def sequential(given: dict[str, Any]) -> Any:
        embedded = original.get_input_embeddings()(given["input_ids"])
        features = original.visual(given["pixel_values"], grid_thw=given["image_grid_thw"]).pooler_output
        embedded[given["mm_token_type_ids"] == 1] = features
        return pooled(
            original.language_model(
                inputs_embeds=embedded, attention_mask=given["attention_mask"], use_cache=False
            )
        )

    width = int(base.config.text_config.hidden_size)
    return Original(base, None, texts, sequential if recipe.sequential else pages, recipe.sequential, width)


ARCHITECTURE = QwenEmbedding()
