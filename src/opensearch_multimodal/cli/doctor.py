"""``osmm doctor``: what this machine lacks, and how to get it."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Literal

import click
from rich.table import Table
from rich.text import Text

from ..client import Cluster
from ..errors import MissingExtra, MultimodalError
from ..models import DEFAULT_MODELS, is_present, load_spec
from ..models.runtime import installed_distributions, onnx_runtime
from ..resources import cache_folder, home_folder
from ..server import (
    ARTIFACTS,
    MINIMUM_JAVA,
    VERSION,
    default_data_folder,
    distribution_folder,
    find_java,
    java_version,
    own_plugin,
    server_user,
    status,
)
from .console import stdout

__all__ = ["Check", "doctor"]

_Level = Literal["ok", "note", "missing"]

_GB = 1e9


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what it is.
        status: ``ok``; ``note``: something works less well or comes later; ``missing``: needed.
        detail: what was found.
        remedy: what to do, one line per system; empty where there is nothing to do.
    """

    name: str
    status: _Level
    detail: str
    remedy: str = ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for programs.")
def doctor(as_json: bool) -> None:
    """Say what is missing on this machine and how to get it; exit code 2 if something needed is.

    Nothing is changed, fetched or started. With --json: {"ok", "checks": [{"name", "status": "ok" |
    "note" | "missing", "detail", "remedy"}]}.
    """
    checks = [_guarded(name, check) for name, check in _CHECKS.items()]
    ok = all(check.status != "missing" for check in checks)
    if as_json:
        click.echo(json.dumps({"ok": ok, "checks": [asdict(check) for check in checks]}))
    else:
        _print_table(checks, ok)
    raise SystemExit(0 if ok else 2)


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    """Run one check; one that fails is a finding, not the end of the others."""
    try:
        found = check()
    except (MultimodalError, OSError) as error:
        return Check(name, "missing", str(error))
    return replace(found, remedy="") if found.status == "ok" else found


def _print_table(checks: list[Check], ok: bool) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    marks = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "missing": "[bold red]missing[/]"}
    for check in checks:
        table.add_row(marks[check.status], check.name, Text(check.detail))
    stdout.print(table, highlight=False)
    for check in checks:
        if check.remedy:
            stdout.print(f"\n[bold]{check.name}[/]", highlight=False)
            for line in check.remedy.splitlines():
                stdout.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    stdout.print("\neverything needed is there" if ok else "\nsomething needed is missing", highlight=False)


def _python() -> Check:
    return Check("Python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}")


def _java() -> Check:
    user = server_user()
    name = f"Java {MINIMUM_JAVA} or newer"
    try:
        home = find_java(lambda path: user.may("execute", path))
    except MultimodalError as error:
        remedy = (
            "Debian, Ubuntu: apt install openjdk-21-jdk-headless (older releases: a JDK from adoptium.net)\n"
            "Fedora: dnf install java-21-openjdk-devel\n"
            "macOS: brew install openjdk@21\n"
            "anywhere: unpack a JDK from adoptium.net and set OPENSEARCH_JAVA_HOME to its folder"
        )
        detail = str(error).partition(": ")[0]
        return Check(name, "note" if os.environ.get("OPENSEARCH_URL") else "missing", detail, remedy)
    return Check(name, "ok", f"Java {java_version(home)} in {home}")


def _maven() -> Check:
    if path := shutil.which("mvn"):
        return Check("Maven", "ok", path)
    needed = not _server_is_cached() or bool(_missing_models())
    remedy = (
        "Debian, Ubuntu: apt install maven\nFedora: dnf install maven\nmacOS: brew install maven\n"
        "behind a proxy or mirror: configure it in ~/.m2/settings.xml"
    )
    why = "the server or a model must still be fetched" if needed else "not needed, all is fetched"
    detail = f"no 'mvn' on PATH; {why}"
    return Check("Maven", "missing" if needed else "note", detail, remedy)


def _user() -> Check:
    user = server_user()
    return Check("server's user", "ok", user.name + (" (root cannot run it)" if user.uid is not None else ""))


