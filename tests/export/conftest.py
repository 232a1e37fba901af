"""What the tests of the export share. They run in an environment of their own: make test-export."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from clusters import cluster, server
from transformers.utils import logging

__all__ = ["cluster", "server"]

torch.set_num_threads(1)
logging.set_verbosity_error()
logging.disable_progress_bar()


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty $OSMM_HOME, and no model hub."""
    monkeypatch.setenv("OSMM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
