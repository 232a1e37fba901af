"""Fetching by Maven, digests, and unpacking all or nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from opensearch_multimodal.download import (
    Artifact,
    build_folder,
    fetch,
    local_repository,
    replace_folder,
    temporary_folder,
    unpack,
)
from opensearch_multimodal.errors import EnvironmentProblem, InvalidInput

CONTENT = b"a small artifact"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def artifact(name: str = "thing", content: bytes = CONTENT) -> Artifact:
    return Artifact(f"org.example.osmm:{name}:1.0:zip", hashlib.sha256(content).hexdigest(), len(content))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty local Maven repository, made the current one."""
    folder = tmp_path / "repository"
    monkeypatch.setenv("MAVEN_OPTS", f"-Xmx256m -Dmaven.repo.local={folder}")
    monkeypatch.delenv("MAVEN_ARGS", raising=False)
    return folder


def place(root: Path, wanted: Artifact, content: bytes = CONTENT) -> Path:
    path = root / wanted.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def zip_file(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("coordinates", "path"),
    [
        ("org.example:a:1", "org/example/a/1/a-1.jar"),
        ("org.example:a:1:zip", "org/example/a/1/a-1.zip"),
        ("org.example:a:1:zip:linux", "org/example/a/1/a-1-linux.zip"),
    ],
)
def test_path_in_a_repository(coordinates: str, path: str) -> None:
    assert Artifact(coordinates, DIGEST, 1).path == Path(path)


@pytest.mark.parametrize("coordinates", ["", "a:b", "a:b:c:d:e:f", "a:b:<c>", "../a:b:c/d"])
def test_bad_coordinates_are_refused(coordinates: str) -> None:
    with pytest.raises(InvalidInput, match="coordinates"):
        Artifact(coordinates, DIGEST, 1)


def test_bad_digest_is_refused() -> None:
    with pytest.raises(InvalidInput, match="64 hexadecimal digits"):
        Artifact("a:b:1", "abc", 1)


