"""The server's keystore: secrets that must not stand in its configuration file."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ..errors import EnvironmentProblem

__all__ = ["write_keystore"]


def write_keystore(distribution: Path, config: Path, java: Path, secrets: Mapping[str, str]) -> None:
    """Put settings into a configuration folder's keystore; values go by standard input only.

    Raises:
        EnvironmentProblem: the server's tool refuses; the message does not quote a value.
    """
    if not secrets:
        return
    tool = str(distribution / "bin" / "opensearch-keystore")
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "OPENSEARCH_JAVA_HOME": str(java),
        "OPENSEARCH_PATH_CONF": str(config),
    }
    steps = [(["add", "--stdin", "--force", name], value) for name, value in secrets.items()]
    if not (config / "opensearch.keystore").exists():
        steps.insert(0, (["create"], ""))
    for arguments, value in steps:
        done = subprocess.run(
            [tool, *arguments], env=env, input=value, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise EnvironmentProblem(
                f"the server's keystore could not be written: opensearch-keystore "
                f"{' '.join(arguments)} ended with {done.returncode}"
            )
