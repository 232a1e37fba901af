"""Page images: what the model reads of them, and the vectors of a tiny model with known weights."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from opensearch_multimodal.encoder import OnnxEncoder, UnencodableInput
from opensearch_multimodal.encoder.images.fixed import pixels
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.models import ImageTower

Load = Callable[..., OnnxEncoder]


def tower(**changes: object) -> ImageTower:
    return ImageTower.model_validate(
        {"onnx": "m.onnx", "output": "o", "pooling": "none", "size": (16, 16), **changes}
    )


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_rescaling_and_normalization() -> None:
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    read = pixels(Image.new("RGB", (40, 30), (255, 128, 0)), tower(mean=mean, std=std, size=(8, 12)))
    assert read.shape == (3, 8, 12)
    assert read.dtype == np.float32
    expected = [(255 / 255 - 0.1) / 0.5, (128 / 255 - 0.2) / 0.6, (0 / 255 - 0.3) / 0.7]
    np.testing.assert_allclose(read, np.broadcast_to(np.reshape(expected, (3, 1, 1)), (3, 8, 12)), atol=1e-6)


def test_channel_order() -> None:
    plain = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "rescale": 1.0}
    image = Image.new("RGB", (16, 16), (10, 20, 30))
    assert pixels(image, tower(channels="rgb", **plain))[:, 0, 0].tolist() == [10, 20, 30]
    assert pixels(image, tower(channels="bgr", **plain))[:, 0, 0].tolist() == [30, 20, 10]


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_stretch_is_pillows_resize(name: str) -> None:
    image = noise(50, 37)
    read = pixels(image, tower(resample=name, mean=(0, 0, 0), std=(1, 1, 1), rescale=1.0, size=(16, 24)))
    expected = np.asarray(image.resize((24, 16), Image.Resampling[name.upper()]))
    np.testing.assert_array_equal(read, expected.transpose(2, 0, 1))


@pytest.mark.parametrize(("width", "height"), [(64, 32), (32, 64), (48, 48), (33, 100), (5, 3)])
def test_crop_scales_the_shorter_side_and_cuts_the_centre(width: int, height: int) -> None:
    image = noise(width, height)
    read = pixels(image, tower(resize="crop", mean=(0, 0, 0), std=(1, 1, 1), rescale=1.0))
    scaled = (16, int(16 * height / width)) if width <= height else (int(16 * width / height), 16)
    left, top = (scaled[0] - 16) // 2, (scaled[1] - 16) // 2
    expected = np.asarray(image.resize(scaled, Image.Resampling.BICUBIC))[top : top + 16, left : left + 16]
    np.testing.assert_array_equal(read, expected.transpose(2, 0, 1))


@pytest.mark.parametrize(("width", "height"), [(64, 32), (32, 64), (48, 48)])
def test_pad_keeps_everything_and_fills_with_white(width: int, height: int) -> None:
    image = noise(width, height)
    read = pixels(image, tower(resize="pad", mean=(0, 0, 0), std=(1, 1, 1), rescale=1.0)).transpose(1, 2, 0)
    scaled = (16, int(16 * height / width)) if width >= height else (int(16 * width / height), 16)
    expected = np.asarray(image.resize(scaled, Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(read[: scaled[1], : scaled[0]], expected)
    assert (read[scaled[1] :] == 255).all()
    assert (read[:, scaled[0] :] == 255).all()


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("L", (20, 20), 100), (100, 100, 100)),
        (Image.new("1", (20, 20), 1), (255, 255, 255)),
        (Image.new("RGBA", (20, 20), (10, 20, 30, 0)), (255, 255, 255)),
        (Image.new("RGBA", (20, 20), (10, 20, 30, 255)), (10, 20, 30)),
        (Image.new("LA", (20, 20), (0, 0)), (255, 255, 255)),
        (Image.new("I;16", (20, 20), 100 * 256), (100, 100, 100)),
        (Image.new("CMYK", (20, 20), (0, 0, 0, 255)), (0, 0, 0)),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_every_mode_becomes_colour_on_white(image: Image.Image, expected: tuple[int, int, int]) -> None:
    read = pixels(image, tower(mean=(0, 0, 0), std=(1, 1, 1), rescale=1.0))
    assert read[:, 8, 8].tolist() == list(expected)


def test_a_camera_rotation_is_applied() -> None:
    image = noise(16, 16)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by 90 degrees
    turned = image.copy()
    turned.getexif().update(exif)
    plain = {"mean": (0, 0, 0), "std": (1, 1, 1), "rescale": 1.0}
    expected = pixels(image.transpose(Image.Transpose.ROTATE_270), tower(**plain))
    np.testing.assert_array_equal(pixels(turned, tower(**plain)), expected)


def patch_states(read: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return shape (patches, d): each patch of the image times the weights, row by row."""
    size = kernel.shape[-1]
    _, height, width = read.shape
    patches = [
        read[:, y : y + size, x : x + size] for y in range(0, height, size) for x in range(0, width, size)
    ]
    return np.array([[np.sum(patch * weights) for weights in kernel] for patch in patches])


def test_patch_vectors_of_a_known_model(tiny_encoder: Load, tiny) -> None:
    encoder = tiny_encoder(kind="multi_vector")
    images = [noise(40 + n, 60 - n, n) for n in range(11)]  # more than one batch
    results = encoder.encode_pages(images)
    assert [rows.shape for rows in results] == [(4, 8)] * 11
    for image, rows in zip(images, results, strict=True):
        states = patch_states(pixels(image, encoder.spec.image), tiny.kernel())
        expected = states / np.linalg.norm(states, axis=1, keepdims=True)
        np.testing.assert_allclose(rows, expected, atol=1e-5)
        np.testing.assert_allclose(encoder.encode_pages([image])[0], rows, atol=1e-5)


@pytest.mark.parametrize("pooling", [None, "mean"])
def test_page_vectors_of_a_known_model(tiny_encoder: Load, tiny, pooling: str | None) -> None:
    encoder = tiny_encoder(pooling=pooling)
    images = [noise(40, 60), noise(90, 20, 1)]
    for image, vector in zip(images, encoder.encode_pages(images), strict=True):
        mean = patch_states(pixels(image, encoder.spec.image), tiny.kernel()).mean(axis=0)
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_text_and_images_share_the_dimension(tiny_encoder: Load) -> None:
    encoder = tiny_encoder()
    assert encoder.spec.inputs == ("text", "image")
    query, page = encoder.encode_queries(["alpha"]), encoder.encode_pages([noise(20, 20)])
    assert query.shape == page.shape == (1, encoder.dimension)


def test_a_model_for_pages_takes_text_queries_but_no_passages(tiny_encoder: Load) -> None:
    encoder = tiny_encoder(inputs=("image",))
    assert encoder.encode_queries(["alpha"]).shape == (1, 8)
    with pytest.raises(InvalidInput, match="does not read passages"):
        encoder.encode_passages(["alpha"])


def test_what_is_no_image_is_named(tiny_encoder: Load) -> None:
    with pytest.raises(UnencodableInput, match=r"images\[1\]: expected an image, got str"):
        tiny_encoder().encode_pages([noise(20, 20), "page.png"])


def test_an_image_without_a_vector_is_named(tiny_encoder: Load) -> None:
    encoder = tiny_encoder(image={"mean": (0, 0, 0)})
    with pytest.raises(UnencodableInput, match=r"images\[9\]: .*zero"):
        encoder.encode_pages([*[noise(20, 20)] * 9, Image.new("RGB", (20, 20))])
