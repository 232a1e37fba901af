"""The report on what this machine lacks."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from opensearch_multimodal.cli.doctor import doctor
from opensearch_multimodal.server import java


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSMM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OSMM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OPENSEARCH_URL", raising=False)


def report() -> dict[str, dict[str, str]]:
    """Run the command; the exit code must say what the checks say."""
    result = CliRunner().invoke(doctor, ["--json"])
    answer = json.loads(result.stdout)
    ok = all(check["status"] != "missing" for check in answer["checks"])
    assert (answer["ok"], result.exit_code) == (ok, 0 if ok else 2)
    return {check["name"]: check for check in answer["checks"]}


def test_what_comes_later_is_a_note_with_its_command() -> None:
    models = report()["default models"]
    assert (models["status"], models["remedy"]) == ("note", "osmm models pull")
    assert "bge-small-en-v1.5" in models["detail"]


def test_missing_java_and_maven_are_told_with_a_remedy_per_system(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("JAVA_HOME", "OPENSEARCH_JAVA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(java.find_java, "__kwdefaults__", {"folders": ()})
    checks = report()
    for name in ("Java 21 or newer", "Maven"):
        assert checks[name]["status"] == "missing"
        for system in ("apt install", "dnf install", "brew install"):
            assert system in checks[name]["remedy"]


def test_a_cluster_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OPENSEARCH_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        cluster = report()["OPENSEARCH_URL"]
    assert cluster["status"] == "missing"
    assert "_CA_FILE" in cluster["remedy"]


def test_the_table_names_every_check() -> None:
    result = CliRunner().invoke(doctor)
    for name in ("Python", "Java", "Maven", "disk", "memory", "embedded server", "default models", "OCR"):
        assert name in result.stdout
