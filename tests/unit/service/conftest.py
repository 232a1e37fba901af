"""A service over the tiny models, without a cluster, called in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from homes import home, tiny_home
from starlette.testclient import TestClient

from opensearch_multimodal.service import Service, ServiceSettings, create_app

__all__ = ["home", "tiny_home"]

Start = Callable[..., TestClient]


@pytest.fixture
def start(home: Any) -> Iterator[Start]:
    """Start a service with settings of the test's own."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            TestClient(create_app(Service(ServiceSettings(**settings))), raise_server_exceptions=True)
        )


@pytest.fixture
def client(start: Start) -> TestClient:
    return start()
