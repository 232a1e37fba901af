"""The plugin and a service behind TLS: whom the node trusts, and the token in its keystore."""

from __future__ import annotations

import shutil
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from bridge import Bridge
from faulty_service import FaultyService

from opensearch_multimodal.errors import EnvironmentProblem
from opensearch_multimodal.server import EmbeddedServer
from opensearch_multimodal.server.java import find_java
from opensearch_multimodal.server.keystore import write_keystore
from opensearch_multimodal.server.state import read_state
from opensearch_multimodal.server.user import server_user


def context(authority: trustme.CA, name: str = "localhost") -> ssl.SSLContext:
    """Return what a server with a certificate of this authority needs."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(made)
    return made


@dataclass(frozen=True)
class Secured:
    """A server with the plugin, its service, and an authority that it trusts."""

    bridge: Bridge
    authority: trustme.CA


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A server that trusts one authority, by a PEM file in its configuration folder."""
    authority = trustme.CA()
    pem = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(pem))
    data = Path(tempfile.mkdtemp(prefix="osmm-test-"))
    data.chmod(0o755)
    try:
        with (
            FaultyService(context(authority)) as service,
            EmbeddedServer(
                data,
                settings={
                    "multimodal.service.url": service.url,
                    "multimodal.service.ssl.certificate_authorities": ["service/ca.pem"],
                    "multimodal.service.max_retry_time": "1s",
                },
                keystore={"multimodal.service.token": "first-token-0123"},
                config_files={"service/ca.pem": pem},
            ) as server,
        ):
            bridge = Bridge(server, service)
            bridge.pipeline("encode")
            bridge.create("t-pages", settings={"default_pipeline": "encode"})
            yield Secured(bridge, authority)
    finally:
        shutil.rmtree(data, ignore_errors=True)


def replace(service: FaultyService, made: ssl.SSLContext) -> None:
    """Let the service come back with another certificate."""
    service.stop()
    service.context = made
    service.start()


def test_a_trusted_service_is_called(secured: Secured) -> None:
    bridge = secured.bridge
    assert bridge.service.url.startswith("https://")
    assert bridge.ask("PUT", "/t-pages/_doc/1", {"text": "alpha"}).status == 201
    assert bridge.service.calls[-1].headers["x-multimodal-token"] == "first-token-0123"


def reload(bridge: Bridge, token: str) -> dict[str, Any]:
    """Put a token into the keystore and have the node read it; return what the node says."""
    state = read_state(bridge.server.data)
    assert state is not None
    config = bridge.server.data / "config"
    secrets = {"multimodal.service.token": token}
    write_keystore(Path(state.distribution), config, find_java(), secrets)
    server_user().own(config)
    for path in (config, *config.rglob("*")):
        shutil.chown(path, server_user().uid or -1)
    found: dict[str, Any]
    (found,) = bridge.done("POST", "/_nodes/reload_secure_settings", {})["nodes"].values()
    return found


def test_the_token_can_be_changed_while_the_node_runs(secured: Secured) -> None:
    bridge = secured.bridge
    assert "reload_exception" not in reload(bridge, "second-token-0123")
    assert bridge.ask("PUT", "/t-pages/_doc/2", {"text": "alpha"}).status == 201
    assert bridge.service.calls[-1].headers["x-multimodal-token"] == "second-token-0123"
    told = reload(bridge, "unmistakable secret")["reload_exception"]
    assert "takes only ASCII letters, digits and signs" in str(told)
    assert "unmistakable" not in str(told)
    assert bridge.ask("PUT", "/t-pages/_doc/2", {"text": "alpha"}).status == 200
    assert bridge.service.calls[-1].headers["x-multimodal-token"] == "second-token-0123"


@pytest.mark.parametrize("fault", ["another authority", "another name"])
def test_any_other_certificate_is_refused(secured: Secured, fault: str) -> None:
    bridge = secured.bridge
    made = context(trustme.CA()) if fault == "another authority" else context(secured.authority, "elsewhere")
    replace(bridge.service, made)
    try:
        before = len(bridge.service.calls)
        reply = bridge.ask("PUT", "/t-pages/_doc/3", {"text": "alpha"})
        assert reply.status == 502
        assert "do not agree on TLS" in reply.reason
        assert len(bridge.service.calls) == before
    finally:
        replace(bridge.service, context(secured.authority))
    assert bridge.ask("PUT", "/t-pages/_doc/3", {"text": "alpha"}).status in (200, 201)


def test_a_keystore_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "opensearch-keystore"
    tool.write_text("#!/bin/sh\nexit 7\n")
    tool.chmod(0o755)
    with pytest.raises(EnvironmentProblem, match="opensearch-keystore create ended with 7"):
        write_keystore(tmp_path, tmp_path, find_java(), {"a.b": "secret"})
