"""Fixtures for tests that ingest with the tiny models; import them into a test module to use them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_index

__all__ = ["home", "tiny_home"]


@pytest.fixture(scope="session")
def tiny_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A $OSMM_HOME with the tiny models, to be copied."""
    folder = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OSMM_HOME", str(folder / "home"))
        tiny_index.write_models(folder / "exported")
    return folder / "home"


@pytest.fixture
def home(tiny_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A copy of it that a test may change."""
    target = tmp_path / "home"
    shutil.copytree(tiny_home, target)
    monkeypatch.setenv("OSMM_HOME", str(target))
    return target
