"""Models of transformers to ONNX files with a spec and a parity report (extra ``export``).

Importing this imports no torch; `export_model` does.
"""

from __future__ import annotations

from .exporting import ExportResult, Progress, export_model
from .graphs import Architecture, Axes, Batch, ExportOptions, Graph, Plan, Precision
from .opening import open_source
from .parity import Parity
from .source import Source

__all__ = [
    "Architecture",
    "Axes",
    "Batch",
    "ExportOptions",
    "ExportResult",
    "Graph",
    "Parity",
    "Plan",
    "Precision",
    "Progress",
    "Source",
    "export_model",
    "open_source",
]
