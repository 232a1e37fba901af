"""``osmm models``, from the command line."""

import json
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

from opensearch_multimodal import encoder
from opensearch_multimodal.cli import main
from opensearch_multimodal.models import is_present, load_spec


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["models", *map(str, arguments)])


def test_list_says_what_is_here(home: Path) -> None:
    result = run("list", "--json")
    assert result.exit_code == 0
    listed = {entry["name"]: entry for entry in json.loads(result.stdout)}
    entry = listed["bge-small-en-v1.5"]
    assert (entry["kind"], entry["inputs"], entry["dimension"]) == ("dense", ["text"], 384)
    assert entry["fingerprint"] == load_spec("bge-small-en-v1.5").fingerprint
    assert (entry["present"], entry["default"]) == (False, True)
    table = run("list").stdout
    assert "bge-small-en-v1.5" in table
    assert "not here" in table


def test_show(home: Path) -> None:
    spec = load_spec("all-minilm-l6-v2-tokens")
    shown = json.loads(run("show", spec.name, "--json").stdout)
    assert shown["fingerprint"] == spec.fingerprint
    assert shown["text"]["skip_punctuation"] is True
    text = run("show", spec.name).stdout
    assert spec.fingerprint in text
    assert "osmm models pull all-minilm-l6-v2-tokens" in text
    assert 'pooling = "none"' in text


def test_pull_without_names_fetches_the_defaults(home: Path) -> None:
    assert run("pull").exit_code == 0
    for name in ("bge-small-en-v1.5", "all-minilm-l6-v2-tokens"):
        assert is_present(load_spec(name))
    again = run("pull")
    assert again.exit_code == 0
    assert again.stderr.count("here already") == 2
    assert run("verify").stdout.count("good") == 2
    damaged = home / "artifacts" / "bge-small-en-v1.5" / "tokenizer.json"
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    result = run("verify")
    assert result.exit_code == 2
    assert "osmm models pull bge-small-en-v1.5" in result.stderr
    assert run("pull", "bge-small-en-v1.5").exit_code == 0
    assert run("verify", "bge-small-en-v1.5").exit_code == 0


def test_an_unknown_model_is_the_users_mistake(home: Path) -> None:
    for command in ("show", "pull", "verify"):
        result = run(command, "nothing")
        assert result.exit_code == 1
        assert "there is no 'nothing'; known are" in result.stderr


def test_verify_with_nothing_here(home: Path) -> None:
    result = run("verify")
    assert result.exit_code == 0
    assert "no model is here" in result.stderr


def test_add_runs_the_model_and_keeps_it(home: Path, text_folder: Path, tiny: ModuleType) -> None:
    tiny.write_image_model(text_folder / "vision_model.onnx")
    result = run(
        "add", text_folder, "--name", "mine", "--kind", "multi_vector", "--skip-special", "--licence", "MIT"
    )
    assert result.exit_code == 0, result.stderr
    spec = load_spec("mine")
    assert spec.text is not None
    assert (spec.kind, spec.inputs, spec.text.skip_special, spec.licence) == (
        "multi_vector",
        ("text", "image"),
        True,
        "MIT",
    )
    assert spec.fingerprint in result.stdout
    loaded = encoder.load(spec)
    assert [rows.shape for rows in loaded.encode_passages(["alpha beta"])] == [(2, 8)]
    assert "mine" in run("list").stdout

    clash = run("add", text_folder, "--name", "mine")
    assert clash.exit_code == 1
    assert "use --force" in clash.stderr
    forced = run("add", text_folder, "--name", "mine", "--input", "text", "--link", "--force")
    assert forced.exit_code == 0, forced.stderr
    assert load_spec("mine").kind == "dense"
    assert (home / "artifacts" / "mine" / "model.onnx").is_symlink()


def test_add_writes_down_that_vectors_depend_on_their_batch(
    home: Path, text_folder: Path, tiny: ModuleType
) -> None:
    tiny.depend_on_batch(text_folder / "model.onnx")
    given = ("add", text_folder, "--name", "mine", "--pooling", "mean", "--text-output", "last_hidden_state")
    refused = run(*given)
    assert refused.exit_code == 1
    assert "with what else is in the batch" in refused.stderr
    added = run(*given, "--allow-batch-dependence")
    assert added.exit_code == 0, added.stderr
    assert load_spec("mine").batch_dependent


def test_add_keeps_nothing_of_a_model_that_does_not_work(home: Path, text_folder: Path) -> None:
    wrong = run("add", text_folder, "--name", "mine", "--dimension", "9")
    assert wrong.exit_code == 1
    assert "--dimension disagree" in wrong.stderr
    (text_folder / "model.onnx").write_bytes(b"not a model")
    result = run("add", text_folder, "--name", "mine")
    assert result.exit_code == 1
    assert "not an ONNX file" in result.stderr
    assert not (home / "artifacts" / "mine").exists()
    assert not (home / "specs" / "mine.toml").exists()


@pytest.mark.parametrize("name", ["../mine", "a/b"])
def test_add_refuses_unsafe_names(home: Path, text_folder: Path, name: str) -> None:
    result = run("add", text_folder, "--name", name)
    assert result.exit_code == 1
    assert "model name" in result.stderr
