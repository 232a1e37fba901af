"""A scriptable peer in place of the service: it counts calls, answers tiny vectors, and fails in every way.

OpenSearch is never played; this stands for the other side of the plugin's connection only, because a real
service cannot be told to hang, to lie, or to speak another protocol.
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

__all__ = ["REFUSED", "Answer", "Call", "FaultyService", "answer_encode", "vector"]

REFUSED = "cannot-be-encoded"
"""A text with this in it fails alone."""


@dataclass(frozen=True)
class Call:
    """One call that arrived."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Answer:
    """What goes back; a body that is no bytes is written as JSON."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"x-multimodal-protocol": "1"})


Behaviour = Callable[[Call], Answer | None]
"""Makes the answer to a call; None closes the connection without one."""


def vector(text: str) -> list[float]:
    """Return four numbers that tell texts apart."""
    codes = text.encode() or b"\0"
    return [float(len(codes)), codes[0] / 256, codes[-1] / 256, sum(codes) % 97 / 97]


def answer_encode(call: Call) -> Answer:
    """Give each input its vectors: of the text for text fields, of the image for image fields."""
    results = []
    for item in call.body["inputs"]:
        if REFUSED in item.get("text", ""):
            results.append({"error": {"type": "invalid_input", "reason": "the text has no words"}})
            continue
        values: dict[str, Any] = {}
        for name, described in call.body["fields"].items():
            source = described if "input" in described else call.body["fields"][described["derived_from"]]
            given = item.get(source["input"])
            if given and given.strip():
                numbers = vector(given)
                packed = base64.b64encode(json.dumps(numbers).encode()).decode()
                values[name] = packed if "encoding" in described else numbers
        results.append({"values": values})
    return Answer({"results": results})


class FaultyService:
    """The peer, as a context manager; `behave` decides about every call.

    Attributes:
        calls: every call that arrived, in order.
        peak: the most calls that were under way at once.
        hits: what ``/v1/rank`` answers by default.
        degraded: its mark beside them.
        server: what listens at the moment; a connection to an earlier one is closed.
        context: its certificate, None for plain HTTP; read at `start`.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        """Prepare it; entering the block starts it on a free port, the same one after `stop` and `start`."""
        self.calls: list[Call] = []
        self.hits: list[dict[str, Any]] = []
        self.degraded: str | None = None
        self.behave: Behaviour = self.answer
        self.peak = 0
        self.context = context
        self._under_way = 0
        self._lock = threading.Lock()
        self._port = 0
        self.server: _Server | None = None
        self.released = threading.Event()

    def answer(self, call: Call) -> Answer:
        """Do what a healthy service does."""
        if call.path == "/v1/encode":
            return answer_encode(call)
        return Answer({"hits": self.hits, "degraded": self.degraded, "timings_ms": {}})

    def hang(self, _: Call) -> None:
        """Accept the call, and never answer; the connection is closed at the end of the test."""
        self.released.wait(120)

    def slow(self, seconds: float) -> Behaviour:
        """Answer after so many seconds."""

        def late(call: Call) -> Answer:
            time.sleep(seconds)
            return self.answer(call)

        return late

    def first(self, times: int, fault: Behaviour) -> Behaviour:
        """Fail so many times, then do as a healthy service does."""
        left = [times]

        def behave(call: Call) -> Answer | None:
            with self._lock:
                failing = left[0] > 0
                left[0] -= failing
            return fault(call) if failing else self.answer(call)

        return behave

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{'https' if self.context else 'http'}://localhost:{self._port}"

    @property
    def paths(self) -> Counter[str]:
        """How often each path was called."""
        return Counter(call.path for call in self.calls)

    @contextmanager
    def behaving(self, behaviour: Behaviour) -> Iterator[None]:
        """Behave so within the block."""
        self.behave = behaviour
        try:
            yield
        finally:
            self.behave = self.answer

    def reset(self) -> None:
        """Forget what happened, and be healthy."""
        self.released.set()
        self.released = threading.Event()
        self.calls.clear()
        self.hits, self.degraded, self.peak = [], None, 0
        self.behave = self.answer

    def start(self) -> None:
        """Listen."""
        handler = type("Handler", (_Handler,), {"service": self})
        server = _Server(("127.0.0.1", self._port), handler)
        if self.context:
            server.socket = self.context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._port = server.server_address[1]
        self.server = server
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Be gone, as if killed: every connection ends, whoever connects is refused."""
        self.released.set()
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            for connection in self.server.connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self.server = None

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def handle(self, call: Call) -> Answer | None:
        """Count a call and decide about it."""
        with self._lock:
            self.calls.append(call)
            self._under_way += 1
            self.peak = max(self.peak, self._under_way)
        try:
            return self.behave(call)
        finally:
            with self._lock:
                self._under_way -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, *arguments: Any) -> None:
        """Remember connections, to end them."""
        super().__init__(*arguments)
        self.connections: list[socket.socket] = []

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember this one."""
        self.connections.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: callers that give up are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: FaultyService

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        headers = {key.lower(): value for key, value in self.headers.items()}
        gone = self.server is not self.service.server
        answer = None if gone else self.service.handle(Call(self.path, headers, body))
        if answer is None:
            self.close_connection = True
            return
        content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        with suppress(OSError):
            self.send_response(answer.status)
            for key, value in answer.headers.items():
                self.send_header(key, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Stay silent."""