def test_what_is_there_is_used_without_maven(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = artifact("one"), artifact("two")
    paths = [place(repository, one), place(repository, two)]
    monkeypatch.setenv("PATH", "")
    assert fetch([two, one]) == [paths[1], paths[0]]


def test_missing_maven_is_named_with_its_remedies(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        EnvironmentProblem, match=r"org\.example\.osmm:thing:1\.0:zip.*apt install maven.*dnf.*brew"
    ):
        fetch([artifact()])


def test_wrong_digest_is_refused_and_nothing_is_deleted(repository: Path) -> None:
    path = place(repository, artifact(), b"something else")
    actual = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(EnvironmentProblem, match=f"thing:1.0:zip has sha256 {actual}, expected {DIGEST}"):
        fetch([artifact()])
    assert path.read_bytes() == b"something else"


def test_local_repository_comes_from_the_users_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("MAVEN_OPTS", "MAVEN_ARGS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_repository() == tmp_path / ".m2" / "repository"
    (tmp_path / ".m2").mkdir()
    settings = tmp_path / ".m2" / "settings.xml"
    namespace = "http://maven.apache.org/SETTINGS/1.2.0"
    settings.write_text(
        f'<settings xmlns="{namespace}"><localRepository>${{user.home}}/else</localRepository></settings>'
    )
    assert local_repository() == tmp_path / "else"
    monkeypatch.setenv("MAVEN_ARGS", "-o -Dmaven.repo.local=/elsewhere")
    assert local_repository() == Path("/elsewhere")


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A remote repository in a folder, served to the real Maven by settings as a user would write them."""
    maven = shutil.which("mvn")
    if maven is None:
        pytest.skip("Maven is not installed")
    folder = tmp_path / "remote"
    settings = tmp_path / "settings.xml"
    settings.write_text(
        "<settings><profiles><profile><id>test</id><repositories><repository><id>test</id>"
        f"<url>{folder.as_uri()}</url></repository></repositories></profile></profiles>"
        "<activeProfiles><activeProfile>test</activeProfile></activeProfiles></settings>"
    )
    wrapper = tmp_path / "bin" / "mvn"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {maven} -s {settings} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_maven_fetches_what_is_missing(remote: Path) -> None:
    one, two = artifact("one"), artifact("two", b"another")
    place(remote, one)
    place(remote, two, b"another")
    local = [local_repository() / wanted.path for wanted in (one, two)]
    seen: list[tuple[Artifact, int]] = []
    try:
        assert fetch([one, two], progress=lambda *step: seen.append(step)) == local
        assert [path.read_bytes() for path in local] == [CONTENT, b"another"]
        assert seen[-2:] == [(one, len(CONTENT)), (two, len(b"another"))]
    finally:
        shutil.rmtree(local_repository() / "org" / "example" / "osmm")


def test_mavens_own_words_are_quoted_when_it_fails(remote: Path) -> None:
    remote.mkdir()
    try:
        with pytest.raises(
            EnvironmentProblem,
            match=r"could not fetch org\.example\.osmm:thing:1\.0:zip: .*[Cc]ould not .*thing",
        ):
            fetch([artifact()])
    finally:
        shutil.rmtree(local_repository() / "org" / "example" / "osmm", ignore_errors=True)


def test_unpack_everything_with_its_permissions(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as writer:
        run = zipfile.ZipInfo("bin/run")
        run.external_attr = (stat.S_IFREG | 0o755) << 16
        writer.writestr(run, "#!/bin/sh")
        writer.writestr("empty/", "")
        writer.writestr("deep/er/file", "text")
    folder = unpack(archive, tmp_path / "made" / "a")
    assert (folder / "deep/er/file").read_text() == "text"
    assert (folder / "empty").is_dir()
    assert os.access(folder / "bin/run", os.X_OK)
    assert not (folder / "deep/er/file").stat().st_mode & 0o111


def test_unpack_chosen_members_under_other_names(tmp_path: Path) -> None:
    archive = zip_file(tmp_path / "a.jar", {"weights": b"w", "tokenizer": b"t", "Code.class": b"c"})
    folder = unpack(
        archive, tmp_path / "a", members={"weights": "model.onnx", "tokenizer": "t/tokenizer.json"}
    )
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) == [
        "model.onnx",
        "t/tokenizer.json",
    ]


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "..\\evil"])
def test_a_member_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    archive = zip_file(tmp_path / "a.zip", {"good": b"1", name: b"2"})
    (tmp_path / "in").mkdir()
    with pytest.raises(EnvironmentProblem, match="not safe to unpack"):
        unpack(archive, tmp_path / "in" / "a")
    assert not (tmp_path / "in" / "a").exists()
    assert not list(tmp_path.rglob("evil"))


def test_a_link_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(EnvironmentProblem, match="'link' is a link"):
        unpack(tmp_path / "a.zip", tmp_path / "a")


def test_a_missing_member_and_a_broken_zip_are_refused(tmp_path: Path) -> None:
    archive = zip_file(tmp_path / "a.zip", {"good": b"1" * 100})
    with pytest.raises(EnvironmentProblem, match=r"a\.zip has no member bad"):
        unpack(archive, tmp_path / "a", members={"bad": "x", "good": "y"})
    archive.write_bytes(archive.read_bytes()[:60])
    with pytest.raises(EnvironmentProblem, match="not a whole zip file"):
        unpack(archive, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert unpack(tmp_path / "no such.zip", tmp_path / "a") == tmp_path / "a"


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        build_folder(tmp_path / "in" / "a", build)
    assert [p.name for p in (tmp_path / "in").iterdir()] == [".a.lock"]


_BUILDER = """
import sys
from pathlib import Path
from opensearch_multimodal.download import build_folder, temporary_folder
destination = Path(sys.argv[1])
def build(folder):
    (folder / "half").write_text("half")
    print("half", flush=True)
    sys.stdin.readline()
    (folder / "whole").write_text(sys.argv[2])
if sys.argv[2] == "temporary":
    with temporary_folder(destination) as folder:
        build(folder)
else:
    print("asks", flush=True)
    build_folder(destination, build)
"""


def builder(destination: Path, word: str) -> subprocess.Popen[str]:
    """Start a process that builds until it is told to go on by a line."""
    command = [sys.executable, "-c", _BUILDER, str(destination), word]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str], line: str) -> bool:
    assert process.stdout is not None
    return process.stdout.readline() == f"{line}\n"


def test_a_crash_in_the_middle_leaves_no_half_folder(tmp_path: Path) -> None:
    destination = tmp_path / "a"
    with builder(destination, "never") as process:
        assert told(process, "asks")
        assert told(process, "half")
        process.kill()
    assert not destination.exists()
    assert len(list(tmp_path.glob(".a.*.partial"))) == 1
    build_folder(destination, lambda folder: (folder / "whole").write_text("x") and None)
    assert [p.name for p in destination.iterdir()] == ["whole"]
    assert not list(tmp_path.glob("*.partial"))


def test_two_builders_at_once_build_once(tmp_path: Path) -> None:
    destination = tmp_path / "a"
    with builder(destination, "first") as first:
        assert told(first, "asks")
        assert told(first, "half")
        with builder(destination, "second") as second:
            assert told(second, "asks")
            assert not destination.exists()
            first.communicate("\n")
            rest, _ = second.communicate("\n")
            assert (second.returncode, rest) == (0, "")
    assert (destination / "whole").read_text() == "first"


def test_a_temporary_folder_of_a_killed_process_goes_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    destination = tmp_path / "a"
    with builder(destination, "temporary") as living:
        assert told(living, "half")
        [kept] = tmp_path.iterdir()
        with builder(destination, "temporary") as dying:
            assert told(dying, "half")
            dying.kill()
        assert len(list(tmp_path.iterdir())) == 2
        with temporary_folder(destination) as folder:
            assert set(tmp_path.iterdir()) == {kept, folder}
        living.communicate("\n")
        assert living.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_folder_of_another_name_is_left_alone(tmp_path: Path) -> None:
    with (
        temporary_folder(tmp_path / "qwen2.5") as other,
        temporary_folder(tmp_path / "qwen2"),
        temporary_folder(tmp_path / "[q]*"),
    ):
        assert other.is_dir()
    dead = tmp_path / ".[q]*.abcdefgh.partial"
    dead.mkdir()  # without a lock: nobody's
    kept = tmp_path / ".qwen2.5.abcdefgh.partial"
    kept.mkdir()
    with temporary_folder(tmp_path / "[q]*"), temporary_folder(tmp_path / "qwen2"):
        assert not dead.exists()
        assert kept.exists()


def test_what_a_killed_process_had_moved_away_is_put_back(tmp_path: Path) -> None:
    left = tmp_path / ".a.abcdefgh.partial"
    (left / "old").mkdir(parents=True)
    (left / "old" / "mine").touch()
    (left / ".alive").touch()
    with temporary_folder(tmp_path / "a"):
        assert [path.name for path in (tmp_path / "a").iterdir()] == ["mine"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_is_replaced_stays_where_that_fails(tmp_path: Path) -> None:
    destination = tmp_path / "a"
    replace_folder(destination, lambda folder: (folder / "first").touch())

    def build(folder: Path) -> None:
        (folder / "second").touch()
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        replace_folder(destination, build)
    assert [path.name for path in destination.iterdir()] == ["first"]
    replace_folder(destination, lambda folder: (folder / "second").touch())
    assert [path.name for path in destination.iterdir()] == ["second"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.lock", "a"]
