"""What the architectures of images and texts share: models, processors and tokenizers of transformers."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import InvalidInput
from ..graphs import Batch, ExportOptions, Graph
from ..tokens import SAMPLE
from ..weights import ONLY_FOLDER
from ._processor import RESAMPLE

if TYPE_CHECKING:
    import torch

__all__ = [
    "cut",
    "image_processor",
    "image_settings",
    "load_tokenizer",
    "on",
    "original",
    "pad_texts",
    "picture_graph",
    "plain_ids",
    "random_sequences",
    "refuse",
    "same_tokens",
    "stack",
    "tokenizer_json",
    "tower",
    "widen_texts",
]


def tower(model: torch.nn.Module, forward: Callable[..., Any]) -> torch.nn.Module:
    """Return a module that calls ``forward(model, *inputs)``."""
    import torch

    class Tower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: Any) -> Any:
            return forward(self.model, *inputs)

    return Tower().eval()


def refuse(options: ExportOptions, name: str, *fields: str) -> None:
    """Raise `InvalidInput` if the user says what means nothing to an architecture.

    Args:
        options: what the user says.
        name: of the architecture.
        fields: of `ExportOptions`.
    """
    for field in fields:
        if getattr(options, field) is not None:
            raise InvalidInput(f"{field}: {getattr(options, field)!r} means nothing to {name}; leave it out")


def cut(options: ExportOptions) -> tuple[int, ...]:
    """Return the dimensions to which the user says vectors may be cut."""
    return tuple(sorted(set(options.mrl_dimensions or ())))


def on(model: torch.nn.Module, device: str) -> torch.nn.Module:
    """Return the model on a device; the one that is to be exported stays on the CPU."""
    return model if device == "cpu" else copy.deepcopy(model).to(device)


def original(model: torch.nn.Module, forward: Callable[..., Any], batch: Batch) -> npt.NDArray[np.float32]:
    """Return what ``forward(model, **batch)`` gives, computed where the model lies."""
    import torch

    device = next(model.parameters()).device
    with torch.inference_mode():
        inputs = {name: torch.from_numpy(array.copy()).to(device) for name, array in batch.items()}
        return np.asarray(forward(model, **inputs).float().cpu().numpy(), dtype=np.float32)


def picture_graph(
    model: torch.nn.Module, library: torch.nn.Module, side: tuple[int, int], dimension: int
) -> Graph:
    """Return the graph of an image tower with ``get_image_features`` that reads pictures of one size.

    Args:
        model: what is exported.
        library: what it is compared with.
        side: (height, width) of the pictures.
        dimension: of the vectors.
    """

    def features(owner: Any, pixel_values: torch.Tensor) -> Any:
        return owner.get_image_features(pixel_values=pixel_values).pooler_output

    return Graph(
        tower="image",
        file="image.onnx",
        module=tower(model, features),
        inputs={"pixel_values": ("n", 3, *side)},
        output="embedding",
        output_axes=("n", dimension),
        example=lambda rng, count: [
            {"pixel_values": rng.standard_normal((1, 3, *side), dtype=np.float32)} for _ in range(count)
        ],
        collate=stack,
        reference=lambda batch: original(library, features, batch),
    )


def image_processor(folder: Path) -> Any:
    """Return the library's image processor, on Pillow.

    Raises:
        InvalidInput: the folder has none, or a broken one.
    """
    from transformers import AutoImageProcessor

    try:
        return AutoImageProcessor.from_pretrained(folder, backend="pil", **ONLY_FOLDER)
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInput(f"{folder}: its image processor cannot be loaded: {_line(error)}") from None


def image_settings(processor: Any, side: tuple[int, int] | None = None) -> dict[str, Any]:
    """Return the settings of an image tower that an image processor of the CLIP and SigLIP kind stands for.

    Args:
        processor: from `image_processor`.
        side: (height, width) that the model reads; None for a processor without a fixed size.

    Raises:
        InvalidInput: it does what a spec cannot say, or gives images of another size.
    """
    resample = int(processor.resample)
    if resample not in RESAMPLE:
        raise InvalidInput(
            f"image processor: resample {resample} is not supported, only {', '.join(RESAMPLE.values())}"
        )
    settings: dict[str, Any] = {
        "resample": RESAMPLE[resample],
        "rescale": float(processor.rescale_factor) if processor.do_rescale else 1.0,
        "mean": tuple(map(float, processor.image_mean)) if processor.do_normalize else (0.0, 0.0, 0.0),
        "std": tuple(map(float, processor.image_std)) if processor.do_normalize else (1.0, 1.0, 1.0),
    }
    if side is not None:
        settings |= _resize_settings(processor)
        if settings["size"] != side:
            raise InvalidInput(
                f"image processor: it gives images of (height, width) {settings['size']}, the model's "
                f"configuration says {side}"
            )
    return settings


def _resize_settings(processor: Any) -> dict[str, Any]:
    size: dict[str, int] = {key: value for key, value in dict(processor.size or {}).items() if value}
    crop: dict[str, int] = (
        dict(processor.crop_size or {}) if getattr(processor, "do_center_crop", False) else {}
    )
    cut = (crop.get("height", 0), crop.get("width", 0))
    if processor.do_resize and set(size) == {"height", "width"}:
        wanted = (size["height"], size["width"])
        if not crop or cut == wanted:
            return {"size": wanted, "resize": "stretch"}
    if processor.do_resize and set(size) == {"shortest_edge"} and all(cut):
        settings: dict[str, Any] = {"size": cut, "resize": "crop"}
        if {size["shortest_edge"]} != set(cut):
            settings["shortest_edge"] = size["shortest_edge"]
        return settings
    raise InvalidInput(
        f"image processor: do_resize {processor.do_resize}, size {size}, crop {crop or None} is not "
        "supported, only height and width, or shortest_edge with a crop of the centre"
    )


def load_tokenizer(folder: Path) -> Any:
    """Return the library's tokenizer.

    Raises:
        InvalidInput: the folder has none, or a broken one.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, **ONLY_FOLDER)
    except Exception as error:  # transformers, tokenizers and sentencepiece raise all sorts
        raise InvalidInput(f"{folder}: its tokenizer cannot be loaded: {_line(error)}") from None


