"""A cluster that asks for TLS and a password: every command works, and what is wrong is said."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_index
from click.testing import CliRunner, Result
from homes import home, tiny_home
from secured import PASSWORD, USER, Secured, secured

from opensearch_multimodal.cli import main
from opensearch_multimodal.client import Cluster
from opensearch_multimodal.errors import ClusterRefused, ClusterUnreachable

__all__ = ["home", "tiny_home"]


@pytest.fixture(scope="module")
def proxy(server: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured(server.url, tmp_path_factory.mktemp("secured")) as running:  # type: ignore[attr-defined]
        yield running


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    chosen = f"secured-{uuid.uuid4().hex[:8]}"
    yield chosen
    if chosen in cluster.get_index(f"{chosen}*"):
        cluster.delete_index(chosen)


def osmm(*arguments: str, **options: str) -> Result:
    return CliRunner().invoke(main, list(arguments), env=options)


def test_a_whole_session_over_tls_with_a_password(
    proxy: Secured, home: Path, tmp_path: Path, name: str
) -> None:
    secrets = {
        "OPENSEARCH_URL": proxy.url,
        "OPENSEARCH_USER": USER,
        "OPENSEARCH_PASSWORD": PASSWORD,
        "OPENSEARCH_CA_FILE": str(proxy.ca_file),
    }
    tiny_index.create(Cluster(proxy.url, user=USER, password=PASSWORD, ca_file=str(proxy.ca_file)), name)
    tiny_index.write_jsonl(tmp_path / "corpus.jsonl", 8)
    for arguments in (
        ["ingest", str(tmp_path / "corpus.jsonl"), "--index", name],
        ["search", name, "alpha beta", "--profile", "gqr"],
        ["index", "show", name],
        ["delete", name, "--document", "r1", "--yes"],
    ):
        result = osmm(*arguments, **secrets)
        assert result.exit_code == 0, result.output + result.stderr
        assert PASSWORD not in result.output + result.stderr


def test_an_unknown_authority_is_refused_with_the_remedy(proxy: Secured) -> None:
    connection = Cluster(proxy.url, user=USER, password=PASSWORD)
    with pytest.raises(ClusterUnreachable, match="--ca-file"):
        connection.info()


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_an_unknown_authority_can_be_accepted(proxy: Secured) -> None:
    connection = Cluster(proxy.url, user=USER, password=PASSWORD, verify=False)
    assert connection.info()["version"]["number"] == "3.6.0"


@pytest.mark.parametrize("password", ["mistaken", None])
def test_a_wrong_password_is_told_and_not_shown(proxy: Secured, name: str, password: str | None) -> None:
    options = ["--url", proxy.url, "--ca-file", str(proxy.ca_file)]
    if password is not None:
        options += ["--user", USER, "--password", password]
    result = osmm("index", "show", name, *options)
    assert result.exit_code == 2
    assert "401" in result.stderr
    assert "mistaken" not in result.stderr


def test_reading_cbor_is_refused_like_everything_else(proxy: Secured, name: str) -> None:
    connection = Cluster(proxy.url, user=USER, password="wrong", ca_file=str(proxy.ca_file))
    with pytest.raises(ClusterRefused):
        connection.call("GET", f"/{name}/_search", headers={"accept": "application/cbor"})


def test_credentials_in_the_url_work_and_are_not_repeated(proxy: Secured) -> None:
    host = proxy.url.removeprefix("https://")
    connection = Cluster(f"https://{USER}:pass%20word%3A%C3%A4@{host}", ca_file=str(proxy.ca_file))
    assert connection.info()["version"]["number"] == "3.6.0"
    assert "pass" not in connection.url
