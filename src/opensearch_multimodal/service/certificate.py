"""The service's certificate, taken anew when its files change."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["Certificate"]

_SECONDS_BETWEEN_LOOKS = 5.0
_log = logging.getLogger("opensearch_multimodal.service")


class Certificate:
    """Watches the files of a certificate and its key, as whoever renews them writes them in place.

    New connections get the new certificate; those that are open keep theirs. Files that do not fit each
    other, as in the moment between the writing of one and of the other, change nothing, and are read again
    when they change.
    """

    def __init__(
        self, listening: ssl.SSLContext, load: Callable[[], ssl.SSLContext], certificate: str, key: str
    ) -> None:
        """Watch files that ``listening`` has loaded already.

        Args:
            listening: the context of the server; each handshake is handed to the newest one. Loading into the
                same context would not do: it keeps a certificate of another type of key beside the new one.
            load: makes a context of what the files hold now.
            certificate: PEM file with the chain.
            key: PEM file with its private key.
        """
        self._newest = listening
        self._load = load
        self._files = (certificate, key)
        self._seen = self._state()
        self._next = 0.0
        listening.sni_callback = self._hand_over

    def look(self) -> None:
        """Load the files if they have changed; cheap, and does nothing for five seconds after a look."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _SECONDS_BETWEEN_LOOKS
        state = self._state()
        if state == self._seen:
            return
        self._seen = state
        try:
            self._newest = self._load()
        except (ssl.SSLError, OSError) as error:
            _log.error("the certificate has changed and cannot be read, the old one stays: %s", error)
        else:
            _log.info("the certificate has changed: new connections get the new one")

    def _hand_over(
        self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, context: ssl.SSLContext
    ) -> None:
        """Let a handshake, with or without a server name, use the newest certificate."""
        connection.context = self._newest

    def _state(self) -> list[tuple[int, int, int] | None]:
        """Return what changes when a file is written or replaced; None for a file that is not there."""
        state: list[tuple[int, int, int] | None] = []
        for name in self._files:
            try:
                told = Path(name).stat()
            except OSError:
                state.append(None)
            else:
                state.append((told.st_ino, told.st_mtime_ns, told.st_size))
        return state
