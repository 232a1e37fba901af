"""The boundary to opensearch-py: every vendor error has one of ours, and credentials never show."""

import base64
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest
from opensearchpy import exceptions as vendor

from opensearch_multimodal.client import Cluster, map_error, retrying
from opensearch_multimodal.errors import (
    ClusterBusy,
    ClusterConflict,
    ClusterError,
    ClusterNotFound,
    ClusterRefused,
    ClusterRejected,
    ClusterTimeout,
    ClusterUnreachable,
    InvalidInput,
)

URL = "http://localhost:9200"


def vendor_errors() -> list[type[vendor.OpenSearchException]]:
    found: list[type[vendor.OpenSearchException]] = []
    todo: list[type[vendor.OpenSearchException]] = [vendor.OpenSearchException]
    while todo:
        cls = todo.pop()
        found.append(cls)
        todo += cls.__subclasses__()
    return found


@pytest.mark.parametrize("cls", vendor_errors(), ids=lambda cls: cls.__name__)
def test_every_vendor_error_is_mapped(cls: type[vendor.OpenSearchException]) -> None:
    error = (
        cls("N/A", "message", {"error": "x"}) if issubclass(cls, vendor.TransportError) else cls("message")
    )
    assert isinstance(map_error(error, URL), ClusterError)


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "mapper_parsing_exception", ClusterRejected),
        (400, "resource_already_exists_exception", ClusterConflict),
        (401, None, ClusterRefused),
        (403, None, ClusterRefused),
        (404, "index_not_found_exception", ClusterNotFound),
        (409, None, ClusterConflict),
        (429, "rejected_execution_exception", ClusterBusy),
        (500, None, ClusterRejected),
        (503, None, ClusterBusy),
    ],
)
def test_status_and_kind_decide(status: int, kind: str | None, expected: type[ClusterError]) -> None:
    error = vendor.TransportError(status, kind, {"error": {"type": kind, "reason": "because"}})
    mapped = map_error(error, URL)
    assert type(mapped) is expected
    assert (mapped.status, mapped.kind) == (status, kind)
    assert "because" in str(mapped)


def test_timeout_is_not_taken_for_a_lost_connection() -> None:
    assert isinstance(map_error(vendor.ConnectionTimeout("TIMEOUT", "slow", None), URL), ClusterTimeout)


def test_no_server_is_unreachable_and_names_the_url_without_the_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://me:secret@127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(ClusterUnreachable, match=r"no cluster answers at http://127\.0\.0\.1") as caught:
        Cluster(url).info()
    assert "secret" not in str(caught.value)


def test_a_server_that_never_answers_is_a_timeout() -> None:
    with socket.socket() as hung:
        hung.bind(("127.0.0.1", 0))
        hung.listen()
        cluster = Cluster(f"http://127.0.0.1:{hung.getsockname()[1]}", timeout=0.2)
        with pytest.raises(ClusterTimeout, match="did not answer in time"):
            cluster.info()
        with pytest.raises(ClusterTimeout, match="did not answer in time"):
            cluster.call("GET", "/", headers={"accept": "application/cbor"})


@pytest.mark.parametrize(
    "url", ["localhost:9200", "ftp://x", "http://", "", "http://localhost:92000", "http://[::1"]
)
def test_what_is_not_a_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="url"):
        Cluster(url)


def test_user_without_password_is_refused() -> None:
    with pytest.raises(InvalidInput, match="password"):
        Cluster(URL, user="me")


@pytest.mark.parametrize("name", ["", "_all", "a/b"])
def test_index_name_cannot_reach_another_endpoint(name: str) -> None:
    with pytest.raises(InvalidInput, match="index"):
        Cluster(URL).refresh(name)


def test_retrying_repeats_what_is_transient_and_only_that() -> None:
    calls: list[int] = []

    def busy_twice() -> str:
        calls.append(1)
        if len(calls) < 3:
            raise ClusterBusy("later", status=429)
        return "done"

    assert retrying(busy_twice, patience=10, first=0.001) == "done"
    assert len(calls) == 3

    def refused() -> None:
        calls.append(1)
        raise ClusterRefused("no", status=403)

    with pytest.raises(ClusterRefused):
        retrying(refused, patience=10)
    assert len(calls) == 4


def test_retrying_gives_up_when_patience_ends() -> None:
    def busy() -> None:
        raise ClusterBusy("later", status=429)

    with pytest.raises(ClusterBusy):
        retrying(busy, patience=0.0, first=0.001)


class Heard(BaseHTTPRequestHandler):
    """Answers everything with {} and keeps the headers."""

    heard: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.heard.append(self.headers.get("authorization"))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def test_on_somebodys_behalf_ones_own_credentials_stay_at_home() -> None:
    with HTTPServer(("127.0.0.1", 0), Heard) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            own = Cluster(f"http://127.0.0.1:{server.server_port}", user="me", password="hidden")
            own.info()
            own.on_behalf_of("Bearer theirs").info()
            own.on_behalf_of(None).info()
            own.info()
        finally:
            server.shutdown()
            thread.join()
            own.close()
    mine = "Basic " + base64.b64encode(b"me:hidden").decode()
    assert Heard.heard == [mine, "Bearer theirs", None, mine]
    assert own.signs_in
    assert not own.on_behalf_of(None).signs_in


def test_after_the_deadline_nothing_is_sent_or_waited_for() -> None:
    with socket.socket() as hung:
        hung.bind(("127.0.0.1", 0))
        hung.listen()
        cluster = Cluster(f"http://127.0.0.1:{hung.getsockname()[1]}")
        with pytest.raises(ClusterTimeout, match="did not answer in time"):
            cluster.on_behalf_of(None, deadline=time.monotonic() + 0.1).info()
        with pytest.raises(ClusterTimeout, match="is over"):
            cluster.on_behalf_of(None, deadline=time.monotonic()).info()