def _disk() -> Check:
    free = {}
    for folder in (home_folder(), cache_folder(), default_data_folder()):
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        free[existing] = shutil.disk_usage(existing).free / _GB
    tightest = min(free, key=lambda path: free[path])
    level: _Level = "ok" if free[tightest] > 5 else "note" if free[tightest] > 2 else "missing"
    remedy = "make room, or set OSMM_HOME and OSMM_CACHE to folders on a larger disk"
    return Check("disk", level, f"{free[tightest]:.0f} GB free at {tightest}", remedy)


def _memory() -> Check:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GB
    remedy = "start the server with a smaller heap: osmm server start --heap 512m"
    return Check("memory", "ok" if total > 3.5 else "note", f"{total:.0f} GB, {os.cpu_count()} cores", remedy)


def _distribution() -> Check:
    name = f"OpenSearch {VERSION}"
    if _server_is_cached():
        return Check(name, "ok", str(distribution_folder(server_user())))
    size = sum(artifact.size for artifact in ARTIFACTS) / 1e6
    detail = f"not unpacked yet; the first start fetches {size:.0f} MB unless Maven has it"
    return Check(name, "note", detail, "osmm server start")


def _server_is_cached() -> bool:
    return distribution_folder(server_user()).is_dir()


def _plugin() -> Check:
    if built := own_plugin():
        return Check("server plugin", "ok", built.name)
    detail = "not built: multi-vectors are scored by the client, over vectors fetched for the candidates"
    return Check("server plugin", "note", detail, "in a checkout: make plugin")


def _running() -> Check:
    folder = default_data_folder()
    if current := status(folder):
        return Check("embedded server", "ok", f"running at {current.url}")
    return Check("embedded server", "note", f"not running ({folder})", "osmm server start")


def _models() -> Check:
    if missing := _missing_models():
        return Check("default models", "note", f"not fetched yet: {', '.join(missing)}", "osmm models pull")
    return Check("default models", "ok", "all fetched")


def _missing_models() -> list[str]:
    return [name for name in DEFAULT_MODELS if not is_present(load_spec(name))]


def _ocr() -> Check:
    if importlib.util.find_spec("rapidocr"):
        return Check("OCR", "ok", "rapidocr is installed")
    detail = "not installed: pages without a text layer are indexed without text"
    return Check("OCR", "note", detail, "pip install 'opensearch-multimodal[ocr]'")


def _providers() -> Check:
    installed = installed_distributions()
    if len(installed) > 1:
        names = " and ".join(installed)
        remedy = f"pip uninstall {' '.join(installed)}, then install one of the extras [cpu] and [gpu]"
        return Check("ONNX Runtime", "note", f"{names} overwrite each other's files", remedy)
    try:
        runtime = onnx_runtime()
    except MissingExtra as error:
        return Check("ONNX Runtime", "missing", "not installed", str(error).partition(": ")[2])
    providers = ", ".join(runtime.get_available_providers())
    return Check("ONNX Runtime", "ok", f"{runtime.__version__} with {providers}")


def _cluster() -> Check:
    url = os.environ.get("OPENSEARCH_URL")
    if not url:
        return Check("OPENSEARCH_URL", "ok", "not set: the embedded server is used")
    user, password, ca_file = (os.environ.get(f"OPENSEARCH_{n}") for n in ("USER", "PASSWORD", "CA_FILE"))
    cluster = Cluster(url, user=user, password=password, ca_file=ca_file, timeout=5.0)
    try:
        version = cluster.info()["version"]["number"]
    except MultimodalError as error:
        remedy = "check OPENSEARCH_URL, _USER, _PASSWORD and _CA_FILE; unset them for the embedded server"
        return Check("OPENSEARCH_URL", "missing", str(error), remedy)
    finally:
        cluster.close()
    return Check("OPENSEARCH_URL", "ok", f"{cluster.url} answers, OpenSearch {version}")


_CHECKS: dict[str, Callable[[], Check]] = {
    "Python": _python,
    "Java": _java,
    "Maven": _maven,
    "disk": _disk,
    "memory": _memory,
    "server's user": _user,
    "OpenSearch": _distribution,
    "server plugin": _plugin,
    "embedded server": _running,
    "OPENSEARCH_URL": _cluster,
    "default models": _models,
    "OCR": _ocr,
    "ONNX Runtime": _providers,
}
