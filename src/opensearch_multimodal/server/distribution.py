"""The server's files: fetched by Maven, unpacked once, plugins installed, kept in the cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from .. import resources
from ..download import Artifact, build_folder, fetch, sha256_of, unpack_into
from ..errors import EnvironmentProblem
from .folders import check_space, distributions_folder, make_public
from .java import find_java
from .user import ServerUser

__all__ = ["ARTIFACTS", "VERSION", "distribution_folder", "install", "own_plugin"]

VERSION = "3.6.0"
"""The newest release of which server and plugins are both on Maven Central."""

_SERVER = Artifact(
    f"org.opensearch.distribution.integ-test-zip:opensearch:{VERSION}:zip",
    "a91faa1dc1cadc78cb278b4f63847e19e1627a4e9de698e14e7efc14ee37b286",
    161_609_640,
)
_PLUGINS = (
    Artifact(
        f"org.opensearch.plugin:opensearch-job-scheduler:{VERSION}.0:zip",
        "f81d0aa9fc850b18f803292bd7ae68bd33561f6c1d12db0f68529d40eddcee24",
        368_626,
    ),
    Artifact(
        f"org.opensearch.plugin:opensearch-knn:{VERSION}.0:zip",
        "ac392ca28a39b3bf290648a422ef30cb149dda2963a9d7feb26060e932341c9a",
        6_015_541,
    ),
    Artifact(
        f"org.opensearch.plugin:neural-search:{VERSION}.0:zip",
        "6ef1b206e79391e2e36268e32dc34d27fd8b8a59a8eb0a7393c97d53b038e433",
        12_095_213,
    ),
)
"""In the order in which they depend on one another."""

ARTIFACTS = (_SERVER, *_PLUGINS)

_UNPACKED_BYTES = 400_000_000


def own_plugin() -> Path | None:
    """Return the zip of the project's own server plugin for this version, or None where it was not built."""
    name = f"*+opensearch-{VERSION}.zip"
    for folder in ("plugin/target", "plugin"):  # a checkout, an installed package
        with suppress(EnvironmentProblem):
            built = sorted(resources.find(folder).glob(name), key=lambda path: path.stat().st_mtime)
            if built:
                return built[-1]
    return None


def distribution_folder(user: ServerUser, extra_plugins: Sequence[Path] = ()) -> Path:
    """Return where this server with these plugins is, or will be, unpacked; its name holds their digests."""
    digests = [artifact.sha256 for artifact in ARTIFACTS] + [sha256_of(path) for path in extra_plugins]
    key = hashlib.sha256(" ".join(digests).encode()).hexdigest()[:12]
    return distributions_folder(user) / f"opensearch-{VERSION}-{key}"


def install(
    user: ServerUser,
    *,
    extra_plugins: Sequence[Path] = (),
    report: Callable[[str], None] = lambda _: None,
) -> Path:
    """Return the folder of a ready-to-run server; nothing is done where it is in the cache already.

    Args:
        user: who will run it and must be able to read it.
        extra_plugins: zip files of plugins to install beside the usual ones, such as the project's own.
            The same server without them is unpacked once and shared by hard links.
        report: told what is going on.

    Raises:
        EnvironmentProblem: Maven, Java, disk space or a plugin stands in the way.
    """
    folder = distribution_folder(user, extra_plugins)
    if folder.is_dir():
        return folder
    java = find_java()
    make_public(folder.parent)
    check_space(folder, _UNPACKED_BYTES, "unpack the server")
    if extra_plugins:
        base = install(user, report=report)
        return build_folder(folder, lambda new: _extend(base, new, extra_plugins, java, report))
    return build_folder(folder, lambda new: _assemble(new, java, report))


def _assemble(folder: Path, java: Path, report: Callable[[str], None]) -> None:
    arrived: dict[str, int] = {}

    def progress(artifact: Artifact, size: int) -> None:
        arrived[artifact.coordinates] = size
        report(f"fetching OpenSearch {VERSION}: {sum(arrived.values()) / 1e6:.0f} MB")

    report(f"fetching OpenSearch {VERSION}: checking the local Maven repository")
    server, *plugins = fetch(ARTIFACTS, progress=progress)
    report(f"unpacking OpenSearch {VERSION}")
    unpack_into(server, folder)
    (root,) = folder.iterdir()
    for child in root.iterdir():
        child.rename(folder / child.name)
    root.rmdir()
    _install_plugins(folder, plugins, java, report)


def _extend(
    base: Path, folder: Path, plugins: Sequence[Path], java: Path, report: Callable[[str], None]
) -> None:
    shutil.copytree(base, folder, copy_function=os.link, dirs_exist_ok=True)
    _install_plugins(folder, plugins, java, report)


def _install_plugins(
    folder: Path, plugins: Sequence[Path], java: Path, report: Callable[[str], None]
) -> None:
    names = ", ".join(path.name for path in plugins)
    report(f"installing plugins: {names}")
    tool = str(folder / "bin" / "opensearch-plugin")
    command = [tool, "install", "--batch", *(path.as_uri() for path in plugins)]
    env = {"PATH": os.environ.get("PATH", os.defpath), "OPENSEARCH_JAVA_HOME": str(java)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        telling = next((line for line in lines if "ERROR" in line or "Exception" in line), "no message")
        raise EnvironmentProblem(f"the server's plugins {names} could not be installed: {telling.strip()}")
    for path in folder.rglob("*"):  # readable by the server's user whatever the umask was
        if path.is_dir():
            path.chmod(0o755)
