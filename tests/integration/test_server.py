"""The embedded server's life: start, reuse, stop, and every way in which its parent can end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import urllib3

from opensearch_multimodal import server as servers
from opensearch_multimodal.errors import EnvironmentProblem
from opensearch_multimodal.server import EmbeddedServer
from opensearch_multimodal.server.distribution import install
from opensearch_multimodal.server.state import is_held, read_state

OSMM = [sys.executable, "-c", "from opensearch_multimodal.cli import main; main()"]
INTERRUPTIBLE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
"""Undoes that a shell has its background jobs, such as a whole test run, ignore Ctrl-C."""


@pytest.fixture
def data() -> Iterator[Path]:
    """A folder for data that the server's user can reach; whatever runs there is stopped at the end."""
    root = Path(tempfile.mkdtemp(prefix="osmm-test-"))
    root.chmod(0o755)
    folder = root / "with blank"
    yield folder
    servers.stop(folder)
    shutil.rmtree(root)


def osmm(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*OSMM, *arguments], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


def call(method: str, url: str, **options: object) -> urllib3.BaseHTTPResponse:
    return urllib3.request(method, url, timeout=60, retries=False, **options)  # type: ignore[arg-type]


def get(url: str, path: str = "") -> dict[str, object]:
    answer = call("GET", url + path).json()
    assert isinstance(answer, dict)
    return answer


