"""SigLIP, and SigLIP2 of fixed resolution: a text tower that reads its own padding, and a ViT."""

from __future__ import annotations

import re
import string
from pathlib import Path
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

__all__ = ["ARCHITECTURE", "Siglip", "text_parts", "text_tokenizer"]

_MASK_NOTE = (
    "its tokenizer hands the model an attention mask, as the library then does too; SigLIP was trained "
    'without one ("model_input_names": ["input_ids"] in tokenizer_config.json)'
)


class Siglip:
    """SigLIP (Zhai and others, 2023, arXiv:2303.15343), as transformers' ``SiglipModel``.

    SigLIP2 of fixed resolution is published as the same architecture, with another tokenizer.
    """

    name = "SigLIP"
    model_types: ClassVar[frozenset[str]] = frozenset({"siglip"})
    kinds: ClassVar[tuple[Kind, ...]] = ("dense",)

    def plan(self, source: Source, options: ExportOptions) -> Plan:
        """Take a SigLIP apart in its two towers; see `Architecture.plan`."""
        from transformers import SiglipModel

        library.refuse(options, self.name, "pooling")
        model = source.model(SiglipModel.from_pretrained)
        tokenizer, content = text_tokenizer(source.folder)
        config = model.config.vision_config
        if not getattr(config, "vision_use_head", True):
            raise InvalidInput(f"{source.folder}: its image tower has no pooling head, so it gives no vector")
        side = (config.image_size,) * 2
        original = library.on(model, options.device)
        text, settings, notes = text_parts(model, original, tokenizer, content, options)
        return Plan(
            kind=options.kind,
            mrl_dimensions=library.cut(options),
            dimension=config.hidden_size,
            graphs=(text, library.picture_graph(model, original, side, config.hidden_size)),
            text=settings,
            image={
                "pooling": "none",
                **library.image_settings(library.image_processor(source.folder), side),
            },
            files={"tokenizer.json": content},
            notes=notes,
        )


def text_tokenizer(folder: Path) -> tuple[Any, bytes]:
    """Return the library's tokenizer and the ``tokenizer.json`` that does what it does.

    SigLIP's own tokenizer is a sentencepiece model before which the library lowers the case and drops
    punctuation; its folder may hold a ``tokenizer.json`` beside it, or not.

    Raises:
        InvalidInput: the folder has no tokenizer, or one that no ``tokenizer.json`` stands for.
    """
    tokenizer = library.load_tokenizer(folder)
    if getattr(tokenizer, "is_fast", False):
        return tokenizer, library.tokenizer_json(tokenizer)
    kept = folder / "tokenizer.json"
    candidates = [kept.read_bytes()] if kept.is_file() else []
    candidates.append(_from_sentencepiece(tokenizer))
    for content in candidates:
        if library.same_tokens(tokenizer, content):
            return tokenizer, content
    raise InvalidInput(
        f"{folder}: its tokenizer ({type(tokenizer).__name__}) gives other tokens than its tokenizer.json or "
        "its sentencepiece model do"
    )


def text_parts(
    model: Any, original: Any, tokenizer: Any, content: bytes, options: ExportOptions
) -> tuple[Graph, dict[str, Any], tuple[str, ...]]:
    """Return the graph of the text tower, the settings of the spec, and notes for the report.

    The model reads every text filled up with padding to the same length and takes the state of the last
    position, mostly a padding token's. The graph does that filling up, so its input is the plain text.
    """
    config = model.config.text_config
    length = config.max_position_embeddings
    limit = min(options.max_tokens or length, length)
    masked = "attention_mask" in tokenizer.model_input_names
    settings = {
        "tokenizer": "tokenizer.json",
        "pooling": "none",
        "query_prefix": options.query_prefix or "",
        "passage_prefix": options.passage_prefix or "",
        "max_query_tokens": limit,
        "max_passage_tokens": limit,
        "long_input": "truncate",
    }
    ids = library.plain_ids(content, config.vocab_size)
    graph = _text_graph(model, original, tokenizer, ids, length, limit, masked=masked)
    return graph, settings, (_MASK_NOTE,) if masked else ()


def _text_graph(
    model: Any,
    original: Any,
    tokenizer: Any,
    ids: npt.NDArray[np.int64],
    length: int,
    limit: int,
    *,
    masked: bool,
) -> Graph:
    left, padding = tokenizer.padding_side == "left", tokenizer.pad_token_id
    plain, empty = tokenizer("a")["input_ids"], tokenizer("")["input_ids"]
    tail = plain[-1:] if empty else []
    lead = empty[: len(empty) - len(tail)]

    def fill_up(tower: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        import torch

        lengths = attention_mask.sum(1, keepdim=True)
        positions = torch.arange(length)[None, :] - (length - lengths if left else 0)
        inside = (positions >= 0) & (positions < lengths)
        taken = torch.gather(input_ids, 1, torch.minimum(positions.clamp(min=0), lengths - 1))
        filled = torch.where(inside, taken, padding)
        mask = inside.long() if masked else None
        pooled: torch.Tensor = tower.get_text_features(input_ids=filled, attention_mask=mask).pooler_output
        return pooled

    def examples(rng: np.random.Generator, count: int) -> list[Batch]:
        return library.random_sequences(rng, rng.integers(2, limit + 1, count), ids, (lead, tail))

    def reference(batch: Batch) -> npt.NDArray[np.float32]:
        """Fill up as the library's tokenizer does, and run its model."""
        filled = tokenizer.pad(
            {"input_ids": batch["input_ids"].tolist()},
            padding="max_length",
            max_length=length,
            return_tensors="np",
        )
        names = [name for name in ("input_ids", "attention_mask") if name in tokenizer.model_input_names]
        return library.original(
            original,
            lambda siglip, **inputs: siglip.get_text_features(**inputs).pooler_output,
            {name: np.asarray(filled[name], dtype=np.int64) for name in names},
        )

    return Graph(
        tower="text",
        file="text.onnx",
        module=library.tower(model, fill_up),
        inputs={"input_ids": ("n", "t"), "attention_mask": ("n", "t")},
        output="embedding",
        output_axes=("n", model.config.text_config.projection_size),
        example=examples,
        collate=library.pad_texts,
        reference=reference,
        widen=library.widen_texts(limit),
    )


def _from_sentencepiece(tokenizer: Any) -> bytes:
    """Return the ``tokenizer.json`` of the library's ``SiglipTokenizer``."""
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers.convert_slow_tokenizer import import_protobuf

    proto = import_protobuf().ModelProto()
    proto.ParseFromString(Path(tokenizer.vocab_file).read_bytes())
    made = Tokenizer(
        models.Unigram(
            [(piece.piece, piece.score) for piece in proto.pieces], unk_id=proto.trainer_spec.unk_id
        )
    )
    steps: list[Any] = [normalizers.Replace("▁", " ")]
    if tokenizer.do_lower_case:
        steps.append(normalizers.Lowercase())
    steps.append(normalizers.Replace(Regex(f"[{re.escape(string.punctuation)}]"), ""))
    if proto.normalizer_spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap))
    made.normalizer = normalizers.Sequence(
        [
            *steps,
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Strip(),
            normalizers.Replace(" ", "▁"),
            normalizers.Prepend("▁"),
        ]
    )
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=True)
    end = tokenizer.eos_token
    made.post_processor = processors.TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, tokenizer.eos_token_id)]
    )
    made.add_special_tokens(
        [AddedToken(str(token), normalized=False) for token in tokenizer.all_special_tokens]
    )
    return str(made.to_str()).encode()


ARCHITECTURE = Siglip()
