from __future__ import annotations

from typing import Any

import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.sources import Limits, SourceOptions


def test_limits_are_on_by_default() -> None:
    limits = SourceOptions().limits
    assert limits == Limits(512 * 2**20, 5_000, 100_000_000, 1_000_000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"dpi": 0},
        {"dpi": 5_000},
        {"ocr": "maybe"},
        {"ocr_threads": 0},
        {"passage_chars": 10},
        {"passage_overlap": -1},
        {"passage_chars": 400, "passage_overlap": 201},
    ],
)
def test_options_that_cannot_work_are_named(wrong: dict[str, Any]) -> None:
    field = list(wrong)[-1]
    with pytest.raises(InvalidInput, match=f"^{field}: "):
        SourceOptions(**wrong)


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(InvalidInput, match="max_pages: -1"):
        Limits(max_pages=-1)
