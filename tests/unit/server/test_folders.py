"""Who runs the server, and folders that this user can reach."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from opensearch_multimodal.errors import EnvironmentProblem
from opensearch_multimodal.server.folders import (
    check_reachable,
    check_space,
    default_data_folder,
    distributions_folder,
    make_public,
)
from opensearch_multimodal.server.user import ServerUser, server_user

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
MYSELF = ServerUser("me")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can enter; pytest's own are closed to others."""
    made = Path(tempfile.mkdtemp(prefix="osmm-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.mark.skipif(os.geteuid() == 0, reason="for ordinary users")
def test_an_ordinary_user_runs_it_himself() -> None:
    assert server_user().uid is None


@needs_root
def test_root_runs_it_as_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OSMM_SERVER_USER", raising=False)
    monkeypatch.delenv("SUDO_UID", raising=False)
    assert server_user().name == "nobody"
    monkeypatch.setenv("SUDO_UID", "1")
    assert server_user().uid == 1
    monkeypatch.setenv("OSMM_SERVER_USER", "nobody")
    assert server_user().name == "nobody"
    monkeypatch.setenv("OSMM_SERVER_USER", "root")
    with pytest.raises(EnvironmentProblem, match="does not run as root"):
        server_user()
    monkeypatch.setenv("OSMM_SERVER_USER", "no-such-user")
    with pytest.raises(EnvironmentProblem, match=r"no user 'no-such-user'.*OSMM_SERVER_USER"):
        server_user()


@needs_root
def test_rights_are_those_of_the_servers_user(folder: Path) -> None:
    user = server_user()
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    assert user.may("execute", folder)
    assert not user.may("write", folder)
    assert not user.may("execute", closed)
    assert user.obstacle(folder / "new" / "er") is None
    assert user.obstacle(closed / "new" / "er") == closed
    with pytest.raises(EnvironmentProblem, match=f"cannot enter {closed}: choose another folder by --data"):
        check_reachable(closed / "data", user)


@needs_root
def test_owning_a_folder_does_not_follow_links(folder: Path) -> None:
    user = server_user()
    outside = folder / "outside"
    outside.touch()
    given = folder / "given"
    (given / "deep").mkdir(parents=True)
    (given / "deep" / "link").symlink_to(outside)
    user.own(given)
    owners = {path.name: path.lstat().st_uid for path in (given, given / "deep", given / "deep" / "link")}
    assert set(owners.values()) == {user.uid}
    assert outside.stat().st_uid == 0


@needs_root
def test_roots_defaults_move_to_where_the_servers_user_can_go(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = server_user()
    monkeypatch.setenv("OSMM_HOME", str(folder / "home"))
    monkeypatch.setenv("OSMM_CACHE", str(folder / "cache"))
    assert default_data_folder(user) == folder / "home" / "server"
    assert distributions_folder(user) == folder / "cache" / "servers"
    folder.chmod(0o700)
    one = default_data_folder(user)
    assert one.parent == Path("/var/lib/opensearch-multimodal")
    assert distributions_folder(user) == Path("/var/cache/opensearch-multimodal/servers")
    monkeypatch.setenv("OSMM_HOME", str(folder / "other"))
    assert default_data_folder(user) != one
    assert default_data_folder(MYSELF) == folder / "other" / "server"


def test_public_folders_are_public_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        made = make_public(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (made, made.parent)] == [0o755, 0o755]


def test_short_disk_is_named_with_both_sizes(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    check_space(tmp_path / "not" / "there", 1, "run a server")
    with pytest.raises(
        EnvironmentProblem, match=rf"{tmp_path} has \d+\.\d GB free, .* GB are needed to run a server"
    ):
        check_space(tmp_path / "not" / "there", free * 2, "run a server")
