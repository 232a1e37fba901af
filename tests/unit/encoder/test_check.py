from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from opensearch_multimodal.encoder import check_model
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.models import ModelSpec

Draft = Callable[..., ModelSpec]


@pytest.mark.parametrize("kind", ["dense", "multi_vector"])
def test_a_good_model_passes(draft: Draft, folder: Path, kind: str) -> None:
    check = check_model(draft(kind=kind), folder=folder)
    assert check.dimension == 8
    assert check.batch_difference < 1e-5
    assert not check.batch_dependent
    assert check.inputs == ("queries", "passages", "pages")


def test_a_wrong_dimension_is_found(draft: Draft, folder: Path) -> None:
    with pytest.raises(InvalidInput, match="dimension 8, its spec says 16"):
        check_model(draft().model_copy(update={"dimension": 16}), folder=folder)


def replace_table(path: Path, table: np.ndarray) -> None:
    model = onnx.load(str(path))
    kept = [tensor for tensor in model.graph.initializer if tensor.name != "table"]
    del model.graph.initializer[:]
    model.graph.initializer.extend([*kept, numpy_helper.from_array(table.astype(np.float32), "table")])
    onnx.save_model(model, str(path))


@pytest.mark.parametrize(("fill", "message"), [(np.nan, "NaN, infinite or zero"), (1.0, "the same vector")])
def test_useless_vectors_are_found(
    draft: Draft, folder: Path, tiny: ModuleType, fill: float, message: str
) -> None:
    replace_table(folder / "text_model.onnx", np.full_like(tiny.table(), fill))
    with pytest.raises(InvalidInput, match=message):
        check_model(draft(), folder=folder)


def test_a_dependence_on_the_batch_is_found(draft: Draft, folder: Path, tiny: ModuleType) -> None:
    replace_table(folder / "text_model.onnx", np.nan_to_num(tiny.table()) + 1)
    tiny.depend_on_batch(folder / "text_model.onnx")
    spec = draft(pooling="mean")
    with pytest.raises(InvalidInput, match="with what else is in the batch"):
        check_model(spec, folder=folder)
    told = spec.model_copy(update={"batch_dependent": True})
    for check in (
        check_model(spec, folder=folder, allow_batch_dependence=True),
        check_model(told, folder=folder),
    ):
        assert check.batch_difference > 1e-3
        assert check.batch_dependent


def test_a_model_that_cannot_run_is_named(draft: Draft, folder: Path, tiny: ModuleType) -> None:
    spec = draft()
    replace_table(folder / "text_model.onnx", tiny.table()[:4])  # token ids reach further
    with pytest.raises(InvalidInput, match="model 'tiny' fails on queries: "):
        check_model(spec, folder=folder)
