"""What is known about the server of a data folder: who holds it, and what runs there.

The lock file is held (``flock``) by whoever starts a server, by its supervisor and by the JVM itself,
which inherit it. So it is free exactly when nothing of a server is left, however its end came, and no
process number has to be trusted. The state file beside it says what the holder is.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import EnvironmentProblem

__all__ = [
    "STOP_SECONDS",
    "State",
    "Status",
    "acquire",
    "is_held",
    "lock_file",
    "read_state",
    "status",
    "stop",
    "wait_until",
]

STOP_SECONDS = 20.0
"""How long the JVM may take to end after SIGTERM before it is killed."""


@dataclass(frozen=True)
class Status:
    """A server that is running and ready.

    Attributes:
        url: where it answers.
        pid: the process of its JVM.
        version: the OpenSearch version.
        data: its data folder.
    """

    url: str
    pid: int
    version: str
    data: str


@dataclass(frozen=True)
class State:
    """The state file: a server that is starting (no ``url``) or ready.

    Attributes:
        pid: the process of the JVM.
        supervisor: the process that watches it.
        version: the OpenSearch version.
        distribution: the folder of the server's files; its name holds the plugins' digests.
        url: where it answers, or None while it starts.
    """

    pid: int
    supervisor: int
    version: str
    distribution: str
    url: str | None = None

    def write(self, data: Path) -> None:
        """Replace the state file of a data folder."""
        temporary = data / ".server.json.new"
        temporary.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")
        temporary.chmod(0o644)
        temporary.replace(_state_file(data))


def _state_file(data: Path) -> Path:
    return data / "server.json"


def lock_file(data: Path) -> Path:
    """Return the lock file; its existence also marks a folder as a server's data folder."""
    return data / "server.lock"


def acquire(data: Path) -> int | None:
    """Take the lock of a data folder; return its descriptor, or None while somebody holds it.

    A state file left by a server that is gone is removed.
    """
    try:
        descriptor = os.open(lock_file(data), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except PermissionError:
        raise _foreign(data) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    _state_file(data).unlink(missing_ok=True)
    return descriptor


def is_held(data: Path) -> bool:
    """Whether anything of a server is alive on this data folder."""
    try:
        descriptor = os.open(lock_file(data), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except PermissionError:
        raise _foreign(data) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_state(data: Path) -> State | None:
    """Return what runs or starts on a data folder, or None."""
    try:
        state = State(**json.loads(_state_file(data).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    except PermissionError:
        raise _foreign(data) from None
    return state if is_held(data) and _exists(state.pid) else None


def status(data: Path) -> Status | None:
    """Return the server that is ready on a data folder, or None.

    Raises:
        EnvironmentProblem: the folder is closed to this user.
    """
    data = data.expanduser().resolve()
    state = read_state(data)
    if state is None or state.url is None:
        return None
    return Status(url=state.url, pid=state.pid, version=state.version, data=str(data))


def stop(data: Path) -> bool:
    """Stop the server of a data folder, with everything it started; also one that is still starting.

    Returns:
        Whether there was one.

    Raises:
        EnvironmentProblem: it belongs to another user.
    """
    data = data.expanduser().resolve()
    if not is_held(data):
        return False
    wait_until(lambda: read_state(data) is not None or not is_held(data), 5.0)
    state = read_state(data)
    if state is None:
        if not is_held(data):
            return False
        raise EnvironmentProblem(f"something holds {lock_file(data)}, but it is not a server that started")
    try:
        # A supervisor ends the server gracefully; one that was killed took the server with it (Linux)
        # or left it behind.
        os.kill(state.supervisor if _exists(state.supervisor) else state.pid, signal.SIGTERM)
        if not wait_until(lambda: not is_held(data), STOP_SECONDS + 5.0):
            os.killpg(state.pid, signal.SIGKILL)  # the JVM leads a process group of its own
    except ProcessLookupError:
        pass
    except PermissionError:
        raise _foreign(data) from None
    if not wait_until(lambda: not is_held(data), 5.0):
        raise EnvironmentProblem(f"the server on {data} (process {state.pid}) could not be stopped")
    return True


def _foreign(data: Path) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"{data} belongs to another user: act as that user, or choose another folder by --data"
    )


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll until ``condition()`` holds or the time is over; return whether it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
