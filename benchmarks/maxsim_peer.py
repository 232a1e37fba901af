"""MaxSim in Python beside maxsim-cpu: same query, same candidates, in turns.

20 query rows of 128 dimensions; CPU milliseconds (median), one thread for both. Ours takes the stacked form
that a search decodes to, and a list of arrays; maxsim-cpu an array of equal lengths, or a list. maxsim-cpu is
not among the project's dependencies: ``pip install maxsim-cpu``; without it, only ours is measured.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from importlib.metadata import version

import common
import numpy as np

from opensearch_multimodal.blas import single_threaded
from opensearch_multimodal.maxsim import maxsim, stack

try:
    import maxsim_cpu
except ImportError:
    maxsim_cpu = None

SHAPES = ((20, 128), (100, 128), (100, 256), (20, 1030), (100, 1030))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = "1"  # read when maxsim-cpu first starts its threads
    print(common.machine())
    if maxsim_cpu is None:
        print("maxsim-cpu is not installed, so it is not compared: pip install maxsim-cpu")
    else:
        print(f"maxsim-cpu {version('maxsim-cpu')}")
    with single_threaded():
        lines = [line for shape in SHAPES for line in compare(*shape, arguments.rounds)]
    header = [
        "candidates · rows",
        "lengths",
        "ours, stacked",
        "ours, list",
        "maxsim-cpu",
        "maxsim-cpu / ours",
        "difference",
    ]
    print("\n" + common.table(header, lines))


def compare(candidates: int, rows: int, rounds: int) -> list[list[str]]:
    """Return a line for equal lengths and one for ragged ones."""
    generator = np.random.default_rng(0)
    query = unit(generator, 20)
    equal = np.stack([unit(generator, rows) for _ in range(candidates)])
    ragged = [one[: generator.integers(rows // 2, rows + 1)].copy() for one in equal]
    lines = []
    for name, given in (("equal", list(equal)), ("ragged", ragged)):
        stacked = stack(given)
        ways: dict[str, Callable[[], np.ndarray]] = {
            "stacked": lambda stacked=stacked: maxsim(query, stacked),
            "list": lambda given=given: maxsim(query, given),
        }
        if maxsim_cpu is not None and name == "equal":
            ways["peer"] = lambda: maxsim_cpu.maxsim_scores(query, equal)
        elif maxsim_cpu is not None:
            ways["peer"] = lambda: maxsim_cpu.maxsim_scores_variable(query, ragged)
        spent = take_turns(ways, rounds)
        line = [f"{candidates} · {rows}", name, *(f"{spent[way]:.2f}" for way in ("stacked", "list"))]
        if maxsim_cpu is None:
            line += ["–", "–", "–"]
        else:
            difference = np.abs(ways["peer"]() - ways["list"]()).max()
            ratios = " / ".join(f"{spent['peer'] / spent[way]:.2f}" for way in ("stacked", "list"))
            line += [f"{spent['peer']:.2f}", f"**{ratios}**", f"{difference:.0e}"]
        lines.append(line)
    return lines


def take_turns(ways: dict[str, Callable[[], np.ndarray]], rounds: int) -> dict[str, float]:
    """Return each way's median CPU milliseconds."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 2):
        for name, run in ways.items():
            started = time.process_time()
            run()
            spent[name].append(1000 * (time.process_time() - started))
    return {name: float(np.median(times[2:])) for name, times in spent.items()}


def unit(generator: np.random.Generator, rows: int) -> np.ndarray:
    made = generator.standard_normal((rows, 128)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
