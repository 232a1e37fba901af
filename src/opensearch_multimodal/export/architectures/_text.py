"""What the families of text models share: pooled vectors, token vectors, scores of pairs."""

from __future__ import annotations

import copy
import inspect
import string
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import InvalidInput
from ...models import Kind
from ...models.hints import max_tokens_hint, mrl_hint, prefix_hints
from ..examples import TextExamples, collate_text
from ..graphs import Batch, ExportOptions, Graph, Plan
from ..modules import Dense, Head, PoolingMode, read_head

if TYPE_CHECKING:
    from ..source import Source

__all__ = ["TextFamily"]

_AXES = ("n", "t")
_TRAINED_FOR_ONE = "The model was trained to give one vector: these are its token states, not pooled."


@dataclass(frozen=True)
class TextFamily:
    """A family of text models that AutoModel loads and whose forward takes ids and a mask.

    Attributes:
        name: for people.
        model_types: what ``config.json`` says as ``model_type``.
        kinds: what can be made of it.
        pooling: used where nothing says how token states become one vector; None refuses then.
        attention: the implementation that is exported; None for a family that has but one.
        positions: how many tokens the model can number, by its ``config.json``.
        dynamo: whether torch.export makes the graph, for models that tracing cannot follow.
        unused: beginnings of names of weights that nothing here uses.
    """

    name: str
    model_types: frozenset[str]
    kinds: tuple[Kind, ...] = ("dense", "multi_vector", "reranker")
    pooling: PoolingMode | None = None
    attention: str | None = "sdpa"
    positions: Callable[[dict[str, Any]], int | None] = lambda config: config.get("max_position_embeddings")
    dynamo: bool = False
    unused: tuple[str, ...] = ("pooler.",)

    def plan(self, source: Source, options: ExportOptions) -> Plan:
        """Read the weights and take the model apart; see `graphs.Architecture`."""
        if options.kind == "reranker":
            return self._reranker(source, options)
        return self._encoder(source, options)

    def _load(self, source: Source, automatic: Any, unused: tuple[str, ...]) -> Any:
        settings = {"attn_implementation": self.attention} if self.attention else {}
        model = source.model(automatic.from_pretrained, unused=unused, **settings)
        if hasattr(model.config, "use_cache"):
            model.config.use_cache = False
        return model

    def _limit(self, source: Source, options: ExportOptions) -> int:
        limit = max_tokens_hint(*{source.root, source.folder})
        limit = min(limit, self.positions(source.config) or limit)
        if options.max_tokens and options.max_tokens > (self.positions(source.config) or options.max_tokens):
            raise InvalidInput(
                f"max_tokens: {options.max_tokens} is more than the {self.positions(source.config)} tokens "
                "that the model can number"
            )
        return options.max_tokens or limit

    def _encoder(self, source: Source, options: ExportOptions) -> Plan:
        from transformers import AutoModel

        from ._text_modules import EncoderModule

        model = self._load(source, AutoModel, self.unused)
        tokenizer = source.tokenizer(model.get_input_embeddings().weight.shape[0])
        head = self._head(source, options)
        trained_otherwise = options.kind == "multi_vector" and read_head(source).pooling is not None
        settings = self._settings(source, options)
        markers = [settings[name].strip() for name in ("query_prefix", "passage_prefix") if settings[name]]
        if source.read("artifact.metadata"):
            tokenizer = tokenizer.with_special(markers)
        mask_id = _mask_id(settings, tokenizer.tokenizer)
        single = options.kind == "dense"
        dimension = head.layers[-1].weight.shape[0] if head.layers else model.config.hidden_size
        examples = TextExamples(
            tokenizer.tokenizer,
            settings["max_passage_tokens"],
            filled=None if mask_id is None else (mask_id, settings["max_query_tokens"]),
            attended=bool(settings.get("expansion_attended")),
        )
        graph = Graph(
            tower="text",
            file="text.onnx",
            module=EncoderModule(model, head),
            inputs={"input_ids": _AXES, "attention_mask": _AXES},
            output="embedding" if single else "embeddings",
            output_axes=("n", dimension) if single else ("n", "t", dimension),
            example=examples,
            collate=collate_text,
            widen=examples.widen,
            reference=_encoder_reference(model, head, options.device),
            dynamo=self.dynamo,
        )
        return Plan(
            kind=options.kind,
            dimension=dimension,
            graphs=(graph,),
            text=settings,
            files={"tokenizer.json": tokenizer.content},
            mrl_dimensions=_mrl(source, options, dimension),
            notes=tokenizer.notes + ((_TRAINED_FOR_ONE,) if trained_otherwise else ()),
        )

    def _head(self, source: Source, options: ExportOptions) -> Head:
        head = read_head(source)
        if options.kind == "multi_vector":
            if head.pooling is not None:
                return Head("none", known=True)
            if not head.layers and (weight := _colbert_projection(source)) is not None:
                return Head("none", (Dense(weight, None, "identity"),), normalize=True, known=True)
            return replace(head, pooling="none")
        pooling = options.pooling or head.pooling or self.pooling
        if pooling is None:
            raise InvalidInput(
                f"pooling: nothing in {source.root} says how token states become one vector; use --pooling"
            )
        return replace(head, pooling=pooling)

    def _settings(self, source: Source, options: ExportOptions) -> dict[str, Any]:
        """Return the settings of the text tower."""
        limit = self._limit(source, options)
        config = source.read("config_sentence_transformers.json")
        query_prefix, passage_prefix = prefix_hints(config)
        settings: dict[str, Any] = {
            "tokenizer": "tokenizer.json",
            "pooling": "none",
            "query_prefix": query_prefix,
            "passage_prefix": passage_prefix,
            "max_query_tokens": limit,
            "max_passage_tokens": limit,
        }
        if options.kind == "multi_vector":
            settings |= _late_interaction(source, config, limit, explicit=options.max_tokens is not None)
        for name in ("query_prefix", "passage_prefix"):
            if (given := getattr(options, name)) is not None:
                settings[name] = given
        return settings

    def _reranker(self, source: Source, options: ExportOptions) -> Plan:
        from transformers import AutoModelForSequenceClassification

        from ._text_modules import PairModule

        model = self._load(source, AutoModelForSequenceClassification, ())
        labels = model.config.num_labels
        if labels not in (1, 2):
            raise InvalidInput(
                f"kind: the model of {source.folder} has {labels} labels, a reranker has 1, or 2 of which "
                "the second means relevant"
            )
        tokenizer = source.tokenizer(model.get_input_embeddings().weight.shape[0])
        limit = self._limit(source, options)
        typed = (
            getattr(model.config, "type_vocab_size", 0) > 1
            and "token_type_ids" in inspect.signature(model.forward).parameters
        )
        names = ("input_ids", "attention_mask", *(("token_type_ids",) if typed else ()))
        examples = TextExamples(tokenizer.tokenizer, limit, pairs=True, names=names)
        graph = Graph(
            tower="text",
            file="text.onnx",
            module=PairModule(model),
            inputs=dict.fromkeys(names, _AXES),
            output="logits",
            output_axes=("n", labels),
            example=examples,
            collate=collate_text,
            widen=examples.widen,
            reference=_pair_reference(model, options.device),
        )
        text = {
            "tokenizer": "tokenizer.json",
            "pooling": "none",
            "query_prefix": options.query_prefix or "",
            "passage_prefix": options.passage_prefix or "",
            "max_query_tokens": max(8, limit // 4),
            "max_passage_tokens": limit,
        }
        files = {"tokenizer.json": tokenizer.content}
        return Plan("reranker", labels, (graph,), text=text, files=files, notes=tokenizer.notes)


def _encoder_reference(model: Any, head: Head, device: str) -> Callable[[Batch], npt.NDArray[np.float32]]:
    original = _on(model, device)

    def reference(batch: Batch) -> npt.NDArray[np.float32]:
        return head(_run(original, batch, device).last_hidden_state[0].float().cpu().numpy())

    return reference


def _pair_reference(model: Any, device: str) -> Callable[[Batch], npt.NDArray[np.float32]]:
    original = _on(model, device)

    def reference(batch: Batch) -> npt.NDArray[np.float32]:
        logits: npt.NDArray[np.float32] = _run(original, batch, device).logits.float().cpu().numpy()
        return logits

    return reference


def _on(model: Any, device: str) -> Any:
    """Return the model on a device; the one to be exported stays on the CPU."""
    return model if device == "cpu" else copy.deepcopy(model).to(device)


def _run(model: Any, batch: Batch, device: str) -> Any:
    import torch

    with torch.no_grad():
        return model(**{name: torch.from_numpy(array).to(device) for name, array in batch.items()})


def _mrl(source: Source, options: ExportOptions, dimension: int) -> tuple[int, ...]:
    if options.mrl_dimensions is not None:
        wrong = [value for value in options.mrl_dimensions if not 0 < value < dimension]
        if wrong:
            raise InvalidInput(
                f"mrl_dimension: {wrong[0]} is not below the dimension of the vectors, {dimension}"
            )
        return tuple(sorted(set(options.mrl_dimensions)))
    return mrl_hint(source.folder, dimension) or mrl_hint(source.root, dimension)


def _colbert_projection(source: Source) -> npt.NDArray[np.float32] | None:
    """Return the projection that a checkpoint of ColBERT's own code keeps beside the transformer."""
    if "HF_ColBERT" not in (source.config.get("architectures") or ()):
        return None
    weight: npt.NDArray[np.float32] | None = source.tensor("linear.weight")
    if weight is None:
        raise InvalidInput(f"weights: {source.folder} is an HF_ColBERT without its linear.weight")
    return weight


def _late_interaction(
    source: Source, config: dict[str, Any], limit: int, *, explicit: bool
) -> dict[str, Any]:
    """Return how PyLate, or ColBERT's own code, has queries and passages read."""
    metadata = source.read("artifact.metadata")
    if metadata:  # https://github.com/stanford-futuredata/ColBERT: infra/config/settings.py has the defaults
        settings: dict[str, Any] = {
            "query_prefix": f"{metadata.get('query_token_id', '[unused0]')} ",
            "passage_prefix": f"{metadata.get('doc_token_id', '[unused1]')} ",
            "skip_punctuation": bool(metadata.get("mask_punctuation", True)),
        }
        lengths = metadata.get("query_maxlen", 32), metadata.get("doc_maxlen", 220)
        expansion, attended = True, bool(metadata.get("attend_to_mask_tokens"))
    else:
        skipped = set(config.get("skiplist_words") or ())
        if skipped and skipped != set(string.punctuation):
            raise InvalidInput(
                f"skiplist_words: {source.root} leaves out the vectors of words other than ASCII "
                "punctuation, which a spec cannot say"
            )
        settings = {"skip_punctuation": bool(skipped)}
        lengths = config.get("query_length") or limit, config.get("document_length") or limit
        expansion = bool(config.get("query_length")) and config.get("do_query_expansion") is not False
        attended = bool(config.get("attend_to_expansion_tokens"))
    settings["max_query_tokens"] = min(limit, lengths[0])
    settings["max_passage_tokens"] = limit if explicit else min(limit, lengths[1])
    if expansion:
        settings["query_expansion"] = _mask_token(source)
        settings["expansion_attended"] = attended
    return settings


def _mask_token(source: Source) -> str:
    value = source.read("tokenizer_config.json").get("mask_token")
    value = value.get("content") if isinstance(value, dict) else value
    if not isinstance(value, str):
        raise InvalidInput(
            f"tokenizer: {source.root} fills queries up with the mask token, which its tokenizer_config.json "
            "does not name"
        )
    return value


def _mask_id(settings: dict[str, Any], tokenizer: Any) -> int | None:
    token = settings.get("query_expansion")
    if token is None:
        return None
    found: int | None = tokenizer.token_to_id(token)
    if found is None:
        raise InvalidInput(f"tokenizer: it has no token {token!r}, with which queries are filled up")
    return found
