"""What transformers' own processors make of an image, under the names that our graphs use.

Needs transformers, torch and torchvision: for tests of the export extra, and to write golden numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tiny_tokenizers
import torch
from golden_images import position_table
from PIL import Image, ImageOps
from transformers import PreTrainedTokenizerFast
from transformers.models.clip.image_processing_clip import CLIPImageProcessor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.colmodernvbert import ColModernVBertProcessor
from transformers.models.colpali import ColPaliProcessor
from transformers.models.colqwen2 import ColQwen2Processor
from transformers.models.idefics3 import Idefics3Processor
from transformers.models.idefics3.image_processing_idefics3 import Idefics3ImageProcessor
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.paligemma import PaliGemmaProcessor
from transformers.models.qwen2_5_vl import Qwen2_5_VLConfig, Qwen2_5_VLModel
from transformers.models.qwen2_vl import Qwen2VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
from transformers.models.qwen3_vl import Qwen3VLConfig, Qwen3VLModel, Qwen3VLProcessor
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.siglip.image_processing_siglip import SiglipImageProcessor
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil
from transformers.models.siglip2.image_processing_siglip2 import Siglip2ImageProcessor
from transformers.models.siglip2.modeling_siglip2 import Siglip2VisionEmbeddings
from transformers.vision_utils import (
    get_vision_interpolation_indices_and_weights,
    get_vision_position_ids,
    get_vision_window_index,
)

from opensearch_multimodal.encoder.images.colour import rgb
from opensearch_multimodal.models import ImageTower

Arrays = dict[str, np.ndarray]

CLIP_COLOURS = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}
CHAT = (
    "<|im_start|>system\nRepresent the user's input.<|im_end|>\n<|im_start|>user\n"
    "<|vision_start|><|image_pad|><|vision_end|>Was zeigt die Seite?<|im_end|>\n<|im_start|>assistant\n"
)


@dataclass(frozen=True)
class Reference:
    """A processor and the tower that says the same.

    Attributes:
        tower: for our reader; its prompt's tokenizer lies in the folder that was given.
        run: an upright image in RGB or any mode → arrays by our names, as a batch of one.
        torchvision: the same by the processor based on torchvision, which rounds otherwise.
    """

    tower: ImageTower
    run: Callable[[Image.Image], Arrays]
    torchvision: Callable[[Image.Image], Arrays]


def references(folder: Path, *, small: bool = False) -> dict[str, Reference]:
    """Return family → reference; tokenizers are written to ``folder``.

    Args:
        folder: an empty folder.
        small: sizes for golden numbers, instead of those of published models.
    """
    return {
        **_fixed(small=small),
        **_paligemma(folder, small=small),
        **_naflex(small=small),
        **_qwen(folder, small=small),
        **_idefics3(folder, small=small),
    }


def tower(**settings: Any) -> ImageTower:
    """Return a tower with the given settings."""
    return ImageTower.model_validate(
        {"onnx": "image.onnx", "output": "embeddings", "pooling": "none", "rescale": 1 / 255} | settings
    )


def _pixels(processor: Any) -> Callable[[Image.Image], Arrays]:
    def run(image: Image.Image) -> Arrays:
        made = processor(images=[ImageOps.exif_transpose(image)], return_tensors="pt")
        return {"pixel_values": made["pixel_values"].numpy()}

    return run


def _both(classes: tuple[Any, Any], **settings: Any) -> tuple[Any, Any]:
    return _pixels(classes[0](**settings)), _pixels(classes[1](**settings))


def _fixed(*, small: bool) -> dict[str, Reference]:
    clip = (CLIPImageProcessorPil, CLIPImageProcessor)
    siglip = (SiglipImageProcessorPil, SiglipImageProcessor)
    side = 24 if small else 224
    cropped = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    wider = {"size": {"shortest_edge": side + 8}, "crop_size": {"height": side, "width": side + 3}}
    smaller = {"size": {"shortest_edge": side - 5}, "crop_size": {"height": side, "width": side + 60}}
    square = 32 if small else 384
    return {
        "clip": Reference(tower(size=(side, side), resize="crop", **CLIP_COLOURS), *_both(clip, **cropped)),
        "clip, cut from more": Reference(
            tower(size=(side, side + 3), resize="crop", shortest_edge=side + 8, **CLIP_COLOURS),
            *_both(clip, **wider),
        ),
        "clip, cut from less": Reference(
            tower(size=(side, side + 60), resize="crop", shortest_edge=side - 5, **CLIP_COLOURS),
            *_both(clip, **smaller),
        ),
        "siglip": Reference(
            tower(size=(square, square)), *_both(siglip, size={"height": square, "width": square})
        ),
    }


def _fast(tokenizer: Any, **special: str) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def gemma_tokenizer(*, small: bool = False) -> PreTrainedTokenizerFast:
    return _fast(
        tiny_tokenizers.sentencepiece(size=0 if small else 700),
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
    )


def qwen_tokenizer(*, small: bool = False) -> PreTrainedTokenizerFast:
    tokenizer = tiny_tokenizers.byte_level(tiny_tokenizers.QWEN_TOKENS, size=0 if small else 420)
    return _fast(tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")


def idefics3_tokenizer(*, small: bool = False) -> PreTrainedTokenizerFast:
    tokenizer = tiny_tokenizers.byte_level(tiny_tokenizers.IDEFICS3_TOKENS, size=0 if small else 420)
    return _fast(tokenizer, bos_token="<|begin_of_text|>", pad_token="<|end_of_text|>")


def _numpy(made: Any) -> Arrays:
    return {name: np.asarray(value) for name, value in made.items()}


def _paligemma(folder: Path, *, small: bool) -> dict[str, Reference]:
    side, count = (32, 4) if small else (448, 1024)

    def image_processor(kind: Any) -> Any:
        processor = kind(size={"height": side, "width": side})
        processor.image_seq_length = count
        return processor

    def colpali(kind: Any) -> Any:
        return ColPaliProcessor(image_processor(kind), gemma_tokenizer(small=small))

    def paligemma(kind: Any) -> Any:
        return PaliGemmaProcessor(image_processor(kind), gemma_tokenizer(small=small))

    def pages(processor: Any) -> Callable[[Image.Image], Arrays]:
        def run(image: Image.Image) -> Arrays:
            made = _numpy(processor.process_images([ImageOps.exif_transpose(image)]))
            return {name: made[name] for name in ("pixel_values", "input_ids", "attention_mask")}

        return run

    def asked(processor: Any) -> Callable[[Image.Image], Arrays]:
        def run(image: Image.Image) -> Arrays:
            # PaliGemma's processor has no conversion to RGB of its own.
            made = processor(images=[rgb(image)], text=["<image>détaille"], return_tensors="np")
            return {name: made[name] for name in ("pixel_values", "input_ids", "attention_mask")}

        return run

    def prompt(name: str, text: str, processor: Any) -> dict[str, Any]:
        processor.tokenizer.backend_tokenizer.save(str(folder / f"{name}.json"))
        return {"tokenizer": f"{name}.json", "text": text, "image_token": "<image>", "image_tokens": count}

    pil, vision = SiglipImageProcessorPil, SiglipImageProcessor
    of_colpali = prompt("colpali", "<image><bos>Describe the image.\n", colpali(pil))
    of_paligemma = prompt("paligemma", "<image><bos>détaille\n", paligemma(pil))
    size = {"size": (side, side)}
    return {
        "colpali": Reference(tower(prompt=of_colpali, **size), pages(colpali(pil)), pages(colpali(vision))),
        "paligemma": Reference(
            tower(prompt=of_paligemma, **size), asked(paligemma(pil)), asked(paligemma(vision))
        ),
    }


def _naflex(*, small: bool) -> dict[str, Reference]:
    patch, most, side = (4, 20, 5) if small else (16, 256, 16)
    table = torch.from_numpy(position_table(side))

    def patches(kind: Any) -> Callable[[Image.Image], Arrays]:
        processor = kind(patch_size=patch, max_num_patches=most)

        def run(image: Image.Image) -> Arrays:
            made = processor(images=[rgb(image)], return_tensors="pt")
            shape = made["spatial_shapes"].reshape(1, 2)
            count = int(shape.prod())
            embedded = Siglip2VisionEmbeddings.resize_positional_embeddings(table, shape, most)
            mask = made["pixel_attention_mask"].numpy()
            assert mask.sum() == count
            return {
                "patches": made["pixel_values"].numpy()[:, :count],
                "patch_mask": mask[:, :count],
                "position embedding": embedded[:, :count].numpy(),
            }

        return run

    grid = {"patch_size": patch, "max_patches": most, "position_side": side}
    return {
        "naflex": Reference(
            tower(layout="naflex", resample="bilinear", grid=grid),
            patches(Siglip2ImageProcessorPil),
            patches(Siglip2ImageProcessor),
        )
    }


def _qwen(folder: Path, *, small: bool) -> dict[str, Reference]:
    patch, fewest, most = (4, 256, 1280) if small else (14, 3136, 1003520)
    wide = 16 if small else 112
    grid = {
        "patch_size": patch,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "min_pixels": fewest,
        "max_pixels": most,
    }
    side = 6 if small else 48
    tokenizer = qwen_tokenizer(small=small)
    tokenizer.backend_tokenizer.save(str(folder / "qwen.json"))
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("image_pad", "video_pad")}
    tokens = {"image_token_id": ids["image_pad"], "video_token_id": ids["video_pad"]}

    def image_processor(kind: Any) -> Any:
        return kind(patch_size=patch, size={"shortest_edge": fewest, "longest_edge": most})

    def read(processor: Any, model: Any, *, window: bool, table: bool) -> Callable[[Image.Image], Arrays]:
        def run(image: Image.Image) -> Arrays:
            upright = ImageOps.exif_transpose(image)
            if isinstance(processor, ColQwen2Processor):
                made = processor.process_images([upright])
                types = (made["input_ids"] == tokens["image_token_id"]).int()
            else:
                made = processor(images=[upright], text=[CHAT], return_tensors="pt")
                types = torch.as_tensor(made["mm_token_type_ids"])
            thw = made["image_grid_thw"]
            count = int(thw.prod())
            expected = {
                "patches": made["pixel_values"].reshape(1, count, -1),
                "patch_mask": torch.ones((1, count), dtype=torch.int64),
                "patch_positions": get_vision_position_ids(thw, 2)[None],
                "input_ids": made["input_ids"],
                "attention_mask": made["attention_mask"],
                "position_ids": model.get_rope_index(made["input_ids"], types, image_grid_thw=thw)[0],
            }
            if window:
                expected["patch_windows"] = _windows(thw, wide, patch, count)
            if table:
                indices, weights = get_vision_interpolation_indices_and_weights(
                    thw, side, mode="bilinear", align_corners=True, spatial_merge_size=2
                )
                expected |= {"position_indices": indices[None], "position_weights": weights[None]}
            return {name: value.numpy() for name, value in expected.items()}

        return run

    def chat(kind: Any) -> Callable[[Any], Any]:
        return lambda images: kind(image_processor(images), tokenizer, Qwen2VLVideoProcessor())

    # The positions of tokens are those of the models, and depend on three of their settings only.
    qwen2 = Qwen2_5_VLModel(_tiny(Qwen2_5_VLConfig, tokens))
    qwen3 = Qwen3VLModel(_tiny(Qwen3VLConfig, tokens))
    made: dict[str, tuple[Callable[[Any], Any], Any, str, dict[str, Any]]] = {
        "colqwen2": (
            lambda images: ColQwen2Processor(image_processor(images), tokenizer),
            qwen2,
            ColQwen2Processor(image_processor(Qwen2VLImageProcessorPil), tokenizer).visual_prompt_prefix,
            {},
        ),
        "qwen2.5-vl": (chat(Qwen2VLProcessor), qwen2, CHAT, {"window_size": wide}),
        "qwen3-vl": (chat(Qwen3VLProcessor), qwen3, CHAT, {"position_side": side}),
    }
    found = {}
    for name, (processor, model, text, numbers) in made.items():
        options = {"window": "window_size" in numbers, "table": "position_side" in numbers}
        prompt = {"tokenizer": "qwen.json", "text": text, "image_token": "<|image_pad|>"}
        found[name] = Reference(
            tower(layout="qwen_vl", grid=grid | numbers, prompt=prompt, **CLIP_COLOURS),
            read(processor(Qwen2VLImageProcessorPil), model, **options),
            read(processor(Qwen2VLImageProcessor), model, **options),
        )
    return found


def _windows(thw: torch.Tensor, wide: int, patch: int, count: int) -> torch.Tensor:
    """Return which window each patch is in, shape (1, patches), as the reordering says it."""
    order, ends = get_vision_window_index(thw, 2, wide, patch)
    blocks = torch.repeat_interleave(torch.arange(len(ends) - 1), ends.diff() // 4)
    windows = torch.empty(count // 4, dtype=torch.int64)
    windows[order] = blocks
    return windows.repeat_interleave(4)[None]


def _tiny(config: Any, tokens: dict[str, int]) -> Any:
    text = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "vocab_size": 600,
        "head_dim": 8,
        "rope_scaling": {"rope_type": "default", "mrope_section": [2, 1, 1]},
    }
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    return config(text_config=text, vision_config=vision, **tokens)


def _idefics3(folder: Path, *, small: bool) -> dict[str, Reference]:
    tile, edge, count = (16, 64, 3) if small else (364, 1456, 169)
    settings = {"size": {"longest_edge": edge}, "max_image_size": {"longest_edge": tile}}
    tokenizer = idefics3_tokenizer(small=small)

    def processors(kind: Any, **more: Any) -> tuple[Any, Any]:
        def made() -> Any:
            return kind(**settings, **more)

        return (
            Idefics3Processor(made(), tokenizer, image_seq_len=count),
            ColModernVBertProcessor(made(), tokenizer, image_seq_len=count),
        )

    def asked(processor: Any) -> Callable[[Image.Image], Arrays]:
        def run(image: Image.Image) -> Arrays:
            text = "<|im_start|>User:<image>Décris la page.<end_of_utterance>\nAssistant:"
            upright = ImageOps.exif_transpose(image)
            return _tiles(processor(images=[[upright]], text=[text], return_tensors="np"))

        return run

    def pages(processor: Any) -> Callable[[Image.Image], Arrays]:
        # This processor drops transparency instead of putting it on white.
        return lambda image: _tiles(processor.process_images([rgb(image)]))

    pil, vision = processors(Idefics3ImageProcessorPil), processors(Idefics3ImageProcessor)
    whole = {"do_image_splitting": False}
    pil_whole = processors(Idefics3ImageProcessorPil, **whole)
    vision_whole = processors(Idefics3ImageProcessor, **whole)
    tokenizer.backend_tokenizer.save(str(folder / "idefics3.json"))
    text = "<|im_start|>User:<image>Décris la page.<end_of_utterance>\nAssistant:"
    plain = {"tokenizer": "idefics3.json", "text": text, "image_token": "<image>", "image_tokens": count}
    colour = {"layout": "idefics3", "resample": "lanczos", "grid": {"tile_size": tile, "longest_edge": edge}}
    return {
        "idefics3": Reference(tower(prompt=plain, **colour), asked(pil[0]), asked(vision[0])),
        "colmodernvbert": Reference(
            tower(prompt=plain | {"text": pil[1].visual_prompt_prefix}, **colour),
            pages(pil[1]),
            pages(vision[1]),
        ),
        "idefics3, not split": Reference(
            tower(prompt=plain, **colour | {"grid": colour["grid"] | {"split": False}}),
            asked(pil_whole[0]),
            asked(vision_whole[0]),
        ),
    }


def _tiles(made: Any) -> Arrays:
    arrays = _numpy(made)
    assert arrays["pixel_attention_mask"].all()
    return {
        "pixel_values": arrays["pixel_values"][0],
        "input_ids": arrays["input_ids"],
        "attention_mask": arrays["attention_mask"],
    }