def processes(data: Path) -> list[psutil.Process]:
    """Every process that names the data folder in its command line: supervisor and JVM."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if process.pid != os.getpid() and any(f"{data}/config" in word for word in command):
            found.append(process)
    return found


def wait(condition: Callable[[], object], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def nothing_runs(data: Path) -> bool:
    return wait(lambda: not is_held(data) and not processes(data))


def test_it_is_private_unprivileged_and_has_its_plugins(server: EmbeddedServer) -> None:
    status = server.status
    assert status is not None
    jvm = psutil.Process(status.pid)
    assert "java" in jvm.name()
    assert jvm.uids().effective != 0
    listening = [c.laddr.ip for c in jvm.net_connections() if c.status == psutil.CONN_LISTEN]
    assert len(listening) == 2  # HTTP and transport
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}
    version = get(server.url)["version"]
    assert isinstance(version, dict)
    assert version["number"] == status.version == servers.VERSION
    plugins = call("GET", f"{server.url}/_cat/plugins?h=component").data.decode().split()
    assert plugins == [
        "opensearch-job-scheduler",
        "opensearch-knn",
        "opensearch-multimodal",
        "opensearch-neural-search",
    ]


def test_a_second_start_reuses_it_and_does_not_stop_it(server: EmbeddedServer) -> None:
    with EmbeddedServer(server.data) as second:
        assert second.status == server.status
    assert get(server.url)["cluster_name"] == "opensearch-multimodal"


def test_a_running_server_that_is_not_what_was_asked_for_is_refused(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    with pytest.raises(EnvironmentProblem, match="another port: stop it first"):
        EmbeddedServer(server.data, http_port=2345).start()
    (tmp_path / "plugin.zip").write_bytes(b"")
    with pytest.raises(EnvironmentProblem, match="other plugins: stop it first"):
        EmbeddedServer(server.data, extra_plugins=[tmp_path / "plugin.zip"]).start()


def test_a_taken_port_is_named(server: EmbeddedServer, data: Path) -> None:
    port = urllib3.util.parse_url(server.url).port
    done = osmm("server", "start", "--data", str(data), "--port", str(port))
    assert done.returncode == 2
    assert f"port {port} of 127.0.0.1 cannot be used" in done.stderr
    assert nothing_runs(data)


def test_two_starts_at_once_then_stop_then_kill_of_the_python_parent(data: Path) -> None:
    both = [
        subprocess.Popen([*OSMM, "server", "start", "--data", str(data), "--json"], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    one, two = (json.loads(process.communicate()[0]) for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert one == two
    assert set(one) == {"url", "pid", "version", "data"}
    assert one["data"] == str(data)
    assert [p.pid for p in processes(data) if "java" in p.name()] == [one["pid"]]

    shown = osmm("server", "status", "--data", str(data), "--json")
    assert (shown.returncode, json.loads(shown.stdout)) == (0, one)
    body = {"text": "still here"}
    put = call("PUT", f"{one['url']}/kept/_doc/1?refresh=true", json=body)
    assert put.status == 201

    assert osmm("server", "stop", "--data", str(data)).returncode == 0
    assert nothing_runs(data)
    gone = osmm("server", "status", "--data", str(data), "--json")
    assert gone.returncode == 1
    assert json.loads(gone.stdout) == {"url": None, "pid": None, "version": None, "data": str(data)}

    program = (
        "import sys, time; from opensearch_multimodal.server import EmbeddedServer\n"
        "with EmbeddedServer(sys.argv[1]) as server: print(server.url, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", program, str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            url = parent.stdout.readline().strip()
            assert get(url, "/kept/_doc/1")["_source"] == body
            assert len(processes(data)) == 2
        finally:
            parent.kill()
    assert nothing_runs(data)


@pytest.mark.parametrize("end", ["Ctrl-C", "kill -9", "kill -9 of the supervisor"])
def test_a_start_that_does_not_come_to_its_end_leaves_nothing(data: Path, end: str) -> None:
    program = INTERRUPTIBLE + "from opensearch_multimodal.cli import main; main()"
    command = [sys.executable, "-c", program, "server", "start", "--data", str(data)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as start:
        jvm_runs = wait(lambda: any("java" in process.name() for process in processes(data)))
        state = read_state(data)
        ready = servers.status(data)
        if end == "Ctrl-C" or state is None:
            start.send_signal(signal.SIGINT)
        elif end == "kill -9":
            start.kill()
        else:
            os.kill(state.supervisor, signal.SIGKILL)
            _, errors = start.communicate()
            assert start.returncode == 2
            assert "ended while starting" in errors
    assert jvm_runs
    assert ready is None
    assert start.returncode != 0
    assert nothing_runs(data)


def test_a_server_that_is_starting_can_be_stopped(data: Path) -> None:
    with subprocess.Popen([*OSMM, "server", "start", "--data", str(data)], stderr=subprocess.PIPE) as start:
        assert wait(lambda: read_state(data) is not None)
        assert servers.stop(data)
        assert start.wait() == 2
    assert nothing_runs(data)
    assert not servers.stop(data)


def test_a_server_that_dies_while_starting_is_quoted(data: Path) -> None:
    (data / "data").mkdir(parents=True)
    (data / "data" / "nodes").write_text("a file where the server wants a folder")
    (data / "server.lock").touch()
    with pytest.raises(
        EnvironmentProblem, match=r"ended while starting: .*nodes/0: Not a directory \(log: .*\.log\)"
    ):
        EmbeddedServer(data).start()
    assert nothing_runs(data)


def test_a_folder_with_other_files_is_refused(data: Path) -> None:
    data.mkdir()
    (data / "thesis.txt").write_text("mine")
    with pytest.raises(EnvironmentProblem, match="is not empty and is no server's data folder"):
        EmbeddedServer(data).start()
    assert [path.name for path in data.iterdir()] == ["thesis.txt"]


def test_a_closed_folder_is_refused_with_what_to_do(data: Path) -> None:
    data.mkdir(mode=0o700 if os.geteuid() == 0 else 0o500)
    with pytest.raises(EnvironmentProblem, match=r"--data"):
        EmbeddedServer(data / "below").start()
    assert not (data / "below").exists()


def test_an_extra_plugin_gets_a_distribution_of_its_own(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSMM_CACHE", str(data))
    plugin = tmp_path / "extra.zip"
    descriptor = (
        "description=an empty plugin\nversion=1\nname=extra\nclassname=org.example.Extra\n"
        f"java.version=21\nopensearch.version={servers.VERSION}\n"
    )
    with zipfile.ZipFile(plugin, "w") as archive:
        archive.writestr("plugin-descriptor.properties", descriptor)
    user = servers.server_user()
    extended = install(user, extra_plugins=[plugin])
    base = install(user)
    assert extended.parent == base.parent == data / "servers"
    assert {p.name for p in (extended / "plugins").iterdir()} == {
        *(p.name for p in (base / "plugins").iterdir()),
        "extra",
    }
    assert (extended / "bin" / "opensearch").samefile(base / "bin" / "opensearch")
    assert user.may("read", extended / "plugins" / "extra" / "plugin-descriptor.properties")

    monkeypatch.setenv("PATH", "")  # neither Maven nor anything else is called where the cache is filled
    assert install(user, extra_plugins=[plugin]) == extended

    monkeypatch.undo()
    monkeypatch.setenv("OSMM_CACHE", str(data))
    plugin.write_bytes(plugin.read_bytes()[:-30])
    with pytest.raises(EnvironmentProblem, match=r"plugins extra\.zip could not be installed"):
        install(user, extra_plugins=[plugin])
    assert len([p for p in (data / "servers").iterdir() if p.is_dir()]) == 2
