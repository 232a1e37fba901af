"""The wheel alone, beside its run-time dependencies and nothing else, gives a working command."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from opensearch_multimodal import resources

ROOT = resources.find("mappings").parent


def runtime_distributions() -> set[str]:
    """Return the names of everything that the distribution needs at run time, without extras."""
    todo = list(importlib.metadata.requires("opensearch-multimodal") or [])
    found: set[str] = set()
    while todo:
        requirement = Requirement(todo.pop())
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and requirement.name.lower() not in found:
            found.add(requirement.name.lower())
            todo += importlib.metadata.requires(requirement.name) or []
    return found


def link_distribution(name: str, target: Path) -> None:
    """Make a distribution that is installed here importable from another folder."""
    distribution = importlib.metadata.distribution(name)
    for top in {
        file.parts[0] for file in distribution.files or [] if file.parts[0] not in {"..", "__pycache__"}
    }:
        link = target / top
        if not link.exists():
            link.symlink_to(Path(str(distribution.locate_file(top))))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for name in runtime_distributions():
        link_distribution(name, site)
    return folder / "bin" / "python"


def run(python: Path, *arguments: str, code: int = 0) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "OSMM"))}
    done = subprocess.run(
        [str(python), *arguments], cwd="/", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def test_wheel_holds_what_operators_read(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    data = "opensearch_multimodal/_data/"
    assert {data + f"mappings/{name}.json" for name in ("pages", "passages", "mixed", "images")} <= names
    assert data + "onnx_models/specs/bge-small-en-v1.5.toml" in names
    assert data + "ingest/sample/questions/queries.jsonl" in names
    assert not [name for name in names if "/artifacts/" in name or name.endswith((".onnx", ".pyc"))]
    assert [name for name in names if name.startswith(data + "plugin/") and name.endswith(".zip")]
    assert wheel.stat().st_size < 5 * 1024 * 1024


def test_dev_dependencies_are_absent(python: Path) -> None:
    run(python, "-c", "import pytest", code=1)


def test_every_command_answers_help(python: Path) -> None:
    out = run(
        python,
        "-c",
        "import json, click\n"
        "from opensearch_multimodal.cli import main\n"
        "context = click.Context(main)\n"
        "found = {n: main.get_command(context, n) for n in main.list_commands(context)}\n"
        "print(json.dumps({n: c.get_short_help_str() for n, c in found.items()}))",
    )
    commands = json.loads(out)
    assert {"demo", "doctor", "evaluate", "index", "ingest", "models", "search", "serve", "server"} <= set(
        commands
    )
    assert all(commands.values())


def test_shipped_files_are_found_outside_a_checkout(python: Path) -> None:
    out = run(
        python,
        "-c",
        "from opensearch_multimodal.mappings import load_template\n"
        "from opensearch_multimodal.models import list_specs, load_spec\n"
        "print(load_template('pages')['mappings']['_meta']['multimodal']['version'])\n"
        "print(load_spec('bge-small-en-v1.5').dimension)",
    )
    assert out.split() == ["1", "384"]


def test_the_html_report_has_its_template_and_its_style(wheel: Path, python: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"opensearch_multimodal/evaluation/report.{end}" for end in ("css", "html.jinja")} <= set(names)
    run(python, "-c", "from opensearch_multimodal.evaluation import render_html")


def test_missing_extra_is_named(python: Path) -> None:
    out = run(
        python,
        "-c",
        "from opensearch_multimodal.errors import MissingExtra\n"
        "print(MissingExtra('reading scanned pages', 'ocr'))",
    )
    assert "opensearch-multimodal[ocr]" in out


def test_the_service_without_its_extra_is_one_sentence(python: Path) -> None:
    run(python, "-c", "import starlette", code=1)
    done = subprocess.run(
        [str(python), "-c", "from opensearch_multimodal.cli import main; main()", "serve", "--encode-only"],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "opensearch-multimodal[service]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_without_onnx_runtime_is_one_sentence(python: Path) -> None:
    run(python, "-c", "import onnxruntime", code=1)
    out = run(
        python,
        "-c",
        "from pathlib import Path\n"
        "from opensearch_multimodal.encoder import load\n"
        "from opensearch_multimodal.errors import MissingExtra\n"
        "from opensearch_multimodal.models.onnx_file import read_signature\n"
        "try:\n"
        "    read_signature(Path('model.onnx'))\n"
        "except MissingExtra as error:\n"
        "    print(error)\n",
    )
    assert out.strip() == (
        "running a model needs an extra: pip install 'opensearch-multimodal[cpu]', or [gpu]"
    )
    doctor = "import sys; from opensearch_multimodal.cli import main; sys.argv = ['osmm', 'doctor']; main()"
    assert "opensearch-multimodal[cpu]" in run(python, "-c", doctor, code=2)
