"""``osmm models export`` as a user runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_text import pooling, write_model, write_modules

from opensearch_multimodal import models

OSMM = [sys.executable, "-c", "from opensearch_multimodal.cli import main; main()"]


def osmm(*arguments: str, code: int = 0) -> tuple[str, str]:
    done = subprocess.run(
        [*OSMM, *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = write_modules(write_model(tmp_path / "model", "bert"), pooling("mean_tokens"))
    (made / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# Tiny, random\n")
    return made


def test_export_adds_a_model_that_other_commands_know(folder: Path) -> None:
    told, steps = osmm("models", "export", str(folder), "--name", "tiny", "--kind", "dense")
    spec = models.load_spec("tiny")
    assert "exported tiny: dense, dimension 32, fp32" in told
    assert spec.fingerprint in told
    assert re.search(r"text\.onnx +cosine ≥ (1\.0|0\.99999)", told)
    assert [line.removesuffix(" …") for line in steps.splitlines()] == [
        *("reading weights", "converting text.onnx", "writing text.onnx as fp32", "comparing text.onnx"),
        "running the exported model",
    ]
    assert spec.licence == "Apache-2.0"
    listed = {one["name"]: one for one in json.loads(osmm("models", "list", "--json")[0])}
    assert listed["tiny"]["present"] is True
    assert "good  tiny" in osmm("models", "verify", "tiny")[0]
    _, error = osmm("models", "export", str(folder), "--name", "tiny", "--kind", "dense", code=1)
    assert "there is a model 'tiny' already" in error
    osmm("models", "export", str(folder), "--name", "tiny", "--kind", "multi_vector", "--force")
    assert models.load_spec("tiny").kind == "multi_vector"


def test_options_end_in_the_spec(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    options = {
        "--query-prefix": "query: ",
        "--passage-prefix": "passage: ",
        "--max-tokens": "40",
        "--mrl-dimension": "16",
        "--description": "Tiny.",
        "--licence": "MIT",
        "--source": "https://example.org",
        "--revision": "abc",
        "--pooling": "cls",
        "--precision": "fp16",
        "--out": str(out),
    }
    given = [part for option in options.items() for part in option]
    osmm("models", "export", str(folder), "--name", "tiny", "--kind", "dense", *given)
    spec = models.parse_spec((out / "spec.toml").read_bytes(), "spec.toml")
    assert spec.text is not None
    assert (spec.text.query_prefix, spec.text.passage_prefix) == ("query: ", "passage: ")
    assert spec.text.max_query_tokens == spec.text.max_passage_tokens == 40
    assert spec.mrl_dimensions == (16,)
    assert (spec.description, spec.licence) == ("Tiny.", "MIT")
    assert (spec.source, spec.revision) == ("https://example.org", "abc")
    assert json.loads((out / "parity.json").read_text())["precision"] == "fp16"
    assert "tiny" not in [one.name for one in models.list_specs()]


def test_exported_folder_is_added_as_it_is(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = ("--kind", "multi_vector", "--precision", "int8-dynamic", "--query-prefix", "query: ")
    osmm("models", "export", str(folder), "--name", "tiny", "--out", str(out), *given)
    spec = models.parse_spec((out / "spec.toml").read_bytes(), "spec.toml")
    assert spec.batch_dependent
    _, error = osmm("models", "add", str(out), "--kind", "dense", code=1)
    assert "kind: " in error
    assert "spec.toml says it" in error
    told, _ = osmm("models", "add", str(out))
    assert spec.fingerprint in told
    assert models.load_spec("tiny") == spec
    osmm("models", "add", str(out), "--name", "other")
    assert models.load_spec("other").fingerprint == spec.fingerprint
    (out / "spec.toml").unlink()
    _, error = osmm("models", "add", str(out), code=1)
    assert "the model needs --name" in error


def test_errors_are_one_sentence(folder: Path, tmp_path: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "mamba"}')
    _, error = osmm("models", "export", str(folder), "--name", "tiny", "--kind", "dense", code=1)
    assert error.startswith("error: architecture: model_type 'mamba'")
    assert len(error.splitlines()) == 1
    _, error = osmm("models", "export", str(tmp_path / "no"), "--name", "tiny", "--kind", "dense", code=1)
    assert "is no folder" in error
    _, error = osmm("models", "export", str(folder), "--name", "a/b", "--kind", "dense", code=1)
    assert "model name: 'a/b'" in error


def test_a_device_that_is_not_there_is_refused(folder: Path) -> None:
    import torch

    if torch.cuda.is_available():
        osmm("models", "export", str(folder), "--name", "tiny", "--kind", "dense", "--device", "cuda")
        return
    arguments = ("models", "export", str(folder), "--name", "tiny", "--kind", "dense", "--device", "cuda")
    _, error = osmm(*arguments, code=1)
    assert "device: PyTorch finds no CUDA device here" in error
