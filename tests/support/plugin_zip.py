"""The server plugin's zip, built when its sources are newer."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

from opensearch_multimodal.server.java import find_java

PLUGIN = Path(__file__).parents[2] / "plugin"


@cache
def plugin_zip() -> Path:
    """Return the zip; Maven makes it, without running the plugin's own tests."""
    sources = [path for path in (PLUGIN / "src" / "main").rglob("*") if path.is_file()] + [PLUGIN / "pom.xml"]
    newest = max(path.stat().st_mtime for path in sources)
    found = [path for path in PLUGIN.glob("target/*.zip") if path.stat().st_mtime >= newest]
    if not found:
        command = ["mvn", "-q", "-B", "-f", str(PLUGIN / "pom.xml"), "-DskipTests", "package"]
        done = subprocess.run(
            command,
            env=os.environ | {"JAVA_HOME": str(find_java())},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found = list(PLUGIN.glob("target/*.zip"))
    (built,) = found
    return built
