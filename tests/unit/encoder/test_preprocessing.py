"""Preprocessing in every layout: golden numbers of transformers' processors, batches, bad input."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import golden_images
import numpy as np
import page_images
import pytest
import tiny_tokenizers
from PIL import Image

from opensearch_multimodal import encoder
from opensearch_multimodal.encoder import OnnxEncoder, UnencodableInput
from opensearch_multimodal.encoder.images import collate, open_reader
from opensearch_multimodal.encoder.images.fixed import pixels
from opensearch_multimodal.encoder.pages import PageTower
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.models import ImageTower, ModelSpec

GOLDEN = json.loads(
    (Path(__file__).parents[2] / "golden" / "preprocessing" / "numbers.json").read_text("utf-8")
)["families"]

QWEN = {"patch_size": 4, "merge_size": 2, "temporal_patch_size": 2, "min_pixels": 256, "max_pixels": 1280}
NAFLEX = {"patch_size": 4, "max_patches": 20, "position_side": 5}


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tokenizers that the golden numbers were made with."""
    folder = tmp_path_factory.mktemp("tokenizers")
    for name in ("colpali", "paligemma"):
        tiny_tokenizers.sentencepiece(bos=False, size=0).save(str(folder / f"{name}.json"))
    tiny_tokenizers.byte_level(tiny_tokenizers.QWEN_TOKENS, size=0).save(str(folder / "qwen.json"))
    tiny_tokenizers.byte_level(tiny_tokenizers.IDEFICS3_TOKENS, size=0).save(str(folder / "idefics3.json"))
    return folder


@pytest.mark.parametrize("family", GOLDEN)
def test_golden_numbers_of_the_processors(family: str, tokenizers: Path) -> None:
    tower = ImageTower.model_validate(GOLDEN[family]["tower"])
    reader = open_reader(tower, tokenizers)
    for name, image in golden_images.images():
        expected = GOLDEN[family]["images"][name]
        read = dict(reader.read(image))
        assert set(read) == reader.inputs
        assert reader.masks <= set(read)
        if tower.layout == "naflex":
            table = golden_images.position_table(tower.grid.position_side)
            read["position embedding"] = golden_images.position_embedding(read, table)[None]
            del read["row_weights"], read["column_weights"]
        if "patch_windows" in read:
            read["patch_windows"] = golden_images.in_order_of_appearance(read["patch_windows"])
        assert set(read) == set(expected)
        for key, array in read.items():
            found, wanted = golden_images.sampled(array), expected[key]
            assert found["shape"] == wanted["shape"], (name, key)
            np.testing.assert_allclose(
                [*found["values"], found["total"]],
                [*wanted["values"], wanted["total"]],
                rtol=0,
                atol=1e-6 if np.issubdtype(array.dtype, np.floating) else 0,
                err_msg=f"{name} {key}",
            )
        pixels_read = reader.cost(*(image.size[::-1] if name != "turned" else image.size))
        channels = "patches" if "patches" in read else "pixel_values"
        frames = 2 if tower.layout == "qwen_vl" else 1
        assert read[channels].size == 3 * frames * pixels_read


def settings(layout: str, **changes: Any) -> dict[str, Any]:
    return {"layout": layout, "output": "embeddings", "pooling": "none"} | changes


PROMPTS = {
    "qwen.json": {"text": "<|im_start|><|image_pad|>!", "image_token": "<|image_pad|>"},
    "idefics3.json": {"text": "<|im_start|>:<image>!", "image_token": "<image>", "image_tokens": 3},
}


def prompt(name: str, **changes: Any) -> dict[str, Any]:
    return {"tokenizer": name} | PROMPTS[name] | changes


def loaded(
    folder: Path, tiny: ModuleType, image: dict[str, Any], rows: dict[str, int], **read: int
) -> OnnxEncoder:
    """Return the encoder of a tower whose rows are its inputs."""
    tiny.write_echo_model(folder / "image.onnx", rows, read)
    files = ["image.onnx", *([image["prompt"]["tokenizer"]] if "prompt" in image else [])]
    spec = ModelSpec.model_validate(
        {
            "name": "echo",
            "kind": "multi_vector",
            "inputs": ["image"],
            "dimension": len(rows),
            "image": {"onnx": "image.onnx", **image},
            "files": [{"path": path, "sha256": "0" * 64, "size": 1} for path in files],
        }
    )
    return encoder.load(spec, folder=folder, threads=1)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


