from __future__ import annotations

import io

from PIL import Image

from opensearch_multimodal.evaluation.html_sources import thumbnail


def test_a_thumbnail_is_a_small_jpeg_and_the_image_stays():
    image = Image.effect_noise((1240, 1754), 40).convert("RGB")
    small = thumbnail(image)
    assert image.size == (1240, 1754)
    assert (small.width, small.height) == (240, round(1754 * 240 / 1240))
    with Image.open(io.BytesIO(small.jpeg)) as opened:
        assert (opened.format, opened.size) == ("JPEG", (small.width, small.height))
    assert small.uri.startswith("data:image/jpeg;base64,/9j/")


def test_a_narrow_page_is_small_in_both_directions():
    small = thumbnail(Image.new("RGB", (100, 4000)))
    assert (small.width, small.height) == (100 * 480 // 4000, 480)
