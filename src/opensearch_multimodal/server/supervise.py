"""The process between us and the JVM: it starts the server, outlives nobody unasked, and ends it cleanly.

Run as a script, with the standard library only: ``python -I -S supervise.py '{…}'``. Its standard
input is a pipe from the process that wanted the server:

- end of file (that process ended, by whatever cause) → the server is stopped;
- one byte ``d`` → detach: the server goes on until SIGTERM comes or it ends by itself.

It reports ``{"pid": …}`` of the server, or ``{"error": …}``, as one line on standard output. On Linux
the kernel kills the server if this process is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from typing import Any

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Ask the kernel, in the child, to kill it when this process ends; only Linux can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _spawn(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    identity = {"user": order["user"], "group": order["group"], "extra_groups": order["groups"]}
    with open(order["console"], "ab") as console:  # noqa: PTH123 - pathlib costs start-up time
        return subprocess.Popen(
            order["command"],
            env=order["env"],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
            pass_fds=order["keep"],
            preexec_fn=_die_with_parent,
            **(identity if order["user"] is not None else {}),
        )


def _stop(server: subprocess.Popen[bytes], grace: float) -> None:
    _signal_group(server, signal.SIGTERM)
    try:
        server.wait(timeout=grace)
    except subprocess.TimeoutExpired:
        _signal_group(server, signal.SIGKILL)
        server.wait()


def _signal_group(server: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left in it
        os.killpg(server.pid, number)


def _watch(server: subprocess.Popen[bytes], wakeup: int) -> None:
    """Return when the server has ended, or when it should."""
    attached, parent = True, os.getppid()
    while server.poll() is None:
        watched = [0, wakeup] if attached else [wakeup]
        readable, _, _ = select.select(watched, [], [], 1.0 if attached else None)
        if wakeup in readable and signal.SIGTERM in os.read(wakeup, 64):
            return
        if 0 in readable:
            if os.read(0, 1) != b"d":
                return
            attached = False
        # A forked sibling may hold our pipe open after the process that wanted the server was killed.
        elif attached and os.getppid() != parent:
            return


def main() -> int:
    """Start, report, watch and stop one server."""
    order = json.loads(sys.argv[1])
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        server = _spawn(order)
    except (OSError, subprocess.SubprocessError) as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 1
    print(json.dumps({"pid": server.pid}), flush=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        _watch(server, reader)
    finally:
        _stop(server, order["grace"])
        _signal_group(server, signal.SIGKILL)  # whatever the server itself started
    return 0


if __name__ == "__main__":
    sys.exit(main())
