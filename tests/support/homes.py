"""Fixtures for tests that ingest with the tiny models; import them into a test module to use them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_index

__all__ = ["Recorder", "home", "tiny_home"]


class Recorder:
    """Keeps what an ingest tells."""

    def __init__(self) -> None:
        self.expected = self.advanced = 0
        self.warnings: list[str] = []
        self.failures: list[str] = []

    def expect(self, records: int) -> None:
        self.expected = records

    def advance(self, records: int) -> None:
        self.advanced += records

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def fail(self, message: str) -> None:
        self.failures.append(message)


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
