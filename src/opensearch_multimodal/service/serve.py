"""Start the service: one worker in this process, or several of their own."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from ..errors import EnvironmentProblem, InvalidInput
from .metrics import FOLDER_VARIABLE
from .settings import ServiceSettings
from .supervisor import supervise
from .worker import work

__all__ = ["serve"]


def serve(
    settings: ServiceSettings,
    *,
    host: str,
    port: int,
    workers: int = 1,
    ready: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        settings: of the service.
        host: address or name to listen at.
        port: to listen at, 0 for a free one.
        workers: processes; each has its own models and its own limits.
        ready: called with the service's URL once requests are answered.

    Raises:
        EnvironmentProblem: the port is taken, or a model cannot be loaded.
        InvalidInput: the host is not this machine's, or a setting is wrong.
    """
    os.environ.pop(FOLDER_VARIABLE, None)
    with _bind(host, port) as listener:
        url = _url(settings, host, listener)
        if workers == 1:
            work(settings, listener, lambda: ready(url))
        else:
            supervise(settings, listener, workers, lambda: ready(url))


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise InvalidInput(f"--host: '{host}' is not an address of this machine") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise EnvironmentProblem(f"cannot listen at {host} port {port}: {error.strerror}") from error
    listener.set_inheritable(True)
    return listener


def _url(settings: ServiceSettings, host: str, listener: socket.socket) -> str:
    scheme = "https" if settings.certificate else "http"
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{listener.getsockname()[1]}"
