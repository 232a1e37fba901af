"""The configuration that a server starts with, and its state on disk."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from opensearch_multimodal.errors import EnvironmentProblem, InvalidInput
from opensearch_multimodal.server import EmbeddedServer, status, stop
from opensearch_multimodal.server.settings import Layout, check_heap, write_configuration
from opensearch_multimodal.server.state import State, acquire, is_held, read_state


@pytest.fixture
def distribution(tmp_path: Path) -> Path:
    config = tmp_path / "distribution" / "config"
    config.mkdir(parents=True)
    (config / "jvm.options").write_text(
        "-Xms1g\n-Xmx1g\n-XX:+UseG1GC\n-Djava.io.tmpdir=${OPENSEARCH_TMPDIR}\n-XX:+HeapDumpOnOutOfMemoryError\n"
        "9-:-Xlog:gc*:file=logs/gc.log\n20-:--add-modules=jdk.incubator.vector\n"
    )
    (config / "some-plugin.yml").write_text("a: b\n")
    return config.parent


def test_configuration(distribution: Path, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "with blank")
    layout.config.mkdir(parents=True)
    write_configuration(distribution, layout, 9200)
    settings = json.loads((layout.config / "opensearch.yml").read_text())
    assert settings["network.host"] == "127.0.0.1"
    assert (settings["http.port"], settings["transport.port"]) == (9200, 0)
    assert settings["path.data"] == str(tmp_path / "with blank" / "data")
    assert (layout.config / "some-plugin.yml").exists()
    assert (layout.config / "jvm.options").read_text().splitlines() == [
        "-XX:+UseG1GC",
        "-Djava.io.tmpdir=${OPENSEARCH_TMPDIR}",
        "20-:--add-modules=jdk.incubator.vector",
    ]
    write_configuration(distribution, layout, None)
    assert json.loads((layout.config / "opensearch.yml").read_text())["http.port"] == 0


def test_the_scratch_folder_has_no_blank(tmp_path: Path) -> None:
    assert Layout(Path("/a/b")).scratch == Path("/a/b/tmp")
    assert " " not in str(Layout(Path("/a b/c")).scratch)


@pytest.mark.parametrize("heap", ["", "1", "1t", "-1g", "1.5g", "255m", "1000000g"])
def test_a_bad_heap_is_refused(heap: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"^heap: "):
        EmbeddedServer(tmp_path, heap=heap)


def test_a_good_heap() -> None:
    assert [check_heap(heap) for heap in ("256m", "1G", "768M")] == ["256m", "1g", "768m"]


@pytest.mark.parametrize("port", [0, 80, 65536])
def test_a_bad_port_is_refused(port: int, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=f"port: {port} is outside 1024–65535"):
        EmbeddedServer(tmp_path, http_port=port)


def test_a_folder_where_nothing_ran(tmp_path: Path) -> None:
    assert status(tmp_path) is None
    assert status(tmp_path / "not there") is None
    assert not stop(tmp_path)
    with pytest.raises(EnvironmentProblem, match=f"no server is running on {tmp_path}"):
        _ = EmbeddedServer(tmp_path).url
    assert not list(tmp_path.iterdir())


def test_the_state_counts_only_while_the_lock_is_held(tmp_path: Path) -> None:
    state = State(os.getpid(), os.getpid(), "3.6.0", "/distribution", "http://127.0.0.1:1")
    lock = acquire(tmp_path)
    assert lock is not None
    try:
        assert acquire(tmp_path) is None
        assert read_state(tmp_path) is None
        state.write(tmp_path)
        assert read_state(tmp_path) == state
        found = status(tmp_path)
        assert found is not None
        assert (found.url, found.data) == ("http://127.0.0.1:1", str(tmp_path))
    finally:
        os.close(lock)
    assert not is_held(tmp_path)
    assert status(tmp_path) is None


def test_a_damaged_or_stale_state_is_no_server(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text('{"pid": 1, "unknown": 2}')
    lock = acquire(tmp_path)
    assert lock is not None
    try:
        assert not (tmp_path / "server.json").exists()
        (tmp_path / "server.json").write_text("{")
        assert status(tmp_path) is None
    finally:
        os.close(lock)
