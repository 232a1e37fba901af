"""Fetch files by Maven, check their digests, and unpack them all or nothing: for models and for the server.

Maven reads the user's own settings, so mirrors, proxies and credentials need no second configuration,
and what it fetches stays in the user's local repository, where the next project finds it too. A file
that is there already, with the right digest, is used as it is: then Maven is not even started.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.sax.saxutils import escape

from .errors import EnvironmentProblem, InvalidInput

__all__ = [
    "Artifact",
    "Progress",
    "build_folder",
    "fetch",
    "local_repository",
    "one_at_a_time",
    "replace_folder",
    "sha256_of",
    "swap_folder",
    "temporary_folder",
    "undo_swap",
    "unpack",
    "unpack_into",
    "verify",
]

_ALIVE, _NEW, _OLD, _PARTIAL = ".alive", "new", "old", ".partial"
"""In a temporary folder: the file that is locked as long as its maker lives, what is made, and what was in
its place before; and how its own name ends."""

_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"

_INSTALL_MAVEN = "install it with 'apt install maven', 'dnf install maven' or 'brew install maven'"


@dataclass(frozen=True)
class Artifact:
    """One file of a Maven repository, pinned by its digest.

    Attributes:
        coordinates: ``group:artifact:version[:packaging[:classifier]]``; packaging is ``jar`` by default.
        sha256: the digest in lower-case hexadecimal.
        size: the size in bytes, known in advance for progress and for disk checks.
    """

    coordinates: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        """Refuse what is not a coordinate or a digest."""
        if not re.fullmatch(r"[\w.-]+(:[\w.-]+){2,4}", self.coordinates):
            raise InvalidInput(
                f"coordinates: '{self.coordinates}' is not group:artifact:version[:packaging[:classifier]]"
            )
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise InvalidInput(f"sha256: {self.coordinates} needs 64 hexadecimal digits, got '{self.sha256}'")

    @property
    def fields(self) -> tuple[str, str, str, str, str]:
        """Group, artifact, version, packaging and classifier ("" where there is none)."""
        group, artifact, version, *rest = self.coordinates.split(":")
        packaging, classifier = [*rest, *("jar", "")[len(rest) :]]
        return group, artifact, version, packaging, classifier

    @property
    def path(self) -> Path:
        """Where a Maven repository keeps the file, relative to its root."""
        group, artifact, version, packaging, classifier = self.fields
        suffix = f"-{classifier}" if classifier else ""
        return Path(*group.split("."), artifact, version, f"{artifact}-{version}{suffix}.{packaging}")


Progress = Callable[[Artifact, int], None]
"""Called with an artifact and the bytes of it that have arrived."""


def fetch(artifacts: Sequence[Artifact], *, progress: Progress | None = None) -> list[Path]:
    """Return the verified path of each artifact in the local Maven repository, fetching what is missing.

    Args:
        artifacts: what is wanted; one run of Maven fetches all that are missing.
        progress: called while Maven works, a few times a second.

    Returns:
        One path per artifact, in the order given.

    Raises:
        EnvironmentProblem: Maven is missing or failed, or a file has another digest than ours.
    """
    repository = local_repository()
    missing = [artifact for artifact in artifacts if not (repository / artifact.path).is_file()]
    if missing:
        _run_maven(missing, repository, progress)
    return [verify(artifact, repository / artifact.path) for artifact in artifacts]


def verify(artifact: Artifact, path: Path) -> Path:
    """Return ``path`` if it holds exactly the artifact's bytes.

    Raises:
        EnvironmentProblem: another digest; the file is left as it is.
    """
    actual = sha256_of(path)
    if actual != artifact.sha256:
        raise EnvironmentProblem(
            f"{artifact.coordinates} has sha256 {actual}, expected {artifact.sha256}: {path} was changed "
            "or came from a repository that does not serve the released file; delete it to fetch it again"
        )
    return path


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in lower-case hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def local_repository() -> Path:
    """Return the user's local Maven repository, without starting Maven.

    In Maven's own order: ``-Dmaven.repo.local`` in ``MAVEN_ARGS`` or ``MAVEN_OPTS``,
    ``<localRepository>`` in the user's or the installation's ``settings.xml``, ``~/.m2/repository``.
    """
    for variable in ("MAVEN_ARGS", "MAVEN_OPTS"):
        match = re.search(r"-Dmaven\.repo\.local=(\"[^\"]+\"|\S+)", os.environ.get(variable, ""))
        if match:
            return Path(match[1].strip('"'))
    user = Path.home() / ".m2"
    candidates = [user / "settings.xml"]
    if maven := shutil.which("mvn"):
        candidates.append(Path(maven).resolve().parent.parent / "conf" / "settings.xml")
    for settings in candidates:
        if configured := _configured_repository(settings):
            return configured
    return user / "repository"


def _configured_repository(settings: Path) -> Path | None:
    try:
        root = ElementTree.parse(settings).getroot()  # noqa: S314 - the user's own file
    except (OSError, ElementTree.ParseError):
        return None
    text = next((e.text for e in root if e.tag.rpartition("}")[2] == "localRepository" and e.text), None)
    if text is None or not text.strip():
        return None
    text = text.strip().replace("${user.home}", str(Path.home()))
    return Path(re.sub(r"\$\{env\.(\w+)\}", lambda m: os.environ.get(m[1], ""), text)).expanduser()


def _run_maven(artifacts: Sequence[Artifact], repository: Path, progress: Progress | None) -> None:
    names = ", ".join(artifact.coordinates for artifact in artifacts)
    maven = shutil.which("mvn")
    if maven is None:
        raise EnvironmentProblem(f"Maven is needed to fetch {names}, and there is no 'mvn': {_INSTALL_MAVEN}")
    with tempfile.TemporaryDirectory(prefix="osmm-maven-") as folder:
        pom = Path(folder, "pom.xml")
        pom.write_text(_pom(artifacts, Path(folder, "copies")), encoding="utf-8")
        log = Path(folder, "log")
        command = [maven, "-B", "-U", "-q", "-f", str(pom), f"-Dmaven.repo.local={repository}", _PLUGIN]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            try:
                _watch(process, artifacts, repository, progress)
            finally:
                process.terminate()
                process.wait()
        if process.returncode != 0:
            raise EnvironmentProblem(f"Maven could not fetch {names}: {_maven_error(log)}")
    absent = [a.coordinates for a in artifacts if not (repository / a.path).is_file()]
    if absent:
        raise EnvironmentProblem(f"Maven fetched {', '.join(absent)}, but not into {repository}")


def _pom(artifacts: Sequence[Artifact], copies: Path) -> str:
    names = ("groupId", "artifactId", "version", "type", "classifier")
    items = "".join(
        "<artifactItem>"
        + "".join(f"<{n}>{escape(v)}</{n}>" for n, v in zip(names, a.fields, strict=True) if v)
        + "</artifactItem>"
        for a in artifacts
    )
    group, artifact, version, _ = _PLUGIN.split(":")
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>opensearch.multimodal</groupId><artifactId>fetch</artifactId><version>1</version>"
        f"<packaging>pom</packaging><build><plugins><plugin><groupId>{group}</groupId>"
        f"<artifactId>{artifact}</artifactId><version>{version}</version><configuration>"
        f"<outputDirectory>{escape(str(copies))}</outputDirectory>"
        f"<artifactItems>{items}</artifactItems></configuration></plugin></plugins></build></project>"
    )


def _watch(
    process: subprocess.Popen[bytes],
    artifacts: Sequence[Artifact],
    repository: Path,
    progress: Progress | None,
) -> None:
    """Wait for Maven; report how far the file that grows in each artifact's folder has come."""
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.2)
        for artifact in artifacts if progress else ():
            sizes = [_size(path) for path in (repository / artifact.path).parent.glob("*")]
            assert progress is not None  # noqa: S101 - the loop is empty without it
            progress(artifact, min(max(sizes, default=0), artifact.size))
        if process.poll() is not None:
            return


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # Maven renames its temporary files
        return 0


