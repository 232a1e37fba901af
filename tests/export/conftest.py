"""What the export needs: without torch and transformers, nothing of this folder is collected."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from clusters import cluster, server
from transformers.utils import logging

__all__ = ["cluster", "server"]

torch.set_num_threads(1)
logging.set_verbosity_error()
logging.disable_progress_bar()


@pytest.fixture(autouse=True)
def _quiet_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
