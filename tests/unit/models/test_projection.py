"""The shipped projection is what its script writes, and keeps angles as well as 128 dimensions can."""

import importlib.util

import numpy as np

from opensearch_multimodal import resources
from opensearch_multimodal.models import load_spec


def test_the_shipped_projection_is_what_its_script_makes() -> None:
    specs = resources.find("onnx_models/specs")
    script = importlib.util.spec_from_file_location("make_projection", specs.parent / "make_projection.py")
    assert script is not None
    assert script.loader is not None
    module = importlib.util.module_from_spec(script)
    script.loader.exec_module(module)
    spec = load_spec("all-minilm-l6-v2-tokens")
    assert spec.projection is not None
    shipped = np.load(specs / spec.projection.file)
    assert (shipped.shape, shipped.dtype) == ((384, spec.dimension), np.float16)
    # One unit in the last place of a float16 below 0.25 is 2 to the power of -13.
    np.testing.assert_allclose(shipped, module.projection(), atol=2**-13, rtol=0)
    columns = shipped.astype(np.float64)
    np.testing.assert_allclose(columns.T @ columns, np.eye(spec.dimension), atol=1e-3)