def _maven_error(log: Path) -> str:
    """Return the first error in Maven's own words, without what it says about the goal that failed."""
    text = re.sub(r"\x1b\[[\d;]*m", "", log.read_text(encoding="utf-8", errors="replace"))
    errors = re.findall(r"^\[ERROR\] +(?:Failed to execute goal .* on project fetch: )?(.+)", text, re.M)
    return errors[0].partition(" -> [Help")[0] if errors else "it printed no error"


@contextmanager
def one_at_a_time(destination: Path) -> Iterator[None]:
    """Wait until nobody else, in this process or another, is making what will be at ``destination``."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    with (destination.parent / f".{destination.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_folder(destination: Path, build: Callable[[Path], None]) -> Path:
    """Return ``destination``; where it does not exist, ``build`` makes it, all or nothing.

    ``build`` fills a temporary folder beside it, which is renamed when ``build`` returns: a crash
    leaves no folder of that name. One process builds at a time; a second one waits for the first and finds
    its work done.
    """
    if destination.is_dir():
        return destination
    with one_at_a_time(destination):
        if not destination.is_dir():
            with temporary_folder(destination) as temporary:
                fresh = temporary / _NEW
                fresh.mkdir()
                build(fresh)
                fresh.rename(destination)
    return destination


def replace_folder(destination: Path, build: Callable[[Path], None]) -> Path:
    """Make ``destination`` anew; what is there now goes only when the new one is whole.

    Of two at a time, one waits for the other.
    """
    with one_at_a_time(destination), temporary_folder(destination) as temporary:
        fresh = temporary / _NEW
        fresh.mkdir()
        build(fresh)
        swap_folder(fresh, destination, temporary)
    return destination


@contextmanager
def temporary_folder(destination: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``destination``, which goes at the end, come what may.

    Nothing else is left beside ``destination``. What a killed process left goes at the next call; if it died
    while it swapped folders, the one that it had moved away is put back first.
    """
    _clear_leftovers(destination)
    made = _made_beside(destination)
    temporary = made.with_name(made.name + _PARTIAL)
    try:
        with (made / _ALIVE).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            made.rename(temporary)  # only now do others take it for a leftover, and find it locked
            yield temporary
    finally:
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(temporary, ignore_errors=True)


