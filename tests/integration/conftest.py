"""What the tests against real servers share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_index
from bridge import TOKEN, Bridge
from clusters import cluster, server
from faulty_service import FaultyService
from plugin import Http

from opensearch_multimodal.server import EmbeddedServer

__all__ = ["cluster", "server"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """``$OSMM_HOME`` with the tiny models, for the tests of one file; beside it is room for more models."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OSMM_HOME", str(folder / "home"))
        tiny_index.write_models(folder / "exported")
        yield folder / "home"


@pytest.fixture
def http(server: EmbeddedServer) -> Iterator[Http]:
    """Plain HTTP to the server; indices and repositories made in the test are removed."""
    connection = Http(server.url)
    yield connection
    connection.call("DELETE", "t-*?expand_wildcards=all", status=[200, 404])


@pytest.fixture(scope="session")
def bridge_server() -> Iterator[Bridge]:
    """A running server with the plugin, and the peer that it calls."""
    data = Path(tempfile.mkdtemp(prefix="osmm-test-"))
    data.chmod(0o755)
    try:
        with (
            FaultyService() as service,
            EmbeddedServer(
                data,
                settings={"multimodal.service.url": service.url},
                keystore={"multimodal.service.token": TOKEN},
            ) as running,
        ):
            yield Bridge(running, service)
    finally:
        shutil.rmtree(data, ignore_errors=True)


@pytest.fixture
def bridge(bridge_server: Bridge) -> Iterator[Bridge]:
    """The same, healthy, with limits that fit a test, and without indices of other tests."""
    bridge_server.service.reset()
    bridge_server.configure(
        service__timeout="3s",
        service__encode_timeout="2s",
        service__max_retry_time="6s",
        service__max_in_flight=4,
        service__max_encode_in_flight=4,
        service__max_queue=None,
        service__max_request_size=None,
        service__max_response_size=None,
        ingest__max_image_size=None,
        ingest__max_text_length=None,
    )
    yield bridge_server
    bridge_server.service.reset()
    bridge_server.done("DELETE", "/t-*")
