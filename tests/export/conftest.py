"""What the export needs: without torch and transformers, nothing of this folder is collected."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

collect_ignore_glob = (
    [] if all(find_spec(name) for name in ("torch", "transformers", "onnxscript")) else ["test_*.py"]
)


@pytest.fixture(autouse=True)
def _quiet_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
