"""The registry: every module of architectures has one, and each model is recognised by its configuration."""

from __future__ import annotations

from collections import Counter

import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.export import ExportOptions
from opensearch_multimodal.export.architectures import architectures, recognise, supported


def test_no_two_architectures_claim_a_model() -> None:
    claimed = Counter(
        (one, kind)
        for architecture in architectures()
        for one in architecture.model_types
        for kind in architecture.kinds
    )
    assert [name for name, count in claimed.items() if count > 1] == []
    assert all(architecture.kinds for architecture in architectures())


@pytest.mark.parametrize(
    ("model_type", "name"),
    [("bert", "BERT family"), ("modernbert", "ModernBERT family"), ("qwen3", "Decoder text embedders")],
)
def test_models_are_recognised(model_type: str, name: str) -> None:
    assert recognise({"model_type": model_type}, ExportOptions()).name == name


def test_a_model_of_two_architectures_is_told_apart_by_its_kind() -> None:
    for kind, name in (("dense", "Qwen-VL embedders"), ("multi_vector", "ColQwen family")):
        assert recognise({"model_type": "qwen2_vl"}, ExportOptions(kind=kind)).name == name


def test_what_is_not_supported_is_refused_with_what_is() -> None:
    with pytest.raises(InvalidInput, match=r"model_type 'mamba' of config\.json is not supported") as raised:
        recognise({"model_type": "mamba"}, ExportOptions())
    assert supported() in str(raised.value)
    with pytest.raises(InvalidInput, match="yields dense or multi_vector, not reranker"):
        recognise({"model_type": "qwen3"}, ExportOptions(kind="reranker"))
