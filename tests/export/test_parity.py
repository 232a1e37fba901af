"""The report sees what is wrong with an export: each fault here is one that exports really have had."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_text import write_model
from torch import Tensor, nn

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.export import Batch, ExportOptions, Graph, Plan, export_model, open_source
from opensearch_multimodal.export.compare import check_parity
from opensearch_multimodal.export.convert import convert
from opensearch_multimodal.export.examples import collate_text, widen_text
from opensearch_multimodal.export.parity import TOLERANCES, Parity, refuse_outside
from opensearch_multimodal.export.table import markdown

WORDS, WIDTH = 50, 8
TABLE = np.random.default_rng(2).standard_normal((WORDS, WIDTH)).astype(np.float32)


class Mean(nn.Module):
    """The mean of the states of words; ``fault`` changes what it does with padding, rows or values."""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.table = nn.Parameter(torch.from_numpy(TABLE))
        self.fault = fault

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states = self.table[input_ids]
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        if self.fault == "reads padding":
            return states.mean(dim=1)
        pooled = (states * mask).sum(dim=1) / mask.sum(dim=1)
        if self.fault == "mixes the batch":
            pooled = pooled + 0.01 * pooled.mean(dim=0, keepdim=True)
        if self.fault == "slightly off":
            pooled = pooled + 0.01
        if self.fault == "not finite":
            pooled = pooled / (pooled - pooled)
        if self.fault == "cut":
            pooled = pooled[:, :5]
        return pooled


class Tokens(nn.Module):
    """The states of words, one row each."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.from_numpy(TABLE))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.table[input_ids] * attention_mask.unsqueeze(-1).to(torch.float32)


def example(rng: np.random.Generator, count: int) -> list[Batch]:
    lengths = [12, *rng.integers(1, 12, size=count - 1)]
    ids = [rng.integers(1, WORDS, size=(1, length)) for length in lengths]
    return [{"input_ids": one, "attention_mask": np.ones_like(one)} for one in ids]


def mean(batch: Batch) -> np.ndarray:
    return TABLE[batch["input_ids"][0]].mean(axis=0, keepdims=True)


def plan(module: nn.Module, reference: Callable[[Batch], np.ndarray] = mean, *, many: bool = False) -> Plan:
    graph = Graph(
        tower="text",
        file="text.onnx",
        module=module,
        inputs={"input_ids": ("n", "t"), "attention_mask": ("n", "t")},
        output="embeddings" if many else "embedding",
        output_axes=("n", "t", WIDTH) if many else ("n", WIDTH),
        example=example,
        collate=collate_text,
        widen=widen_text,
        reference=reference,
    )
    return Plan("multi_vector" if many else "dense", WIDTH, (graph,))


def checked(made: Plan, folder: Path) -> Parity:
    for graph in made.graphs:
        convert(graph, folder / graph.file)
    parity = check_parity(made, folder, "fp32")
    refuse_outside(parity, "faulty")
    return parity


def test_a_faithful_graph_passes(tmp_path: Path) -> None:
    parity = checked(plan(Mean()), tmp_path)
    [graph] = parity.graphs
    assert graph.cosine_min > 0.999999
    assert graph.sizes == "1–12 t"
    assert graph.batches == (2, 3, 5, 7)
    assert parity.ranking.kendall_tau == 1
    assert (parity.ranking.queries, parity.ranking.passages) == (8, 16)


def test_rows_of_token_vectors_are_compared_one_by_one(tmp_path: Path) -> None:
    parity = checked(plan(Tokens(), lambda batch: TABLE[batch["input_ids"][0]], many=True), tmp_path)
    assert parity.ranking.score == "MaxSim"
    assert parity.graphs[0].rows > 24
    assert parity.graphs[0].max_difference < 1e-6


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("reads padding", "a cosine of -?0|change by up to"),
        ("mixes the batch", "cosine of 0|differs from the original"),
        ("slightly off", "cosine of 0|differs from the original"),
        ("not finite", "NaN or infinite"),
        ("cut", r"vectors of shape \(1, 5\) where the original gives \(1, 8\)"),
    ],
)
def test_faults_are_found(fault: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=f"parity: .*{message}") as raised:
        checked(plan(Mean(fault)), tmp_path)
    assert "\n" not in str(raised.value)


def test_an_axis_that_tracing_fixed_is_found(tmp_path: Path) -> None:
    class Fixed(Mean):
        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
            return super().forward(input_ids.reshape(2, int(input_ids.shape[1])), attention_mask)

    with pytest.raises(InvalidInput, match="fails on inputs of shapes"):
        checked(plan(Fixed()), tmp_path)


def test_order_of_pairs_is_compared_where_the_original_has_one(tmp_path: Path) -> None:
    """Passages that the original holds for equal may come in any order."""

    def ranking(jitter: float) -> Parity:
        rng = np.random.default_rng(5)

        def reference(batch: Batch) -> np.ndarray:
            return mean(batch) + jitter * rng.standard_normal((1, WIDTH)).astype(np.float32)

        made = plan(Mean(), reference)
        for graph in made.graphs:
            convert(graph, tmp_path / graph.file)
        return check_parity(made, tmp_path, "fp32")

    assert ranking(0).ranking.decided_kept == 1
    assert ranking(1e-6).ranking.decided_kept == 1
    assert ranking(0.3).ranking.decided_kept < 1
    assert ranking(0.3).ranking.kendall_tau < 0.95


def test_text_and_image_graphs_rank_each_other(tmp_path: Path) -> None:
    one = plan(Mean()).graphs[0]
    both = Plan("dense", WIDTH, (one, replace(one, tower="image", file="image.onnx")))
    ranking = checked(both, tmp_path).ranking
    assert (ranking.queries, ranking.passages) == (24, 24)


def test_report_is_written_as_json_and_as_a_table(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "bert")
    result = export_model(
        open_source(str(folder)), "tiny", ExportOptions(pooling="mean"), out=tmp_path / "out"
    )
    stored = json.loads((result.folder / "parity.json").read_text())
    assert stored["model"] == "tiny"
    assert stored["precision"] == "fp32"
    assert stored["fingerprint"] == result.spec.fingerprint
    assert stored["graphs"][0]["cosine_min"] >= 0.99999
    assert stored["ranking"]["decided_kept"] == 1
    page = (result.folder / "parity.md").read_text()
    assert "| text.onnx | 24 of 3–80 t | 1, 2, 3, 5, 7 |" in page
    assert "cosine ≥ 0.99999, difference ≤ 0.0001, padding ≤ 1e-05, 100% of pairs in order" in page
    assert markdown(result.parity, name="x", facts={}).startswith("# x: fp32 beside the original")


def test_every_precision_has_its_tolerance() -> None:
    assert TOLERANCES["fp32"].cosine == 0.99999
    assert TOLERANCES["int8-weights"].cosine == 0.999
    assert [name for name, one in TOLERANCES.items() if one.batch_dependent] == ["int8-dynamic"]


def test_the_same_seed_gives_the_same_report(tmp_path: Path) -> None:
    made = plan(Mean())
    convert(made.graphs[0], tmp_path / "text.onnx")
    first, second, other = (check_parity(made, tmp_path, "fp32", seed=seed) for seed in (1, 1, 2))
    assert first == second != other


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    made = plan(Mean())
    convert(made.graphs[0], tmp_path / "text.onnx")
    check_parity(made, tmp_path, "fp32", progress=lambda *step: told.append(step))
    assert told[-1] == ("comparing text.onnx", 24, 24)
