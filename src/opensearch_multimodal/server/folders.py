"""Where the server's files live, in places that the user who runs it can reach."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from ..errors import EnvironmentProblem
from ..resources import cache_folder, home_folder
from .user import ServerUser, server_user

__all__ = ["check_reachable", "check_space", "default_data_folder", "distributions_folder", "make_public"]

_SYSTEM_CACHE = Path("/var/cache/opensearch-multimodal")
_SYSTEM_DATA = Path("/var/lib/opensearch-multimodal")


def default_data_folder(user: ServerUser | None = None) -> Path:
    """Return where the server keeps its data unless told otherwise.

    ``server`` in `resources.home_folder`; but when root starts it as a user who cannot get there
    (root's home is closed to others), a folder below ``/var/lib/opensearch-multimodal``. Each value
    of ``$OSMM_HOME`` has one of its own there.
    """
    own = home_folder() / "server"
    user = user or server_user()
    if user.uid is None or user.obstacle(own) is None:
        return own
    if not os.environ.get("OSMM_HOME"):
        return _SYSTEM_DATA / "server"
    return _SYSTEM_DATA / f"server-{hashlib.sha256(bytes(own)).hexdigest()[:8]}"


def distributions_folder(user: ServerUser) -> Path:
    """Return where unpacked servers are kept: in `resources.cache_folder`; for root, below ``/var/cache``."""
    own = cache_folder() / "servers"
    return own if user.uid is None or user.obstacle(own) is None else _SYSTEM_CACHE / "servers"


def make_public(folder: Path) -> Path:
    """Make ``folder`` with everything missing above it, enterable by everybody whatever the umask is."""
    for path in (*reversed(folder.parents), folder):
        if not path.exists():
            path.mkdir(exist_ok=True)
            path.chmod(0o755)
    return folder


def check_reachable(folder: Path, user: ServerUser) -> None:
    """Refuse a data folder that the server's user cannot get to.

    Raises:
        EnvironmentProblem: names the folder that is closed and what to do.
    """
    if (obstacle := user.obstacle(folder)) is not None:
        raise EnvironmentProblem(
            f"the server runs as user '{user.name}', who cannot enter {obstacle}: choose another folder "
            f"by --data, open this one with 'chmod o+x {obstacle}', or choose its owner by OSMM_SERVER_USER"
        )


def check_space(folder: Path, needed: int, purpose: str) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        folder: where it will be written; it need not exist yet.
        needed: bytes that must be free.
        purpose: what for, as in "unpack the server".

    Raises:
        EnvironmentProblem: names the disk's folder, what is free and what is needed.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise EnvironmentProblem(
            f"the disk that holds {existing} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed "
            f"to {purpose}: make room, or choose another disk by --data (data) or OSMM_CACHE (server)"
        )