def tokenizer_json(tokenizer: Any) -> bytes:
    """Return the ``tokenizer.json`` that does what the library's tokenizer does, without padding and cutting.

    The library may build another tokenizer than the folder's ``tokenizer.json`` is, such as one that lowers
    the case, so it is what the library holds that counts.
    """
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    content["padding"] = content["truncation"] = None
    return json.dumps(content, ensure_ascii=False).encode()


def same_tokens(tokenizer: Any, content: bytes) -> bool:
    """Return whether a ``tokenizer.json`` and the library's tokenizer agree on a multilingual sample."""
    from tokenizers import Tokenizer

    ours = Tokenizer.from_buffer(content)
    ours.no_padding()
    ours.no_truncation()
    return all(ours.encode(text).ids == list(tokenizer(text)["input_ids"]) for text in SAMPLE)


def plain_ids(content: bytes, vocabulary: int) -> npt.NDArray[np.int64]:
    """Return the ids of a ``tokenizer.json`` that are no special or added token's.

    Args:
        content: of the file.
        vocabulary: the rows of the model's embedding.

    Raises:
        InvalidInput: it has more tokens than that.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_buffer(content)
    ids = set(tokenizer.get_vocab(with_added_tokens=True).values())
    if max(ids) >= vocabulary:
        raise InvalidInput(
            f"tokenizer: it numbers its {len(ids)} tokens up to {max(ids)}, the model's embedding has "
            f"{vocabulary} rows: it is another model's tokenizer"
        )
    return np.array(sorted(ids - set(tokenizer.get_added_tokens_decoder())), dtype=np.int64)


def random_sequences(
    rng: np.random.Generator, lengths: Iterable[int], ids: npt.NDArray[np.int64], around: Sequence[list[int]]
) -> list[Batch]:
    """Return token sequences, each a batch of one.

    Args:
        rng: where chance comes from.
        lengths: of each sequence, what lies around included.
        ids: the tokens to draw from.
        around: what each sequence begins and ends with.
    """
    lead, tail = around
    batches = []
    for length in lengths:
        body = rng.choice(ids, max(1, length - len(lead) - len(tail)))
        sequence = np.concatenate([lead, body, tail]).astype(np.int64)[None, :]
        batches.append({"input_ids": sequence, "attention_mask": np.ones_like(sequence)})
    return batches


def pad_texts(batches: Sequence[Batch], to: int = 0) -> Batch:
    """Return ``input_ids`` and ``attention_mask`` in one batch, padded at the right with zeros.

    Args:
        batches: each of one or more rows.
        to: pad to at least so many tokens.
    """
    longest = max(to, *(batch["input_ids"].shape[1] for batch in batches))
    return {
        name: np.concatenate(
            [np.pad(batch[name], ((0, 0), (0, longest - batch[name].shape[1]))) for batch in batches]
        )
        for name in ("input_ids", "attention_mask")
    }


def widen_texts(limit: int) -> Callable[[Batch], Batch]:
    """Return a function that pads one batch by some tokens, as far as a model of ``limit`` tokens takes."""

    def widen(batch: Batch) -> Batch:
        return {**batch, **pad_texts([batch], min(limit, batch["input_ids"].shape[1] + 7))}

    return widen


def stack(batches: Sequence[Batch]) -> Batch:
    """Return inputs without padding in one batch."""
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
