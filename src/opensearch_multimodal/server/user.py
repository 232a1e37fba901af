"""The user who runs the server: OpenSearch refuses to run as root, so root starts it as somebody else."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import EnvironmentProblem

__all__ = ["ServerUser", "server_user"]


@dataclass(frozen=True)
class ServerUser:
    """Who runs the server.

    Attributes:
        name: the login name, for messages.
        uid: the user to switch to, or None to stay who we are.
        gid: that user's group.
        groups: that user's other groups.
    """

    name: str
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()

    def may(self, right: Literal["read", "write", "execute"], path: Path) -> bool:
        """Ask the kernel, as that user, whether an existing path may be read, written or executed."""
        mode, flag = {"read": (os.R_OK, "-r"), "write": (os.W_OK, "-w"), "execute": (os.X_OK, "-x")}[right]
        if self.uid is None:
            return os.access(path, mode)
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", 'test "$0" "$1"', flag, str(path)],
                user=self.uid,
                group=self.gid,
                extra_groups=self.groups,
                cwd="/",
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise EnvironmentProblem(
                f"the server cannot run as user '{self.name}' ({error}): choose another by OSMM_SERVER_USER"
            ) from None
        return done.returncode == 0

    def obstacle(self, path: Path) -> Path | None:
        """Return the outermost existing folder at or above ``path`` that this user cannot enter, or None."""
        for folder in (*reversed(path.parents), path):
            if not folder.exists():
                return None
            if not self.may("execute", folder):
                return folder
        return None

    def own(self, folder: Path) -> None:
        """Give ``folder`` and everything in it to this user; links are not followed."""
        if self.uid is None or self.gid is None or folder.stat().st_uid == self.uid:
            return
        for parent, folders, files in os.walk(folder, topdown=False):
            for name in (*folders, *files):
                os.chown(Path(parent, name), self.uid, self.gid, follow_symlinks=False)
        os.chown(folder, self.uid, self.gid)


def server_user() -> ServerUser:
    """Return who should run the server.

    An ordinary user runs it as himself. Root runs it as ``$OSMM_SERVER_USER``, else as the user who
    called ``sudo``, else as ``nobody``.

    Raises:
        EnvironmentProblem: there is no such user, or it is root again.
    """
    if os.geteuid() != 0:
        return ServerUser(
            pwd.getpwuid(os.geteuid()).pw_name if _is_known(os.geteuid()) else str(os.geteuid())
        )
    wanted = os.environ.get("OSMM_SERVER_USER")
    sudo = os.environ.get("SUDO_UID", "0")
    try:
        if wanted:
            entry = pwd.getpwnam(wanted)
        elif sudo.isdecimal() and sudo != "0":
            entry = pwd.getpwuid(int(sudo))
        else:
            entry = pwd.getpwnam("nobody")
    except KeyError:
        raise EnvironmentProblem(
            f"OpenSearch does not run as root, and there is no user '{wanted or sudo}' to run it as: "
            "set OSMM_SERVER_USER to an ordinary user of this machine"
        ) from None
    if entry.pw_uid == 0:
        raise EnvironmentProblem("OSMM_SERVER_USER names root, but OpenSearch does not run as root")
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid, groups)


def _is_known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
