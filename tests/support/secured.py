"""What a secured cluster looks like from outside: TLS and basic authentication in front of a real server."""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import trustme
import urllib3

USER, PASSWORD = "searcher", "pass word:ä"


@dataclass(frozen=True)
class Secured:
    """Where the proxy answers, and the authority that signed its certificate."""

    url: str
    ca_file: Path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream: ClassVar[str]
    pool: ClassVar[urllib3.PoolManager]
    expected: ClassVar[str] = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.headers.get("authorization") != self.expected:
            self._answer(401, {"content-type": "text/plain", "www-authenticate": "Basic"}, b"Unauthorized")
            return
        kept = {
            key: value
            for key, value in self.headers.items()
            if key.lower() not in ("host", "authorization", "connection")
        }
        answer = self.pool.request(
            self.command, self.upstream + self.path, body=body, headers=kept, retries=False
        )
        self._answer(answer.status, {"content-type": answer.headers.get("content-type", "")}, answer.data)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _forward  # noqa: N815 - the base class asks for them

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def secured(upstream: str, folder: Path) -> Iterator[Secured]:
    """Run the proxy on a free port as long as the block; only `USER` with `PASSWORD` passes."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    ca_file = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    with urllib3.PoolManager() as pool:
        handler = type("Handler", (_Handler,), {"upstream": upstream, "pool": pool})
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
            proxy.daemon_threads = True
            proxy.socket = context.wrap_socket(proxy.socket, server_side=True)
            thread = threading.Thread(target=proxy.serve_forever, daemon=True)
            thread.start()
            try:
                yield Secured(f"https://localhost:{proxy.server_address[1]}", ca_file)
            finally:
                proxy.shutdown()
                thread.join()
