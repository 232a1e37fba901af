"""Write the golden vectors of the default models anew: only on purpose, when a model changes.

    python tests/golden/models/generate.py

Each ``<model>.npz`` has the fingerprint, the texts, and the vectors of each text as a query and as a passage:
``query_0`` … and ``passage_0`` …, float32, shape (d,) for a dense model; for a multi-vector one some rows,
shape (at most 16, d), evenly spread, with the number of all rows in ``query_0_rows`` ….
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from opensearch_multimodal import encoder, models

TEXTS = (
    "How do I reset the pump?",
    "The pump draws cold water from the lower tank; when the red lamp is on, press reset for 5 seconds.",
    "Übergrößen-Ventil № 7: naïve façade — 弁, ½ turn, 100 % (±0.5 °C)",
    "Revenue by region and quarter, in thousands of euros. " * 80,
)
"""A question, a passage, what is not ASCII, and what is longer than the models."""


def some_rows(vectors: np.ndarray) -> np.ndarray:
    """Return at most 16 evenly spread rows of shape (n, d), or a vector of shape (d,) as it is."""
    return vectors if vectors.ndim == 1 else vectors[:: -(-len(vectors) // 16)]


def main() -> None:
    """Encode the texts and write one file per default model."""
    for name in models.DEFAULT_MODELS:
        spec = models.load_spec(name)
        models.pull(spec)
        loaded = encoder.load(spec)
        arrays = {"fingerprint": np.array(spec.fingerprint), "texts": np.array(TEXTS)}
        encoded = {"query": loaded.encode_queries(TEXTS), "passage": loaded.encode_passages(TEXTS)}
        for task, results in encoded.items():
            for number, vectors in enumerate(results):
                arrays[f"{task}_{number}"] = some_rows(vectors)
                arrays[f"{task}_{number}_rows"] = np.array(len(np.atleast_2d(vectors)))
        target = Path(__file__).parent / f"{name}.npz"
        np.savez_compressed(target, **arrays)


if __name__ == "__main__":
    main()
