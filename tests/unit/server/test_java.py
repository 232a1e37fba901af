"""Finding a Java that is new enough, wherever it lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensearch_multimodal.errors import EnvironmentProblem
from opensearch_multimodal.server.java import find_java, java_version


def jdk(home: Path, version: str, *, release: bool = True) -> Path:
    """Make a folder that looks like a Java home; its ``java`` answers ``-version`` as a real one does."""
    (home / "bin").mkdir(parents=True)
    java = home / "bin" / "java"
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    java.chmod(0o755)
    if release:
        (home / "release").write_text(f'IMPLEMENTOR="Someone"\nJAVA_VERSION="{version}"\n')
    return home


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENSEARCH_JAVA_HOME", "JAVA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", "")


@pytest.mark.parametrize("release", [True, False])
@pytest.mark.parametrize(
    ("version", "number"), [("25.0.3", 25), ("21", 21), ("17.0.15", 17), ("1.8.0_392", 8), ("26-ea", 26)]
)
def test_version(tmp_path: Path, version: str, number: int, release: bool) -> None:
    assert java_version(jdk(tmp_path / "jdk", version, release=release)) == number


def test_no_version_where_there_is_no_java(tmp_path: Path) -> None:
    assert java_version(tmp_path) is None
    broken = jdk(tmp_path / "broken", "21", release=False)
    (broken / "bin" / "java").write_text("#!/bin/sh\nexit 1\n")
    assert java_version(broken) is None


def test_the_named_one_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, usual = jdk(tmp_path / "named", "21"), jdk(tmp_path / "jvm" / "newer", "25")
    folders = (str(tmp_path / "jvm" / "*"),)
    assert find_java(folders=folders) == usual
    monkeypatch.setenv("JAVA_HOME", str(named))
    assert find_java(folders=folders) == named
    other = jdk(tmp_path / "other", "22")
    monkeypatch.setenv("OPENSEARCH_JAVA_HOME", str(other))
    assert find_java(folders=folders) == other


def test_an_old_default_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = jdk(tmp_path / "jvm" / "old", "17.0.15"), jdk(tmp_path / "jvm" / "new", "21.0.1")
    monkeypatch.setenv("JAVA_HOME", str(old))
    monkeypatch.setenv("PATH", str(old / "bin"))
    assert find_java(folders=(str(tmp_path / "jvm" / "*"),)) == new


def test_a_link_on_the_path_leads_to_its_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = jdk(tmp_path / "jdk", "21")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_java(folders=()) == home


def test_one_that_the_servers_user_cannot_execute_is_passed_over(tmp_path: Path) -> None:
    jdk(tmp_path / "closed", "25")
    reachable = jdk(tmp_path / "open", "21")
    folders = (str(tmp_path / "*"),)
    assert find_java(lambda java: "open" in java.parts, folders=folders) == reachable
    with pytest.raises(EnvironmentProblem, match="closed cannot be executed by the user who runs the server"):
        find_java(lambda _: False, folders=folders)


def test_none_is_an_error_with_remedies_that_names_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(
        EnvironmentProblem, match=r"needs Java 21 or newer, and none was found: .*apt .*dnf .*brew"
    ):
        find_java(folders=())
    old = jdk(tmp_path / "old", "17")
    with pytest.raises(EnvironmentProblem, match=f"none was found \\({old} is Java 17\\)"):
        find_java(folders=(str(tmp_path / "*"),))
