import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import tiny_models

from opensearch_multimodal import encoder, models
from opensearch_multimodal.encoder import OnnxEncoder
from opensearch_multimodal.models import DraftOptions, ModelSpec


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The builders of tiny models."""
    return tiny_models


@pytest.fixture(scope="session")
def golden() -> ModuleType:
    """The generator of the golden vectors."""
    return _module(Path(__file__).parents[2] / "golden" / "models" / "generate.py")


@pytest.fixture
def folder(tmp_path: Path, tiny: ModuleType) -> Path:
    """A folder with a text tower, an image tower and a tokenizer."""
    tiny.write_text_model(tmp_path / "text_model.onnx")
    tiny.write_image_model(tmp_path / "vision_model.onnx")
    tiny.write_tokenizer(tmp_path / "tokenizer.json")
    return tmp_path


@pytest.fixture
def draft(folder: Path) -> Callable[..., ModelSpec]:
    """Draft a spec for ``folder``: ``text`` and ``image`` change the towers, the rest are options."""

    def make(text: dict | None = None, image: dict | None = None, **options: object) -> ModelSpec:
        content = models.draft_spec(folder, "tiny", DraftOptions(**options)).model_dump()
        content["text"] |= text or {}
        content["image"] |= image or {}
        return ModelSpec.model_validate(content)

    return make


@pytest.fixture
def tiny_encoder(folder: Path, draft: Callable[..., ModelSpec]) -> Callable[..., OnnxEncoder]:
    """Load the tiny model with the given changes of its spec."""
    return lambda **changes: encoder.load(draft(**changes), folder=folder, threads=1)


@pytest.fixture(scope="session")
def dense() -> OnnxEncoder:
    """The default dense model, with its real weights."""
    return _default(0)


@pytest.fixture(scope="session")
def late() -> OnnxEncoder:
    """The default late-interaction model, with its real weights."""
    return _default(1)


def _default(position: int) -> OnnxEncoder:
    spec = models.load_spec(models.DEFAULT_MODELS[position])
    models.pull(spec)
    return encoder.load(spec)
