"""Find a Java that can run the server: the default ``java`` is often too old, a newer one lies beside it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..errors import EnvironmentProblem

__all__ = ["MINIMUM_JAVA", "find_java", "java_version"]

MINIMUM_JAVA = 21

_INSTALL = (
    "install one with 'apt install openjdk-21-jdk-headless', 'dnf install java-21-openjdk-devel' "
    "or 'brew install openjdk@21'"
)

_JVM_FOLDERS = (
    "/usr/lib/jvm/*",
    "/usr/java/*",
    "/opt/java/*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "~/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "/opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
    "/usr/local/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
    "~/.sdkman/candidates/java/*",
)


def find_java(
    reachable: Callable[[Path], bool] = lambda _: True, *, folders: Sequence[str] = _JVM_FOLDERS
) -> Path:
    """Return the home folder of a Java that is new enough.

    Looks at ``OPENSEARCH_JAVA_HOME``, ``JAVA_HOME``, the ``java`` on ``PATH``, then the usual folders
    of each system, newest first.

    Args:
        reachable: whether the user who will run the server may execute this file.
        folders: patterns of Java home folders, tried last.

    Raises:
        EnvironmentProblem: there is none; the message lists what was found instead.
    """
    rejected = []
    for home in _homes(folders):
        version = java_version(home)
        if version is None:
            continue
        if version < MINIMUM_JAVA:
            rejected.append(f"{home} is Java {version}")
        elif not reachable(home / "bin" / "java"):
            rejected.append(f"{home} cannot be executed by the user who runs the server")
        else:
            return home
    found = f" ({'; '.join(rejected)})" if rejected else ""
    raise EnvironmentProblem(
        f"OpenSearch needs Java {MINIMUM_JAVA} or newer, and none was found{found}: {_INSTALL}, "
        "or point OPENSEARCH_JAVA_HOME at one"
    )


def _homes(folders: Sequence[str]) -> Iterator[Path]:
    """Yield the candidates in order, each once."""
    candidates = [Path(os.environ[v]) for v in ("OPENSEARCH_JAVA_HOME", "JAVA_HOME") if os.environ.get(v)]
    if java := shutil.which("java"):
        candidates.append(Path(java).resolve().parent.parent)
    usual: list[Path] = []
    for pattern in folders:
        expanded = Path(pattern).expanduser()
        usual += Path(expanded.anchor).glob(str(expanded.relative_to(expanded.anchor)))
    candidates += sorted(usual, key=lambda home: java_version(home) or 0, reverse=True)
    seen = set()
    for home in candidates:
        real = home.resolve()
        if real not in seen:
            seen.add(real)
            yield real


def java_version(home: Path) -> int | None:
    """Return the feature release (17, 21, …) of the Java in ``home``, or None where there is none."""
    java = home / "bin" / "java"
    try:
        if not os.access(java, os.X_OK):
            return None
        release = home / "release"
        text = release.read_text(errors="replace") if release.is_file() else _ask(java)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"(?:JAVA_VERSION=|version )\"(?:1\.)?(\d+)", text)
    return int(match[1]) if match else None


def _ask(java: Path) -> str:
    return subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=True).stderr
