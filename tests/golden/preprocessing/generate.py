"""Write numbers.json: what transformers' processors make of drawn images, in small sizes.

Needs the export extra: ``PYTHONPATH=src:tests/support python tests/golden/preprocessing/generate.py``.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import golden_images
import numpy as np
import reference_processors
import transformers
from PIL import __version__ as pillow

TARGET = Path(__file__).with_name("numbers.json")


def numbers() -> dict[str, Any]:
    """Return family → tower, and image → input → shape, sampled values and their sum."""
    families: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for family, reference in reference_processors.references(Path(folder), small=True).items():
            tower = reference.tower.model_dump(mode="json", exclude_defaults=True)
            images = {name: _sampled(reference.run(image)) for name, image in golden_images.images()}
            families[family] = {"tower": tower, "images": images}
    return {"transformers": transformers.__version__, "pillow": pillow, "families": families}


def _sampled(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    if "patch_windows" in arrays:
        arrays["patch_windows"] = golden_images.in_order_of_appearance(arrays["patch_windows"])
    return {name: golden_images.sampled(array) for name, array in arrays.items()}


if __name__ == "__main__":
    TARGET.write_text(json.dumps(numbers(), separators=(",", ":")) + "\n", "utf-8")