IMAGES = [
    page_images.drawn(*size, seed) for seed, size in enumerate([(40, 30), (200, 20), (15, 64), (33, 33)])
]


def check_rows(made: OnnxEncoder, folder: Path, inputs: dict[str, int]) -> None:
    """Hold the rows of a batch equal to what the reader gives for each image alone."""
    reader = open_reader(made.spec.image, folder)
    together = made.encode_pages(IMAGES)
    for image, rows in zip(IMAGES, together, strict=True):
        example = reader.read(image)
        parts = []
        for name, rank in inputs.items():
            value = example[name].astype(np.float32)
            if name == "position_ids":
                parts.append(value[:, 0].mean(axis=0))
            else:
                parts.append(value[0].mean(axis=-1) if rank == 3 else value[0])
        np.testing.assert_allclose(rows, unit(np.stack(parts, axis=-1)), atol=1e-5)
        np.testing.assert_allclose(made.encode_pages([image])[0], rows, atol=1e-5)


def test_patches_of_any_shape_run_together(tmp_path: Path, tiny: ModuleType) -> None:
    inputs = {"patches": 3, "patch_mask": 2, "row_weights": 3}
    made = loaded(tmp_path, tiny, settings("naflex", grid=NAFLEX), inputs, column_weights=3)
    check_rows(made, tmp_path, inputs)


def test_blocks_of_patches_with_a_prompt(tmp_path: Path, tiny: ModuleType, tokenizers: Path) -> None:
    image = settings(
        "qwen_vl",
        grid=QWEN | {"window_size": 16, "position_side": 6},
        prompt=prompt("qwen.json"),
    )
    (tmp_path / "qwen.json").write_bytes((tokenizers / "qwen.json").read_bytes())
    tokens = {"position_ids": 3, "input_ids": 2, "attention_mask": 2}
    patches = {"patches": 3, "patch_mask": 2, "patch_positions": 3, "patch_windows": 2}
    weights = {"position_indices": 3, "position_weights": 3}
    check_rows(loaded(tmp_path, tiny, image, tokens, **patches, **weights), tmp_path, tokens)


def test_tiles_with_a_prompt(tmp_path: Path, tiny: ModuleType, tokenizers: Path) -> None:
    grid = {"tile_size": 16, "longest_edge": 64}
    image = settings("idefics3", grid=grid, resample="lanczos", prompt=prompt("idefics3.json"))
    (tmp_path / "idefics3.json").write_bytes((tokenizers / "idefics3.json").read_bytes())
    tokens = {"input_ids": 2, "attention_mask": 2}
    check_rows(loaded(tmp_path, tiny, image, tokens, pixel_values=4), tmp_path, tokens)


def test_a_graph_without_a_mask_takes_one_image_at_a_time(tmp_path: Path, tiny: ModuleType) -> None:
    image = settings("naflex", grid=NAFLEX)
    inputs = {"patches": 3, "row_weights": 3}
    made = loaded(tmp_path, tiny, image, inputs)
    check_rows(made, tmp_path, inputs)
    tower = PageTower(made.spec, tmp_path, provider="cpu", threads=1)
    assert [len(ran.positions) for ran in tower.run(IMAGES)] == [1] * 4


def test_batches_keep_to_the_budget_of_pixels(tmp_path: Path, tiny: ModuleType) -> None:
    grid = {"patch_size": 16, "merge_size": 2, "temporal_patch_size": 2}
    image = settings("qwen_vl", grid=grid | {"min_pixels": 1024, "max_pixels": 2**20})
    made = loaded(tmp_path, tiny, image, {"patches": 3, "patch_mask": 2}, patch_positions=3)
    tower = PageTower(made.spec, tmp_path, provider="cpu", threads=1)
    sizes = [(512, 512)] * 5 + [(1024, 1024), (64, 64), (4096, 4096)]
    ran = list(tower.run([Image.new("RGB", size, "white") for size in sizes]))
    assert [states.positions for states in ran] == [[5], [7], [0, 1, 2, 3], [4, 6]]
    assert [states.mask.sum(axis=1).tolist() for states in ran] == [[4096], [4096], [1024] * 4, [1024, 16]]


