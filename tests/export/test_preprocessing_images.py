"""Our preprocessing gives what transformers' processors give: pixels, patches, positions, tokens of prompts.

The reference is the variant based on Pillow, which is equal bit for bit. The one based on torchvision resizes
with other roundings; by how much it differs on pages is held too.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import page_images
import pytest
import reference_processors
from golden_images import in_order_of_appearance, position_embedding, position_table
from PIL import Image
from reference_processors import Reference

from opensearch_multimodal.encoder.images import collate, open_reader, upright_size
from opensearch_multimodal.encoder.images.naflex import target_size
from opensearch_multimodal.errors import InvalidInput

FAMILIES = (
    "clip",
    "clip, cut from more",
    "clip, cut from less",
    "siglip",
    "colpali",
    "paligemma",
    "naflex",
    "colqwen2",
    "qwen2.5-vl",
    "qwen3-vl",
    "idefics3",
    "colmodernvbert",
    "idefics3, not split",
)
FLOATS = {"pixel_values", "patches", "position_weights", "position embedding"}

TORCHVISION = {
    "clip": (0.016, 1e-4),
    "siglip": (0.008, 1e-4),
    "colpali": (0.08, 5e-4),
    "naflex": (0.008, 1e-4),
    "qwen2.5-vl": (0.25, 1e-3),
    "idefics3": (0.016, 1e-4),
}
"""Family → the largest and the mean difference of a normalised component on pages, to the variant
based on torchvision: one or two of 255 levels, up to fifteen at sharp edges where a page is little scaled."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processors")


@pytest.fixture(scope="module")
def references(folder: Path) -> dict[str, Reference]:
    return reference_processors.references(folder)


def ours(reader, image: Image.Image, reference: Reference) -> dict[str, np.ndarray]:
    read = dict(reader.read(image))
    assert set(read) == reader.inputs
    if reference.tower.layout == "naflex":
        table = position_table(reference.tower.grid.position_side)
        read["position embedding"] = position_embedding(read, table)[None]
        del read["row_weights"], read["column_weights"]
    if "patch_windows" in read:
        read["patch_windows"] = in_order_of_appearance(read["patch_windows"])
    return read


def difference(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], where: str) -> float:
    """Return the largest difference of a float; integers must be equal."""
    assert set(found) == set(expected), where
    worst = 0.0
    for name, value in expected.items():
        assert found[name].shape == value.shape, (where, name)
        assert found[name].dtype == (np.float32 if name in FLOATS else np.int64), (where, name)
        if name in FLOATS:
            worst = max(worst, float(np.abs(found[name] - value).max()))
        else:
            wanted = in_order_of_appearance(value) if name == "patch_windows" else value
            np.testing.assert_array_equal(found[name], wanted, err_msg=f"{where} {name}")
    return worst


def images(family: str) -> Iterator[tuple[str, Image.Image]]:
    """Yield all images; large models get fewer."""
    for number, (name, image) in enumerate(page_images.everything()):
        if number % 3 == 0 or not family.startswith(("colqwen2", "qwen3", "colmodernvbert", "paligemma")):
            yield name, image


def test_every_family_is_tried(references: dict[str, Reference]) -> None:
    assert set(references) == set(FAMILIES)


def columns(reference: Reference, image: Image.Image) -> int:
    grid = reference.tower.grid
    return target_size(*upright_size(image), grid.patch_size, grid.max_patches)[1] // grid.patch_size


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_to_the_processor(family: str, references: dict[str, Reference], folder: Path) -> None:
    reference = references[family]
    reader = open_reader(reference.tower, folder)
    for name, image in images(family):
        before = image.tobytes()
        found, expected = ours(reader, image, reference), reference.run(image)
        if family == "naflex" and columns(reference, image) == 1:
            # torch's kernel for processors takes the first row of the table for all rows.
            del found["position embedding"], expected["position embedding"]
        assert difference(found, expected, f"{family}, {name}") <= 1e-6
        assert image.tobytes() == before


@pytest.mark.parametrize("family", TORCHVISION)
def test_the_variant_on_torchvision_differs_by_roundings(
    family: str, references: dict[str, Reference], folder: Path
) -> None:
    reference = references[family]
    reader = open_reader(reference.tower, folder)
    most, mean = TORCHVISION[family]
    for name, image in page_images.pages():
        found, expected = ours(reader, image, reference), reference.torchvision(image)
        difference(found, expected, f"{family}, {name}")
        key = "pixel_values" if "pixel_values" in found else "patches"
        differences = np.abs(found[key] - expected[key])
        assert 0 < differences.max() <= most, name
        assert differences.mean() <= mean, name


@pytest.mark.parametrize("family", ["naflex", "qwen2.5-vl", "qwen3-vl", "idefics3", "colpali"])
def test_a_batch_is_its_examples_padded(family: str, references: dict[str, Reference], folder: Path) -> None:
    reader = open_reader(references[family].tower, folder)
    examples = [reader.read(page_images.drawn(*size)) for size in ((300, 200), (90, 310), (500, 500))]
    batch = collate(examples)
    assert list(batch) == list(examples[0])
    start = 0
    for position, example in enumerate(examples):
        for name, value in example.items():
            if name == "pixel_values":
                np.testing.assert_array_equal(batch[name][start : start + len(value)], value)
                continue
            row = batch[name][:, position] if name == "position_ids" else batch[name][position]
            one = value[:, 0] if name == "position_ids" else value[0]
            axis = 1 if name == "position_ids" else 0
            kept, rest = np.split(row, [one.shape[axis]], axis=axis)
            np.testing.assert_array_equal(kept, one)
            assert not rest.any()
        start += len(example.get("pixel_values", ()))


def test_what_the_processor_refuses_is_refused(references: dict[str, Reference], folder: Path) -> None:
    reference = references["qwen2.5-vl"]
    reader = open_reader(reference.tower, folder)
    thin = Image.new("RGB", (2010, 10))
    with pytest.raises(ValueError, match="aspect ratio must be smaller than 200"):
        reference.run(thin)
    with pytest.raises(
        InvalidInput, match=r"2010 × 10 pixels: one side is 201 times the other.* at most 200"
    ):
        reader.cost(10, 2010)
