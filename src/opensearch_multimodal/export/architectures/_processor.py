"""What a folder's processor says of images and prompts, read without loading it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import InvalidInput
from ..source import Source
from ..weights import ONLY_FOLDER

__all__ = ["RESAMPLE", "chat", "image_processor", "pixel_settings"]

RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's number of a filter → its name in a spec."""
_STEPS = ("do_resize", "do_rescale", "do_normalize", "do_convert_rgb")
_MARK = "\u27e6text\u27e7"


def image_processor(source: Source) -> dict[str, Any]:
    """Return the settings of the folder's image processor.

    Raises:
        InvalidInput: there are none, or they leave out a step that the encoder takes.
    """
    found = source.read("preprocessor_config.json") or source.read("processor_config.json").get(
        "image_processor"
    )
    if not isinstance(found, dict) or not found:
        raise InvalidInput(
            f"images: {source.folder} has no preprocessor_config.json and no processor_config.json with an "
            "image_processor: nothing says how its pages are read"
        )
    for step in _STEPS:
        if found.get(step) is False:
            raise InvalidInput(
                f"images: the image processor of {source.folder} has {step} = false, which is not offered"
            )
    return found


def pixel_settings(
    processor: Mapping[str, Any], mean: tuple[float, ...], std: tuple[float, ...], resample: str
) -> dict[str, Any]:
    """Return how pixels become numbers, as settings of an image tower.

    Args:
        processor: settings of the image processor.
        mean: its own default.
        std: its own default.
        resample: its own default.

    Raises:
        InvalidInput: it resizes by a filter that is not offered.
    """
    number = processor.get("resample")
    if number is not None and number not in RESAMPLE:
        raise InvalidInput(
            f"images: the image processor resizes by filter {number!r}; offered are "
            f"{', '.join(f'{key} ({name})' for key, name in RESAMPLE.items())}"
        )
    return {
        "resample": resample if number is None else RESAMPLE[number],
        "rescale": float(processor.get("rescale_factor", 1 / 255)),
        "mean": tuple(processor.get("image_mean") or mean),
        "std": tuple(processor.get("image_std") or std),
    }


def chat(source: Source, instruction: str, content: str | None) -> tuple[str, str]:
    """Return what stands before and after a text in the folder's chat template.

    Args:
        source: the folder.
        instruction: what the system says.
        content: what the user says: None for the text in question, else it is an image, and all of the prompt
            stands before.

    Raises:
        InvalidInput: the template cannot be filled in.
    """
    user = {"type": "text", "text": _MARK} if content is None else {"type": "image"}
    messages = [
        {"role": "system", "content": [{"type": "text", "text": instruction}]},
        {"role": "user", "content": [user]},
    ]
    filled = _filled(source, messages)
    if filled is None:
        inner = _MARK if content is None else content
        system = f"<|im_start|>system\n{instruction}<|im_end|>\n"
        filled = f"{system}<|im_start|>user\n{inner}<|im_end|>\n<|im_start|>assistant\n"
    before, mark, after = filled.partition(_MARK)
    if bool(mark) != (content is None) or _MARK in after or (content is not None and content not in filled):
        what = "text" if content is None else "image"
        raise InvalidInput(f"chat template: that of {source.root} does not hold the user's {what} once")
    return before, after


def _filled(source: Source, messages: list[dict[str, Any]]) -> str | None:
    from transformers import AutoTokenizer

    folder = source.folder if (source.folder / "tokenizer_config.json").is_file() else source.root
    tokenizer = AutoTokenizer.from_pretrained(str(folder), **ONLY_FOLDER)
    template = tokenizer.chat_template or source.read("chat_template.json").get("chat_template")
    if not template:
        return None
    try:
        return str(
            tokenizer.apply_chat_template(
                messages, chat_template=template, tokenize=False, add_generation_prompt=True
            )
        )
    except Exception as error:  # jinja's errors, and those that templates raise themselves
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InvalidInput(f"chat template: that of {source.root} cannot be filled in: {reason}") from None
