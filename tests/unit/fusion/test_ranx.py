"""The same values as ranx, where it has the same method; tests/golden/fusion/regenerate.py made the file."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from opensearch_multimodal.fusion import fuse

GOLDEN = Path(__file__).parents[2] / "golden" / "fusion" / "ranx.json"
CASES = json.loads(GOLDEN.read_text("utf-8"))["cases"]
LOWEST = 0.001
"""What our `min_max` gives to the lowest score, as OpenSearch does; ranx gives it 0."""


def cases(normalization, combination):
    chosen = [c for c in CASES if (c["normalization"], c["combination"]) == (normalization, combination)]
    assert len(chosen) == 4
    for case in chosen:
        names = sorted(case["fused"])
        rows = {
            f"retriever {number}": np.array([one.get(name, -np.inf) for name in names])
            for number, one in enumerate(case["scores"])
        }
        lowest = np.array([[one.get(name) == min(one.values()) for name in names] for one in case["scores"]])
        yield rows, lowest.sum(axis=0), np.array([case["fused"][name] for name in names])


def test_min_max_and_sum():
    for rows, lowest, expected in cases("min-max", "sum"):
        fused = fuse(rows, normalization="min_max", combination="arithmetic_mean")
        np.testing.assert_allclose(len(rows) * fused, expected + LOWEST * lowest, atol=1e-12)


def test_z_score_and_sum():
    """The same but for the deviation: ranx divides by n, OpenSearch and we by n − 1."""
    for rows, _, expected in cases("zmuv", "sum"):
        scored = {name: np.isfinite(row) for name, row in rows.items()}
        weights = {name: math.sqrt(flags.sum() / (flags.sum() - 1)) for name, flags in scored.items()}
        fused = fuse(
            rows, normalization="z_score", combination="arithmetic_mean", weights=weights, missing="skip"
        )
        total = sum(weights[name] * flags for name, flags in scored.items())
        np.testing.assert_allclose(total * fused, expected, atol=1e-12)


def test_rank_and_sum():
    for rows, _, expected in cases("rank", "sum"):
        fused = fuse(rows, normalization="rank", combination="arithmetic_mean")
        np.testing.assert_allclose(len(rows) * fused, expected, atol=1e-12)


@pytest.mark.parametrize(("theirs", "ours"), [("min-max", "min_max"), ("rank", "rank")])
def test_comb_mnz(theirs, ours):
    for rows, lowest, expected in cases(theirs, "mnz"):
        found = sum(np.isfinite(row).astype(int) for row in rows.values())
        raised = LOWEST * lowest * found if ours == "min_max" else 0
        fused = fuse(rows, normalization=ours, combination="comb_mnz")
        np.testing.assert_allclose(fused, expected + raised, atol=1e-12)


def test_rrf():
    for rows, _, expected in cases(None, "rrf"):
        np.testing.assert_allclose(fuse(rows, combination="rrf"), expected, atol=1e-12)
