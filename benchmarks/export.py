"""Each architecture in each precision: parity, size, CPU time per query and per passage beside PyTorch.

Models are those of `export_samples.py`: real sizes, random weights but for one. A query is the generated text
of about 12 tokens, a passage the one of about 256, a page one generated input of the image tower. Each is run
alone, by PyTorch (eager, as transformers loads it) and by ONNX Runtime with the same number of threads, in
turns; the table has the medians of CPU time. A precision that does not reach its tolerance is named as
refused. Needs the extra `export`: run it in .venv-export. No cluster takes part.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np
import onnxruntime
import torch
from export_samples import SAMPLES, Sample
from transformers.utils import logging

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.export import Batch, ExportOptions, Graph, Plan, Precision, open_source
from opensearch_multimodal.export.architectures import recognise
from opensearch_multimodal.export.compare import check_parity
from opensearch_multimodal.export.convert import convert
from opensearch_multimodal.export.parity import Parity, refuse_outside
from opensearch_multimodal.export.precision import ATTEMPTS, write_precision
from opensearch_multimodal.export.sharing import share_weights

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8-weights", "int8-dynamic")
HEADER = (
    *("architecture", "shape", "precision", "cosine min", "max diff.", "in a batch", "pairs kept", "MB"),
    *("ms per query", "ms per passage or page", "× PyTorch"),
)
WANTED = {"query": 12, "passage": 256}
EXTERNAL_ABOVE = 1_800_000_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", help="an architecture of export_samples.py; repeat")
    parser.add_argument("--precision", action="append", choices=PRECISIONS, help="repeat; all by default")
    parser.add_argument("--threads", type=int, default=1, help="of each runtime (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="turns (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    logging.disable_progress_bar()
    print(common.machine() + f", torch {torch.__version__}, {arguments.threads} thread(s)\n")
    print(common.table(HEADER, []), flush=True)
    rows: list[list[object]] = []
    for name in arguments.only or SAMPLES:
        common.say(f"{name} …")
        made = measure(SAMPLES[name], arguments.precision or PRECISIONS, arguments.threads, arguments.rounds)
        for cells in made:
            rows.append([name, SAMPLES[name].shape, *cells])
            print(common.row(rows[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps([dict(zip(HEADER, row, strict=True)) for row in rows], indent=1))


def measure(
    sample: Sample, precisions: tuple[Precision, ...], threads: int, rounds: int
) -> list[list[object]]:
    """Return the cells of each precision, and of PyTorch first."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        source = open_source(str(sample.make(work / "model")))
        options = ExportOptions(**sample.options)
        plan = recognise(source.config, options).plan(source, options)
        for graph in plan.graphs:
            traced(work, graph).parent.mkdir()
            convert(graph, traced(work, graph))
        parities = {precision: written(plan, work, precision) for precision in precisions}
        inputs = chosen_inputs(plan)
        runs: dict[str, dict[str, Callable[[], Any]]] = {"PyTorch": {}}
        for what, (graph, example) in inputs.items():
            runs["PyTorch"][what] = lambda graph=graph, example=example: graph.reference(example)
            for precision, parity in parities.items():
                if not isinstance(parity, str):
                    path = work / precision / graph.file
                    runs.setdefault(precision, {})[what] = session(path, graph, example, threads)
        times = in_turns(runs, rounds)
        shared = {id(p): p.numel() for graph in plan.graphs for p in graph.module.parameters()}
        parameters = sum(shared.values())
        lines = [["PyTorch", "", "", "", "", f"{parameters * 4 / 1e6:.0f}", *shown(times, "PyTorch")]]
        for precision, parity in parities.items():
            if isinstance(parity, str):
                lines.append([precision, parity, *[""] * 7])
                continue
            size = sum(path.stat().st_size for path in (work / precision).iterdir()) / 1e6
            lines.append([precision, *parity_cells(parity), f"{size:.0f}", *shown(times, precision)])
        return lines


def written(plan: Plan, work: Path, precision: Precision) -> Parity | str:
    """Write every graph in a precision; return the report, or why it is refused."""
    folder = work / precision
    folder.mkdir()
    for attempt in ATTEMPTS[precision]:
        try:
            files: list[Path] = []
            for graph in plan.graphs:
                settings = {"attempt": attempt, "external_above": EXTERNAL_ABOVE}
                files += write_precision(traced(work, graph), folder / graph.file, precision, **settings)
            share_weights(files)
            parity = check_parity(plan, folder, precision, attempt=attempt)
            refuse_outside(parity, "sample")
        except InvalidInput as error:
            refusal = f"refused: {error}".partition(": nothing was kept")[0]
        else:
            return parity
    return refusal


def traced(work: Path, graph: Graph) -> Path:
    return work / f"traced-{graph.file}" / graph.file


def chosen_inputs(plan: Plan) -> dict[str, tuple[Graph, Batch]]:
    """Return what is timed: a query, and a passage or a page."""
    inputs: dict[str, tuple[Graph, Batch]] = {}
    for graph in plan.graphs:
        examples = graph.example(np.random.default_rng(3), 40 if graph.tower == "text" else 1)
        if graph.tower == "image":
            inputs["page"] = (graph, examples[0])
            continue
        lengths = np.array([example["input_ids"].shape[1] for example in examples])
        for what, wanted in WANTED.items():
            if what == "query" or len(plan.graphs) == 1:
                inputs[what] = (graph, examples[int(np.abs(lengths - wanted).argmin())])
    return inputs


def session(path: Path, graph: Graph, example: Batch, threads: int) -> Callable[[], Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    made = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [node.name for node in made.get_inputs()]
    batch = graph.collate([example])
    return lambda: made.run([graph.output], {name: batch[name] for name in names})


def in_turns(
    runs: dict[str, dict[str, Callable[[], Any]]], rounds: int
) -> dict[tuple[str, str], list[float]]:
    """Return (who, what) → CPU seconds of each run; each round asks everybody once, after two of warming."""
    times: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds + 2):
        for who, tasks in runs.items():
            for what, task in tasks.items():
                begun = time.process_time()
                task()
                if number >= 2:
                    times.setdefault((who, what), []).append(time.process_time() - begun)
    return times


def shown(times: dict[tuple[str, str], list[float]], who: str) -> list[str]:
    """Return the cells of times: per query, per passage or page, and how much faster than PyTorch each is."""
    query, large, ratios = "", "", []
    for (whose, what), values in times.items():
        if whose != who:
            continue
        milliseconds = float(np.median(values)) * 1e3
        ratios.append(f"{float(np.median(times['PyTorch', what])) * 1e3 / milliseconds:.1f}")
        if what == "query":
            query = f"{milliseconds:.1f}"
        else:
            large = f"{milliseconds:.1f}"
    return [query, large, " and ".join(ratios)]


def parity_cells(parity: Parity) -> list[str]:
    graphs = parity.graphs
    return [
        f"{min(graph.cosine_min for graph in graphs):.6f}",
        f"{max(graph.max_difference for graph in graphs):.1g}",
        f"{max(graph.padding_difference for graph in graphs):.1g}",
        f"{parity.ranking.decided_kept:.2%}",
    ]


if __name__ == "__main__":
    main()
