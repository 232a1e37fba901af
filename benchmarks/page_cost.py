"""What a page costs an image model of its published size: CPU seconds by ONNX Runtime beside PyTorch.

Models have the sizes of published ones, with a small vocabulary and random weights: times are theirs, vectors
mean nothing. One page of A4 at 150 dots per inch, prepared as for indexing, is run by PyTorch (eager, as
transformers loads it) and by ONNX Runtime with the same number of threads, in turns; the table has the
medians. Parity is not checked here (`export.py` does that, on smaller ones). Needs the extra `export`: run it
in .venv-export. No cluster takes part.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np
import torch
from export_samples import CLIP, SIGLIP, Sample, image, tiny_clip, tiny_idefics3, tiny_siglip
from PIL import Image
from transformers.utils import logging

from export import in_turns, session, traced
from opensearch_multimodal.encoder.images import open_reader
from opensearch_multimodal.export import ExportOptions, open_source
from opensearch_multimodal.export.architectures import recognise
from opensearch_multimodal.export.convert import convert
from opensearch_multimodal.export.specs import make_towers

HEADER = (
    "model",
    "parameters of the image graph",
    "prepare, ms",
    "PyTorch, s",
    "ONNX, s",
    "× PyTorch",
    "vectors",
)
PAGE = (1240, 1754)
MANY = {"kind": "multi_vector"}
TILES = {
    "vision": 768,
    "depth": 12,
    "vision_heads": 12,
    "vision_inner": 3072,
    "tile": 512,
    "patch": 16,
    "scale": 4,
}
SMOL = {
    "hidden": 576,
    "layers": 30,
    "heads": 9,
    "groups": 3,
    "inner": 1536,
    "longest": 4,
}
MODERN = {
    "hidden": 768,
    "layers": 22,
    "heads": 12,
    "inner": 1152,
    "longest": 4,
    "local": 128,
}

MODELS: dict[str, Sample] = {
    "CLIP ViT-B/32": Sample("", image(tiny_clip.make, **CLIP, dimension=512)),
    "SigLIP base, 384": Sample("", image(tiny_siglip.make, **SIGLIP | {"side": 384})),
    "SigLIP2 base NaFlex, 256 patches": Sample(
        "", image(tiny_siglip.make_naflex, **SIGLIP | {"side": 256}, most=256, grid=16)
    ),
    "ColSmol-256M": Sample("", image(tiny_idefics3.make_colidefics3, **TILES, **SMOL, dimension=128), MANY),
    "ColModernVBERT": Sample(
        "", image(tiny_idefics3.make_colmodernvbert, **TILES, **MODERN, dimension=128), MANY
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=MODELS, help="repeat; all by default")
    parser.add_argument("--threads", type=int, default=1, help="of each runtime (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns (default: %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    logging.disable_progress_bar()
    print(common.machine() + f", torch {torch.__version__}, {arguments.threads} thread(s)\n")
    print(common.table(HEADER, []), flush=True)
    for name in arguments.only or MODELS:
        common.say(f"{name} …")
        cells = measure(MODELS[name], arguments.threads, arguments.rounds)
        print(common.row([name, *cells]), flush=True)


def measure(sample: Sample, threads: int, rounds: int) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        source = open_source(str(sample.make(work / "model")))
        options = ExportOptions(**sample.options)
        plan = recognise(source.config, options).plan(source, options)
        plan.write_files(work)
        [graph] = [graph for graph in plan.graphs if graph.tower == "image"]
        traced(work, graph).parent.mkdir()
        convert(graph, traced(work, graph))
        _, tower = make_towers(plan)
        assert tower is not None
        reader = open_reader(tower, work)
        page = drawn_page()
        begun = time.process_time()
        prepared = reader.read(page)
        preparing = time.process_time() - begun
        runs: dict[str, dict[str, Callable[[], Any]]] = {
            "PyTorch": {"page": lambda: graph.reference(prepared)},
            "ONNX": {"page": session(traced(work, graph), graph, prepared, threads)},
        }
        times = in_turns(runs, rounds)
        torch_seconds, seconds = (float(np.median(times[who, "page"])) for who in ("PyTorch", "ONNX"))
        vectors = len(np.atleast_2d(graph.reference(prepared)))
        size = sum(path.stat().st_size for path in traced(work, graph).parent.iterdir())
        return [
            f"{size / 4e6:,.0f} M",
            f"{preparing * 1e3:.0f}",
            f"{torch_seconds:.2f}",
            f"{seconds:.2f}",
            f"{torch_seconds / seconds:.1f}",
            f"{vectors:,}",
        ]


def drawn_page() -> Image.Image:
    """Return a page of noise: what is on it changes no time."""
    width, height = PAGE
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


if __name__ == "__main__":
    main()
