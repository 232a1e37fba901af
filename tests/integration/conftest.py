"""One embedded server for the whole run; it lives in a folder that the server's own user can reach."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugin import Http, plugin_zip

from opensearch_multimodal.client import Cluster
from opensearch_multimodal.server import EmbeddedServer


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """A running server on an empty data folder."""
    data = Path(tempfile.mkdtemp(prefix="osmm-test-"))  # pytest's own folders are closed to other users
    data.chmod(0o755)
    try:
        with EmbeddedServer(data, heap="1g") as running:
            yield running
    finally:
        shutil.rmtree(data, ignore_errors=True)


@pytest.fixture
def cluster(server: EmbeddedServer) -> Iterator[Cluster]:
    """A connection to the server."""
    connection = Cluster(server.url)
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def plugin_server() -> Iterator[EmbeddedServer]:
    """A running server with the project's own plugin beside k-NN and neural-search."""
    data = Path(tempfile.mkdtemp(prefix="osmm-test-"))
    data.chmod(0o755)
    try:
        with EmbeddedServer(data, heap="1g", extra_plugins=[plugin_zip()]) as running:
            yield running
    finally:
        shutil.rmtree(data, ignore_errors=True)


@pytest.fixture
def http(plugin_server: EmbeddedServer) -> Iterator[Http]:
    """Plain HTTP to the server with the plugin; indices and repositories made in the test are removed."""
    connection = Http(plugin_server.url)
    yield connection
    connection.call("DELETE", "t-*?expand_wildcards=all", status=[200, 404])
