from pathlib import Path
from types import ModuleType

import pytest
import tiny_models

from opensearch_multimodal.models import ModelSpec


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty $OSMM_HOME."""
    folder = tmp_path / "home"
    monkeypatch.setenv("OSMM_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The builders of tiny models."""
    return tiny_models


@pytest.fixture
def text_folder(tmp_path: Path, tiny: ModuleType) -> Path:
    """A folder with a text model and its tokenizer."""
    folder = tmp_path / "exported"
    folder.mkdir()
    tiny.write_text_model(folder / "model.onnx")
    tiny.write_tokenizer(folder / "tokenizer.json")
    return folder


@pytest.fixture
def rich_spec() -> ModelSpec:
    """A spec in which every section is filled and no field that may differ has its default."""
    files = ("text.onnx", "tokenizer.json", "image.onnx", "text.onnx_data", "projection.npy")
    return ModelSpec.model_validate(
        {
            "name": "rich",
            "kind": "multi_vector",
            "inputs": ["text", "image"],
            "dimension": 64,
            "description": "d",
            "licence": "MIT",
            "source": "s",
            "revision": "r",
            "origin": {"coordinates": "g:a:1", "sha256": "a" * 64, "size": 9},
            "text": {
                "onnx": "text.onnx",
                "tokenizer": "tokenizer.json",
                "output": "states",
                "pooling": "none",
                "query_prefix": "query: ",
                "passage_prefix": "passage: ",
                "query_suffix": "?",
                "passage_suffix": "!",
                "query_expansion": "[MASK]",
                "expansion_attended": True,
                "max_query_tokens": 32,
                "max_passage_tokens": 300,
                "long_input": "truncate",
                "skip_special": True,
                "skip_punctuation": True,
            },
            "image": {
                "onnx": "image.onnx",
                "output": "patches",
                "pooling": "none",
                "size": [224, 336],
                "resize": "crop",
                "shortest_edge": 256,
                "resample": "bilinear",
                "rescale": 0.0078125,
                "mean": [0.1, 0.2, 0.3],
                "std": [0.4, 0.5, 0.6],
                "channels": "bgr",
                "prompt": {
                    "tokenizer": "tokenizer.json",
                    "text": "<image>Describe",
                    "image_token": "<image>",
                    "image_tokens": 4,
                    "add_special_tokens": False,
                    "fake_token": "<around>",
                    "global_token": "<global>",
                    "tile_token": "<row_{row}_{column}>",
                },
            },
            "projection": {"file": "projection.npy"},
            "files": [
                {"path": path, "sha256": f"{i}" * 64, "size": 10 + i, "member": f"m{i}"}
                for i, path in enumerate(files)
            ],
        }
    )
