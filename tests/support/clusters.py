"""One embedded server for a whole run of tests; import the fixtures into a conftest to use them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from opensearch_multimodal.client import Cluster
from opensearch_multimodal.server import EmbeddedServer

__all__ = ["cluster", "server"]


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """A running server, the project's plugin included where it is built, on an empty data folder.

    The folder is one that the server's own user can reach: pytest's are closed to other users.
    """
    data = Path(tempfile.mkdtemp(prefix="osmm-test-"))
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