def test_a_graph_that_wants_what_the_layout_has_not_is_refused(tmp_path: Path, tiny: ModuleType) -> None:
    image = settings("qwen_vl", grid=QWEN)
    with pytest.raises(InvalidInput, match="takes patch_windows, which layout 'qwen_vl' without a prompt"):
        loaded(tmp_path, tiny, image, {"patches": 3, "patch_mask": 2, "patch_windows": 2})


def test_rows_that_are_neither_tokens_nor_patches_are_refused(tmp_path: Path, tiny: ModuleType) -> None:
    made = loaded(tmp_path, tiny, settings("naflex", grid=NAFLEX), {"patches": 3, "patch_mask": 2})
    tower = PageTower(made.spec, tmp_path, provider="cpu", threads=1)
    feed = {"patch_mask": np.ones((2, 5))}
    with pytest.raises(InvalidInput, match="its output has 7 rows per image, its input 5"):
        tower._mask(np.zeros((2, 7, 1), np.float32), feed, 2)
    with pytest.raises(InvalidInput, match=r"its output has shape \(3, 5, 1\) for 2 images"):
        tower._mask(np.zeros((3, 5, 1), np.float32), feed, 2)


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((0, 5), "0 × 5 pixels are no image"),
        ((2001, 10), "2001 × 10 pixels: one side is 200 times the other, the model reads at most 200"),
        ((3, 900), "3 × 900 pixels: one side is 300 times the other"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, tiny: ModuleType, size: tuple[int, int], reason: str
) -> None:
    image = settings("qwen_vl", grid=QWEN)
    made = loaded(tmp_path, tiny, image, {"patches": 3, "patch_mask": 2}, patch_positions=3)
    with pytest.raises(UnencodableInput, match=rf"images\[2\]: {reason}") as caught:
        made.encode_pages([*IMAGES[:2], Image.new("RGB", size), "page"])
    assert caught.value.index == 2


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 3)])
@pytest.mark.parametrize("family", ["clip", "siglip", "naflex", "idefics3"])
def test_extreme_shapes_are_read_where_the_model_takes_them(
    family: str, size: tuple[int, int], tokenizers: Path
) -> None:
    reader = open_reader(ImageTower.model_validate(GOLDEN[family]["tower"]), tokenizers)
    assert all(np.isfinite(value).all() for value in reader.read(Image.new("RGB", size, "white")).values())


@pytest.mark.parametrize("edge", [None, 256])
def test_a_line_is_not_blown_up_before_its_centre_is_cut(edge: int | None) -> None:
    # Scaled to a height of 224, the image would have 2,000,000 × 224 pixels.
    line = Image.new("RGB", (9000, 1))
    line.paste(Image.linear_gradient("L").rotate(90).resize((9000, 1)).convert("RGB"))
    tower = {"onnx": "m", "output": "o", "pooling": "none", "size": (224, 224), "resize": "crop"}
    read = pixels(line, ImageTower.model_validate(tower | {"shortest_edge": edge}))
    assert read.shape == (3, 224, 224)
    assert np.ptp(read) < 0.1  # the middle of the gradient


def test_the_tokenizer_of_a_prompt_must_know_its_image(tokenizers: Path) -> None:
    other = prompt("idefics3.json", tokenizer="qwen.json")
    tower = settings("fixed", size=(32, 32), prompt=other, onnx="image.onnx")
    with pytest.raises(InvalidInput, match=r"prompt: qwen\.json has no token '<image>'"):
        open_reader(ImageTower.model_validate(tower), tokenizers)


def test_collated_examples_are_not_changed() -> None:
    examples = [
        {"patches": np.ones((1, n, 2), np.float32), "position_ids": np.ones((3, 1, n))} for n in (2, 3)
    ]
    batch = collate(examples)
    assert batch["patches"].shape == (2, 3, 2)
    assert batch["position_ids"].shape == (3, 2, 3)
    assert batch["patches"][0].sum() == 4
    assert batch["position_ids"][:, 0].sum() == 6
    assert [example["patches"].shape for example in examples] == [(1, 2, 2), (1, 3, 2)]
