"""Write ranx.json beside this file: what ranx makes of scores, for the methods that it has too.

ranx brings 700 MB of dependencies, so it is not one of ours. In an environment of its own:

    python -m venv /tmp/ranx && /tmp/ranx/bin/pip install ranx==0.3.21
    /tmp/ranx/bin/python tests/golden/fusion/regenerate.py

ranx.json: {"version", "cases": [{scores, normalization, combination, fused}]}
    scores         two retrievers' scores, candidate → score; what a retriever did not find is absent
    normalization  ranx's name, null where there is none
    combination    ranx's name
    fused          candidate → ranx's score
"""

import json
import random
from importlib.metadata import version
from pathlib import Path

from ranx import Run, fuse

HERE = Path(__file__).parent
METHODS = (
    ("min-max", "sum"),
    ("zmuv", "sum"),
    ("rank", "sum"),
    ("min-max", "mnz"),
    ("rank", "mnz"),
    (None, "rrf"),
)


def scores(seed):
    """Return two retrievers' scores without ties, one like BM25 and one like cosines, of other records."""
    generator = random.Random(seed)
    names = [f"d{number}" for number in range(12)]
    return [
        {name: round(generator.uniform(0.5, 30), 3) for name in generator.sample(names, 8)},
        {name: round(generator.uniform(0.1, 0.9), 4) for name in generator.sample(names, 9)},
    ]


def main():
    cases = []
    for seed in range(4):
        pair = scores(seed)
        for normalization, combination in METHODS:
            runs = [Run({"q": dict(one)}) for one in pair]
            fused = fuse(runs=runs, norm=normalization, method=combination)
            cases.append(
                {
                    "scores": pair,
                    "normalization": normalization,
                    "combination": combination,
                    "fused": {name: float(value) for name, value in sorted(fused.run["q"].items())},
                }
            )
    made = {"version": version("ranx"), "cases": cases}
    (HERE / "ranx.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