def _made_beside(destination: Path) -> Path:
    for _ in range(3):
        destination.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # somebody has just removed an empty parent of theirs
            return Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
    raise FileNotFoundError(2, "its parent folder vanishes again and again", str(destination))


def _clear_leftovers(destination: Path) -> None:
    own = re.compile(rf"\.{re.escape(destination.name)}\.\w{{8}}{re.escape(_PARTIAL)}")
    if not destination.parent.is_dir():
        return
    for leftover in destination.parent.iterdir():
        if not own.fullmatch(leftover.name):
            continue
        with suppress(OSError), ExitStack() as stack:
            if (leftover / _ALIVE).exists():
                lock = stack.enter_context((leftover / _ALIVE).open())
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (leftover / _OLD).is_dir() and not destination.exists():
                (leftover / _OLD).rename(destination)
            shutil.rmtree(leftover, ignore_errors=True)  # its writer may be dying still


def swap_folder(fresh: Path, destination: Path, temporary: Path) -> None:
    """Put ``fresh`` in the place of ``destination``, if need be; what was there moves into ``temporary``.

    If that fails, it is put back. All lie in one file system; ``temporary`` is from `temporary_folder`.
    """
    if not destination.exists():
        fresh.rename(destination)
        return
    old = temporary / _OLD
    try:
        destination.rename(old)
        fresh.rename(destination)
    except BaseException:
        if old.exists() and not destination.exists():
            old.rename(destination)
        raise


def undo_swap(destination: Path, temporary: Path) -> None:
    """Take away what `swap_folder` put in place, and put back what was there before."""
    destination.rename(temporary / _NEW)
    if (temporary / _OLD).exists():
        (temporary / _OLD).rename(destination)


def unpack(archive: Path, destination: Path, *, members: Mapping[str, str] | None = None) -> Path:
    """Unpack a zip or jar to ``destination``, all or nothing; a folder that is there is left as it is.

    Args:
        archive: the zip file.
        destination: the folder to make.
        members: which members to take, each with its path below ``destination``; all by default.

    Raises:
        EnvironmentProblem: not a zip, a member is missing, or a member would land outside the folder.
    """
    return build_folder(destination, lambda folder: unpack_into(archive, folder, members=members))


def unpack_into(archive: Path, folder: Path, *, members: Mapping[str, str] | None = None) -> None:
    """Unpack a zip into a folder that exists, for use inside `build_folder`; see `unpack`."""
    try:
        with zipfile.ZipFile(archive) as source:
            present = {info.filename: info for info in source.infolist()}
            if members is not None and (absent := sorted(members.keys() - present.keys())):
                raise EnvironmentProblem(f"{archive.name} has no member {', '.join(absent)}")
            chosen = members if members is not None else {name: name for name in present}
            for name, target in chosen.items():
                _extract(source, present[name], _inside(folder, target, archive))
    except zipfile.BadZipFile as error:
        raise EnvironmentProblem(f"{archive} is not a whole zip file: {error}") from None


def _inside(folder: Path, target: str, archive: Path) -> Path:
    relative = PurePosixPath(target)
    if relative.is_absolute() or ".." in relative.parts or "\\" in target:
        raise EnvironmentProblem(f"{archive.name} is not safe to unpack: member '{target}' leaves the folder")
    return folder / relative


def _extract(source: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    mode = info.external_attr >> 16
    if stat.S_ISLNK(mode):
        raise EnvironmentProblem(f"{source.filename} is not safe to unpack: '{info.filename}' is a link")
    if info.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open(info) as reader, target.open("wb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
    target.chmod(0o755 if mode & 0o100 else 0o644)
