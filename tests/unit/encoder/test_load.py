"""Loading: providers, threads, files that do not fit their spec, projections, concurrency."""

import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime
import pytest

from opensearch_multimodal import download, encoder, models
from opensearch_multimodal.encoder import OnnxEncoder, ProviderWarning
from opensearch_multimodal.encoder.session import PROVIDERS
from opensearch_multimodal.errors import EnvironmentProblem, InvalidInput
from opensearch_multimodal.models import ModelSpec

Load = Callable[..., OnnxEncoder]
Draft = Callable[..., ModelSpec]


def test_a_provider_that_did_not_load_is_a_warning(draft: Draft, folder: Path) -> None:
    absent = next(
        name for name, full in PROVIDERS.items() if full not in onnxruntime.get_available_providers()
    )
    with pytest.warns(ProviderWarning, match="did not load, CPUExecutionProvider runs") as caught:
        loaded = encoder.load(draft(), folder=folder, provider=absent)
    assert caught[0].filename == __file__
    assert loaded.encode_queries(["alpha"]).shape == (1, 8)


def test_the_processor_is_no_warning(draft: Draft, folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.load(draft(), folder=folder, provider="cpu")


def test_an_unknown_provider_is_refused(draft: Draft, folder: Path) -> None:
    with pytest.raises(InvalidInput, match="'gpu' is not one of cpu, cuda"):
        encoder.load(draft(), folder=folder, provider="gpu")


def test_the_thread_count_does_not_change_vectors(draft: Draft, folder: Path) -> None:
    one, two = (
        encoder.load(draft(), folder=folder, threads=n).encode_queries(["alpha beta"]) for n in (1, 2)
    )
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_a_reranker_is_refused(draft: Draft, folder: Path) -> None:
    spec = draft().model_copy(update={"kind": "reranker"})
    with pytest.raises(InvalidInput, match="a reranker scores pairs"):
        encoder.load(spec, folder=folder)


def test_files_that_were_not_fetched_are_named(
    draft: Draft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSMM_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(EnvironmentProblem, match=r"'tiny': its files are not in .*nowhere"):
        encoder.load(draft())
    with pytest.raises(EnvironmentProblem, match=r"run 'osmm models pull bge-small-en-v1\.5'"):
        encoder.load(models.load_spec("bge-small-en-v1.5"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": {"output": "logits"}}, "no output 'logits'"),
        ({"image": {"output": "logits"}}, "no output 'logits'"),
        ({"text": {"onnx": "vision_model.onnx"}}, "does not read text"),
        ({"image": {"onnx": "text_model.onnx"}}, "does not read image"),
    ],
)
def test_a_spec_that_does_not_fit_its_files_is_refused(
    draft: Draft, folder: Path, changes: dict, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        encoder.load(draft(**changes), folder=folder)


@pytest.mark.parametrize("name", ["text_model.onnx", "tokenizer.json"])
def test_a_damaged_file_is_named(draft: Draft, folder: Path, name: str) -> None:
    spec = draft()
    (folder / name).write_bytes(b"damaged")
    with pytest.raises(EnvironmentProblem, match=name.replace(".", r"\.")):
        encoder.load(spec, folder=folder)


def test_a_wrong_dimension_is_refused(draft: Draft, folder: Path) -> None:
    loaded = encoder.load(draft().model_copy(update={"dimension": 9}), folder=folder)
    with pytest.raises(InvalidInput, match="gives vectors of dimension 8, its spec says 9"):
        loaded.encode_queries(["alpha"])


def test_a_pooling_that_does_not_fit_is_refused(draft: Draft, folder: Path) -> None:
    loaded = encoder.load(draft(text={"pooling": "mean"}), folder=folder)
    with pytest.raises(InvalidInput, match=r"shape \(1, 8\) does not fit pooling 'mean'"):
        loaded.encode_queries(["alpha"])


def with_projection(spec: ModelSpec, folder: Path, matrix: np.ndarray) -> ModelSpec:
    np.save(folder / "projection.npy", matrix)
    content = spec.model_dump()
    digest = download.sha256_of(folder / "projection.npy")
    content["files"] = [*content["files"], {"path": "projection.npy", "sha256": digest, "size": 1}]
    content |= {"projection": {"file": "projection.npy"}, "dimension": 3}
    return ModelSpec.model_validate(content)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_projection_maps_every_row(draft: Draft, folder: Path, tiny: ModuleType, dtype: type) -> None:
    matrix = np.random.default_rng(1).standard_normal((8, 3)).astype(dtype)
    spec = with_projection(draft(kind="multi_vector"), folder, matrix)
    [rows] = encoder.load(spec, folder=folder).encode_passages(["alpha beta"])
    states = tiny.table()[[tiny.WORDS.index(word) for word in ("[CLS]", "alpha", "beta", "[SEP]")]]
    expected = states @ matrix.astype(np.float32)
    np.testing.assert_allclose(rows, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)


def test_a_wrong_projection_is_refused(draft: Draft, folder: Path) -> None:
    spec = with_projection(draft(), folder, np.zeros((8, 4), np.float32))
    with pytest.raises(
        InvalidInput, match=r"projection\.npy: shape \(8, 4\), expected \(model dimension, 3\)"
    ):
        encoder.load(spec, folder=folder)
    (folder / "projection.npy").write_bytes(b"not an array")
    with pytest.raises(EnvironmentProblem, match=r"projection\.npy: not a \.npy array"):
        encoder.load(spec, folder=folder)


def test_many_threads_may_use_one_encoder(tiny_encoder: Load) -> None:
    loaded = tiny_encoder(kind="multi_vector", max_tokens=8, long_input="truncate")
    texts = ["alpha " * n + "beta gamma" for n in range(1, 20)]
    expected = loaded.encode_passages(texts)
    cut = loaded.truncated
    with ThreadPoolExecutor(8) as pool:
        for results in pool.map(lambda _: loaded.encode_passages(texts), range(24)):
            for rows, wanted in zip(results, expected, strict=True):
                np.testing.assert_allclose(rows, wanted, atol=1e-6)
    assert loaded.truncated == 25 * cut


def test_a_model_with_a_fixed_batch_of_one_works(folder: Path, draft: Draft) -> None:
    import onnx

    spec = draft(kind="multi_vector")
    expected = encoder.load(spec, folder=folder).encode_passages(["alpha", "beta gamma"])
    path = folder / "text_model.onnx"

    def fix(batch: int) -> None:
        model = onnx.load(str(path))
        for node in [*model.graph.input, *model.graph.output]:
            node.type.tensor_type.shape.dim[0].dim_value = batch
        onnx.save_model(model, str(path))

    fix(1)
    for rows, wanted in zip(
        encoder.load(spec, folder=folder).encode_passages(["alpha", "beta gamma"]), expected, strict=True
    ):
        np.testing.assert_allclose(rows, wanted, atol=1e-6)
    fix(4)
    with pytest.raises(InvalidInput, match="its batch axis is fixed at 4"):
        encoder.load(spec, folder=folder)


def test_no_training_framework_is_imported() -> None:
    code = (
        "import sys, opensearch_multimodal.encoder, opensearch_multimodal.models; "
        "sys.exit(bool({'torch', 'transformers', 'onnx'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
