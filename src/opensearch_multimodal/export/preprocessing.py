"""Does the encoder hand over to the graphs what the folder's own processor would?

The parity of a graph says nothing of this: there, both sides read the same numbers. A wrong prompt, prefix or
resize gives good vectors of something else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..encoder.images import open_reader
from ..encoder.text import TextTokenizer
from ..errors import InvalidInput
from ..models.spec import ImageTower, TextTower
from .graphs import Plan
from .parity import PreprocessingParity
from .source import Source
from .specs import make_towers
from .weights import ONLY_FOLDER, quiet_transformers

__all__ = ["LARGEST_DIFFERENCE", "compare_preprocessing"]

LARGEST_DIFFERENCE = 1e-5
"""Of a normalised component of a pixel; Pillow resizes both."""

_SIZES = ((877, 620), (201, 333), (96, 96))
"""Height and width of the images."""
_LONG = 100_000
_QUERIES = ("Which valve opens first?", "Wie öffnet man das Ventil?", "弁の開け方", "x")


@quiet_transformers()
def compare_preprocessing(
    source: Source, plan: Plan, folder: Path, *, queries: bool = True
) -> tuple[tuple[PreprocessingParity, ...], tuple[str, ...]]:
    """Prepare generated images and queries by a plan's settings and by the folder's processor, and compare.

    Args:
        source: the original's folder.
        plan: of a model that reads images.
        folder: where the plan's files are.
        queries: whether the folder says what stands around a query; not where the user said otherwise.

    Returns:
        What was compared, and sentences about what could not be.

    Raises:
        InvalidInput: they differ.
    """
    text, image = make_towers(plan)
    if image is None:
        return (), ()
    pixels, whole, reason = _processors(source.folder)
    if pixels is None:
        return (), (f"Images: not compared with a processor: {reason}.",)
    for name, value in plan.processor_settings.items():
        setattr(pixels, name, value)
    _require_same_limits(image, pixels)
    found: list[PreprocessingParity] = []
    notes: list[str] = []
    pages, why = _pages(image, folder, pixels, whole, own_prompts=plan.own_prompts)
    if pages is None:
        return (), (f"Images: not compared with a processor: {why}.",)
    found.append(pages)
    if image.prompt is not None and not pages.prompt:
        notes.append(f"Prompt of pages: not compared with a processor: {reason or why}.")
    if text is not None and hasattr(whole, "process_queries"):
        if plan.own_prompts or not queries:
            notes.append("Queries: not compared with a processor: what stands around them is not its own.")
        else:
            compared, why = _queries(text, folder, whole)
            if compared is None:
                notes.append(f"Queries: not compared with a processor: {why}.")
            else:
                found.append(compared)
    return tuple(found), tuple(notes)


def _processors(folder: Path) -> tuple[Any | None, Any | None, str]:
    """Return the folder's image processor, its processor of texts and images, and why one is missing."""
    from transformers import AutoImageProcessor, AutoProcessor

    name = str(folder)
    pixels, reason = _asked(lambda: AutoImageProcessor.from_pretrained(name, backend="pil", **ONLY_FOLDER))
    if pixels is None:
        return None, None, reason
    whole, reason = _asked(lambda: AutoProcessor.from_pretrained(name, backend="pil", **ONLY_FOLDER))
    if whole is None:  # one for videos, too, is there on torchvision only
        whole, reason = _asked(lambda: AutoProcessor.from_pretrained(name, **ONLY_FOLDER))
    if whole is None:
        return pixels, None, reason
    if not hasattr(whole, "image_processor"):
        return pixels, None, "transformers has no processor of the class that the folder names"
    whole.image_processor = pixels
    return pixels, whole, ""


def _asked(call: Callable[[], Any]) -> tuple[Any | None, str]:
    """Return what a processor gives, or why it gives nothing."""
    try:
        return call(), ""
    except Exception as error:  # transformers raises many kinds, also for libraries that are not there
        reason = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
        return None, f"{type(error).__name__}: {reason.strip()[:150].rstrip('.')}"


def _require_same_limits(image: ImageTower, pixels: Any) -> None:
    """Refuse limits that no image of a usual size would reach."""
    told = dict(getattr(pixels, "size", None) or {})
    for ours, theirs in (("min_pixels", "shortest_edge"), ("max_pixels", "longest_edge")):
        said, own = told.get(theirs), getattr(image.grid, ours, None)
        if image.layout == "qwen_vl" and said is not None and int(said) != own:
            raise InvalidInput(
                f"preprocessing: {ours} is {own} by the spec, {said} by the folder's "
                f"{type(pixels).__name__}: nothing was kept"
            )


