"""An OpenSearch of our own: started on free loopback ports, found again, stopped with all it started."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import urllib3

from ..errors import EnvironmentProblem, InvalidInput
from . import state as states
from .distribution import VERSION, distribution_folder, install, own_plugin
from .folders import check_reachable, check_space, default_data_folder, make_public
from .java import find_java
from .keystore import write_keystore
from .settings import Layout, check_heap, write_configuration
from .state import State, Status
from .user import ServerUser, server_user

__all__ = ["EmbeddedServer"]

_SERVICE_URL = "http://127.0.0.1:8686"
"""Where the plugin of an embedded server looks for the service: where ``osmm serve`` answers by default."""

_READY_SECONDS = 180.0
_RECOVERY_SECONDS = 30.0
_FREE_BYTES = 1_200_000_000

_CAUSE = r"^(Caused by|Likely root cause|Error|ERROR): |insufficient memory|Could not reserve enough space"

_detached: list[subprocess.Popen[bytes]] = []
"""Supervisors of servers that outlive us; kept, or Python would warn that they still run."""


class EmbeddedServer:
    """The server of one data folder.

    As a context manager it runs exactly as long as the block; started by `start`, as long as this
    process or until `stop`, unless `detach` lets it go on. Whatever ends this process, ``kill -9``
    included, ends a server that was not detached. Where one runs on the data folder already, that one
    is used, and leaving the block does not stop it.
    """

    def __init__(
        self,
        data: Path | str | None = None,
        *,
        heap: str = "1g",
        http_port: int | None = None,
        plugin: bool = True,
        extra_plugins: Sequence[Path] = (),
        settings: Mapping[str, Any] | None = None,
        keystore: Mapping[str, str] | None = None,
        config_files: Mapping[str, Path] | None = None,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Describe a server; `start` starts it.

        Args:
            data: its data folder; `default_data_folder` by default.
            heap: the JVM's heap, such as ``1g``.
            http_port: the port on 127.0.0.1; a free one by default.
            plugin: install the project's own plugin, where it was built; False gives a stock server.
            extra_plugins: zip files of plugins to install beside these, k-NN and neural-search.
            settings: node settings beside or in place of ours, such as ``thread_pool.write.queue_size``.
            keystore: secure settings, such as ``multimodal.service.token``.
            config_files: name → file to copy into the server's configuration folder, such as certificates.
            report: told what is going on, in a few words, often.

        Raises:
            InvalidInput: the heap is not a size, or the port is outside 1024–65535.
        """
        self.data = Path(data).expanduser().resolve() if data is not None else default_data_folder()
        self.heap = check_heap(heap)
        if http_port is not None and not 1024 <= http_port <= 65535:
            raise InvalidInput(f"port: {http_port} is outside 1024–65535")
        self.http_port = http_port
        own = own_plugin() if plugin else None
        self.plugins = tuple(Path(path).resolve() for path in ([own] if own else []) + list(extra_plugins))
        self.settings = ({"multimodal.service.url": _SERVICE_URL} if own else {}) | dict(settings or {})
        self.keystore = dict(keystore or {})
        self.config_files = {name: Path(path).resolve() for name, path in (config_files or {}).items()}
        self._report = report
        self._supervisor: subprocess.Popen[bytes] | None = None

    @property
    def status(self) -> Status | None:
        """The server that is ready on the data folder, or None."""
        return states.status(self.data)

    @property
    def url(self) -> str:
        """Where the server answers.

        Raises:
            EnvironmentProblem: it is not running.
        """
        if (status := self.status) is None:
            raise EnvironmentProblem(f"no server is running on {self.data}")
        return status.url

    def start(self) -> Status:
        """Start the server, or find the one that runs on this data folder; return when it is ready.

        Raises:
            EnvironmentProblem: Java, Maven, disk space, a port, the user or the folder stands in the
                way, or the server ended while starting; the message quotes its log.
        """
        user = server_user()
        check_reachable(self.data, user)
        if running := self._running(user):
            return running
        java = find_java(lambda path: user.may("execute", path))
        distribution = install(user, extra_plugins=self.plugins, report=self._report)
        check_space(self.data, _FREE_BYTES, "run a server")
        self._prepare_folder()
        lock = self._acquire(user)
        if isinstance(lock, Status):
            return lock
        try:
            try:
                _check_port(self.http_port)
                layout = Layout(self.data)
                self._report("starting OpenSearch")
                self._prepare(layout, user, java, distribution)
                state = self._spawn(layout, user, java, distribution, lock)
            finally:
                os.close(lock)  # the supervisor and the JVM hold it on
            return self._until_ready(layout, state)
        except BaseException:
            self._end()
            raise

    def detach(self) -> None:
        """Let the server run on after this process; from now on only `stop` ends it."""
        if (supervisor := self._supervisor) is not None:
            assert supervisor.stdin is not None  # noqa: S101 - a pipe by construction
            with suppress(BrokenPipeError):  # it has ended by itself
                supervisor.stdin.write(b"d")
            supervisor.stdin.close()
            _detached.append(supervisor)
            self._supervisor = None

    def stop(self) -> None:
        """Stop the server of this data folder, whoever started it, with everything it started."""
        self._end()
        states.stop(self.data)

    def _end(self) -> None:
        """Stop the server if this object started it."""
        if (supervisor := self._supervisor) is not None:
            self._supervisor = None
            assert supervisor.stdin is not None  # noqa: S101 - a pipe by construction
            supervisor.stdin.close()
            supervisor.wait()

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server if this object started it."""
        self._end()

    def _running(self, user: ServerUser) -> Status | None:
        """Return the server that is ready; refuse one that is not what was asked for."""
        status, state = self.status, states.read_state(self.data)
        if status is None or state is None:
            return None
        if self.http_port not in (None, urllib3.util.parse_url(status.url).port):
            raise EnvironmentProblem(
                f"a server runs on {self.data} at {status.url}, another port: stop it first"
            )
        if self.plugins and state.distribution != str(distribution_folder(user, self.plugins)):
            raise EnvironmentProblem(
                f"the server that runs on {self.data} has other plugins: stop it first (osmm server stop)"
            )
        return status

    def _prepare_folder(self) -> None:
        """Make the data folder; refuse one that holds somebody else's files."""
        try:
            if self.data.exists() and any(self.data.iterdir()) and not states.lock_file(self.data).exists():
                raise EnvironmentProblem(
                    f"{self.data} is not empty and is no server's data folder: choose another one by --data"
                )
            make_public(self.data)
        except (NotADirectoryError, PermissionError) as error:
            raise EnvironmentProblem(f"{self.data} cannot be used for data: {error.strerror}") from None

    def _acquire(self, user: ServerUser) -> int | Status:
        """Return the lock, or the server that another process has started meanwhile."""
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if (lock := states.acquire(self.data)) is not None:
                return lock
            if running := self._running(user):
                return running
            self._report("waiting for another start or stop on the same data folder")
            time.sleep(0.1)
        raise EnvironmentProblem(f"another process has held {self.data} for {_READY_SECONDS:.0f} s")

    def _prepare(self, layout: Layout, user: ServerUser, java: Path, distribution: Path) -> None:
        """Make the folders and the configuration afresh; nothing of an earlier start is written through."""
        for folder in (layout.config, layout.temporary):
            shutil.rmtree(folder, ignore_errors=True)
        for folder in layout.folders:
            folder.mkdir(exist_ok=True)
        layout.http_ports.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            layout.log.replace(layout.log.with_suffix(".previous.log"))
        layout.console.unlink(missing_ok=True)
        write_configuration(distribution, layout, self.http_port, self.settings)
        for name, path in self.config_files.items():
            (layout.config / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, layout.config / name)
        write_keystore(distribution, layout.config, java, self.keystore)
        for folder in layout.folders:
            user.own(folder)

    def _spawn(self, layout: Layout, user: ServerUser, java: Path, distribution: Path, lock: int) -> State:
        order = {
            "command": [str(distribution / "bin" / "opensearch")],
            "env": {
                "PATH": os.environ.get("PATH", os.defpath),
                "LANG": "C.UTF-8",
                "HOME": str(layout.root),
                "OPENSEARCH_JAVA_HOME": str(java),
                "OPENSEARCH_PATH_CONF": str(layout.config),
                "OPENSEARCH_TMPDIR": str(layout.scratch),
                "OPENSEARCH_JAVA_OPTS": f"-Xms{self.heap} -Xmx{self.heap}",
            },
            "console": str(layout.console),
            "user": user.uid,
            "group": user.gid,
            "groups": user.groups,
            "keep": [lock],
            "grace": states.STOP_SECONDS,
        }
        script = Path(__file__).with_name("supervise.py")
        self._supervisor = subprocess.Popen(
            [sys.executable, "-I", "-S", script, json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            start_new_session=True,  # Ctrl-C in a terminal reaches us, not the server
            pass_fds=(lock,),
        )
        assert self._supervisor.stdout is not None  # noqa: S101 - a pipe by construction
        with self._supervisor.stdout as answer:
            reply = json.loads(answer.readline() or b'{"error": "its supervisor did not start"}')
        if "error" in reply:
            raise EnvironmentProblem(
                f"the server could not be started as user '{user.name}': {reply['error']}"
            )
        state = State(reply["pid"], self._supervisor.pid, VERSION, str(distribution))
        state.write(self.data)
        return state

    def _until_ready(self, layout: Layout, state: State) -> Status:
        assert self._supervisor is not None  # noqa: S101 - set by _spawn
        begin = time.monotonic()
        answered: float | None = None
        while self._supervisor.poll() is None:
            now = time.monotonic()
            if now - begin > _READY_SECONDS:
                raise EnvironmentProblem(
                    f"the server was not ready after {_READY_SECONDS:.0f} s: {_last_words(layout)}"
                )
            health = _health(url) if (url := _published_url(layout)) else None
            answered = answered or (now if health else None)
            # An index that cannot recover must not keep its owner from the server that would tell why.
            if url and (health in ("green", "yellow") or (answered and now - answered > _RECOVERY_SECONDS)):
                State(state.pid, state.supervisor, state.version, state.distribution, url).write(self.data)
                return Status(url, state.pid, state.version, str(self.data))
            self._report(f"starting OpenSearch ({now - begin:.0f} s)")
            time.sleep(0.1)
        raise EnvironmentProblem(f"the server ended while starting: {_last_words(layout)}")


def _check_port(port: int | None) -> None:
    if port is None:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise EnvironmentProblem(
                f"port {port} of 127.0.0.1 cannot be used ({error.strerror}): choose another by --port, "
                "or leave it out for a free one"
            ) from None


def _published_url(layout: Layout) -> str | None:
    with suppress(FileNotFoundError):
        if lines := layout.http_ports.read_text().split():
            return f"http://{lines[0]}"
    return None


def _health(url: str) -> str | None:
    """Return the cluster's colour, or None where it does not answer yet."""
    with suppress(urllib3.exceptions.HTTPError, ValueError):
        response = urllib3.request("GET", f"{url}/_cluster/health", timeout=5.0, retries=False)
        if response.status == 200:
            return str(response.json()["status"])
    return None


def _last_words(layout: Layout) -> str:
    """Return the line of the log that most likely says what went wrong, and where the log is."""
    lines: list[str] = []
    for path in (layout.console, layout.log):
        with suppress(OSError):
            lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
    causes = [line for line in lines if re.search(_CAUSE, line)]
    errors = [
        line
        for line in lines
        if re.search(r"\[(ERROR|FATAL)|Exception|[Ee]rror", line) and "\tat " not in line
    ]
    telling = next((found[-1] for found in (causes, errors, lines) if found), "it wrote nothing")
    path = layout.log if layout.log.is_file() else layout.console
    return f"{telling.strip()[:400]} (log: {path})"