def _pages(
    image: ImageTower, folder: Path, pixels: Any, whole: Any | None, *, own_prompts: bool
) -> tuple[PreprocessingParity | None, str]:
    reader = open_reader(image, folder)
    rng = np.random.default_rng(11)
    prompt, why = image.prompt is not None and whole is not None, ""
    worst, processor = 0.0, pixels
    for height, width in _SIZES:
        page = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        ours = reader.read(page)
        where = f"preprocessing: a page of {width} × {height} pixels"
        made = None
        if prompt and image.prompt is not None:
            made, why = _prompted(whole, image.prompt.text, page, own_prompts=own_prompts)
            prompt = made is not None
        if made is not None:
            processor = whole
            _require_same_tokens(f"{where} and its prompt", ours["input_ids"], made["input_ids"], whole)
        else:
            made, reason = _asked(partial(pixels, images=[page], return_tensors="np"))
            if made is None:
                return None, reason
        worst = max(worst, _difference(where, ours, made, processor))
    return PreprocessingParity("pages", type(processor).__name__, len(_SIZES), worst, prompt), why


def _prompted(whole: Any, text: str, page: Image.Image, *, own_prompts: bool) -> tuple[Any | None, str]:
    """Return what a processor makes of a page and a prompt, or why it makes nothing."""
    if hasattr(whole, "process_images"):
        if own_prompts:
            return None, "the prompt is not its own"
        return _asked(lambda: whole.process_images([page]))
    if type(whole).__name__ == "PaliGemmaProcessor":  # it puts image tokens before whatever it is given
        return None, "it takes prompts of another form"
    return _asked(lambda: whole(text=[text], images=[page], return_tensors="np"))


def _difference(where: str, ours: dict[str, npt.NDArray[Any]], made: Any, processor: Any) -> float:
    """Return the largest difference of a pixel's component.

    Raises:
        InvalidInput: it is too large, or the shapes differ.
    """
    patches = "patches" in ours
    found = ours["patches" if patches else "pixel_values"]
    wanted = np.asarray(made["pixel_values"], dtype=np.float32)
    tail = found.shape[-1:] if patches else found.shape[-3:]
    if wanted.shape[-len(tail) :] == tail:
        found, wanted = found.reshape(-1, *tail), wanted.reshape(-1, *tail)
        if patches and "pixel_attention_mask" in made:
            wanted = wanted[np.asarray(made["pixel_attention_mask"]).reshape(-1).astype(bool)]
    if found.shape != wanted.shape:
        raise InvalidInput(
            f"{where} becomes numbers of shape {found.shape} by the spec, {wanted.shape} by the folder's "
            f"{type(processor).__name__}: nothing was kept"
        )
    worst = float(np.abs(found - wanted).max())
    if not worst <= LARGEST_DIFFERENCE:
        raise InvalidInput(
            f"{where} becomes numbers that differ by up to {worst:.2g} from what the folder's "
            f"{type(processor).__name__} gives, more than {LARGEST_DIFFERENCE:g}: nothing was kept"
        )
    return worst


def _queries(tower: TextTower, folder: Path, whole: Any) -> tuple[PreprocessingParity | None, str]:
    tokenizer = TextTokenizer(folder / tower.tokenizer)
    for text in _QUERIES:
        # What a longer query would be cut to is not what is compared here.
        sequences = tokenizer.split([text], tower.query_prefix, _LONG, tower.long_input, tower.query_suffix)
        made, why = _asked(partial(whole.process_queries, [text]))
        if made is None:
            return None, why
        wanted = made["input_ids"]
        _require_same_tokens(f"preprocessing: the query {text!r}", np.array(sequences.ids), wanted, whole)
    return PreprocessingParity("queries", type(whole).__name__, len(_QUERIES), 0.0, False), ""


def _require_same_tokens(where: str, ours: npt.NDArray[Any], wanted: Any, processor: Any) -> None:
    found, expected = ours.reshape(-1), np.asarray(wanted).reshape(-1)
    if not np.array_equal(found, expected):
        length = min(len(found), len(expected))
        differing = np.flatnonzero(found[:length] != expected[:length])
        first = int(differing[0]) if differing.size else length
        raise InvalidInput(
            f"{where}: the spec gives {len(found)} tokens, the folder's {type(processor).__name__} "
            f"{len(expected)}; they differ from token {first} on: nothing was kept"
        )
