"""Fetching, checking and keeping files; what is fetched is a real jar, from the user's Maven repository."""

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from opensearch_multimodal import download
from opensearch_multimodal.errors import EnvironmentProblem, InvalidInput
from opensearch_multimodal.models import (
    DraftOptions,
    ModelSpec,
    artifact_folder,
    draft_spec,
    is_present,
    load_spec,
    locate,
    pull,
    save_spec,
    verify,
)
from opensearch_multimodal.models.artifacts import build_model

NAME = "all-minilm-l6-v2-tokens"


@pytest.fixture
def added(home: Path, text_folder: Path) -> ModelSpec:
    """A tiny model, kept in $OSMM_HOME."""
    spec = draft_spec(text_folder, "tiny", DraftOptions(kind="multi_vector"))
    save_spec(spec, text_folder)
    return load_spec("tiny")


def tamper(path: Path, *, keep_time: bool = False) -> None:
    """Change a byte; the size stays."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    times = (before.st_atime_ns, before.st_mtime_ns if keep_time else before.st_mtime_ns + 1_000_000)
    os.utime(path, ns=times)


def test_pull_fetches_checks_and_mends(home: Path) -> None:
    spec = load_spec(NAME)
    assert not is_present(spec)
    with pytest.raises(EnvironmentProblem, match=f"osmm models pull {NAME}"):
        locate(spec)
    folder = pull(spec)
    assert folder == home / "artifacts" / NAME == locate(spec) == verify(spec)
    assert {file.path: download.sha256_of(folder / file.path) for file in spec.files} == {
        file.path: file.sha256 for file in spec.files
    }
    first = (folder / "model.onnx").stat()
    pull(spec)
    assert (folder / "model.onnx").stat().st_ino == first.st_ino
    tamper(folder / "tokenizer.json")
    assert not is_present(spec)
    pull(spec)
    assert verify(spec) == folder
    beside = {path.name for path in folder.parent.iterdir()}
    assert beside <= {NAME, f".{NAME}.lock"} | {name for name in beside if name.endswith("lock")}


def test_a_start_does_not_hash_what_is_known(added: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    locate(added)
    hashed: list[Path] = []
    original = download.sha256_of
    monkeypatch.setattr(download, "sha256_of", lambda path: hashed.append(path) or original(path))
    locate(added)
    assert hashed == []
    verify(added)
    assert len(hashed) == len(added.files)


def test_changes_are_found(added: ModelSpec) -> None:
    path = artifact_folder(added) / "model.onnx"
    locate(added)
    tamper(path)
    with pytest.raises(EnvironmentProblem, match=r"model\.onnx has sha256 .*, expected .*osmm models add"):
        locate(added)
    with pytest.raises(EnvironmentProblem, match=r"'tiny'.*osmm models add"):
        pull(added)


def test_verify_finds_what_hides_behind_size_and_time(added: ModelSpec) -> None:
    locate(added)
    tamper(artifact_folder(added) / "model.onnx", keep_time=True)
    assert is_present(added)
    with pytest.raises(EnvironmentProblem, match="has sha256"):
        verify(added)
    assert not is_present(added)


@pytest.mark.parametrize(("content", "message"), [(None, "is missing"), (b"short", "has 5 bytes, expected")])
def test_missing_and_short_files_are_found(added: ModelSpec, content: bytes | None, message: str) -> None:
    path = artifact_folder(added) / "tokenizer.json"
    path.unlink()
    if content:
        path.write_bytes(content)
    with pytest.raises(EnvironmentProblem, match=rf"tokenizer\.json {message}"):
        locate(added)


def test_a_broken_memory_of_digests_is_ignored(added: ModelSpec) -> None:
    for text in ("not JSON", "[]", '{"model.onnx": 3}'):
        (artifact_folder(added) / ".verified.json").write_text(text, "utf-8")
        assert is_present(added)


def test_a_jar_with_other_files_leaves_nothing(home: Path) -> None:
    spec = load_spec(NAME)
    content = spec.model_dump()
    content["files"][1]["sha256"] = "0" * 64
    wrong = ModelSpec.model_validate(content)
    with pytest.raises(EnvironmentProblem, match=r"tokenizer\.json has sha256"):
        pull(wrong)
    assert not (home / "artifacts" / NAME).exists()
    content["files"][1]["member"] = "absent.json"
    with pytest.raises(EnvironmentProblem, match=r"no member absent\.json"):
        pull(ModelSpec.model_validate(content))
    assert not (home / "artifacts" / NAME).exists()


def test_a_clash_is_refused_unless_forced(added: ModelSpec, text_folder: Path, home: Path) -> None:
    other = added.model_copy(update={"description": "other"})
    with pytest.raises(InvalidInput, match="'tiny' already"):
        save_spec(other, text_folder)
    shipped = added.model_copy(update={"name": NAME})
    with pytest.raises(InvalidInput, match=f"'{NAME}' already"):
        save_spec(shipped, text_folder)
    save_spec(other, text_folder, force=True)
    assert load_spec("tiny").description == "other"
    assert verify(other) == home / "artifacts" / "tiny"


def test_a_save_that_fails_keeps_what_is_there(added: ModelSpec, text_folder: Path) -> None:
    (text_folder / "tokenizer.json").write_text("{}", "utf-8")
    with pytest.raises(EnvironmentProblem, match=r"tokenizer\.json has 2 bytes"):
        save_spec(added, text_folder, force=True)
    verify(added)


def test_links_instead_of_copies(home: Path, text_folder: Path) -> None:
    spec = draft_spec(text_folder, "linked")
    save_spec(spec, text_folder, link=True)
    kept = verify(spec) / "model.onnx"
    assert kept.is_symlink()
    assert kept.resolve() == (text_folder / "model.onnx").resolve()


def test_the_second_of_two_that_make_one_model_is_told(home: Path, text_folder: Path) -> None:
    spec = draft_spec(text_folder, "tiny")
    begun, go_on = threading.Event(), threading.Event()

    def build(folder: Path) -> ModelSpec:
        begun.set()
        assert go_on.wait(30)
        for file in spec.files:
            shutil.copyfile(text_folder / file.path, folder / file.path)
        return spec

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(build_model, "tiny", build)
        assert begun.wait(30)
        second = pool.submit(build_model, "tiny", build)
        go_on.set()
        first.result()
        with pytest.raises(InvalidInput, match="there is a model 'tiny' already"):
            second.result()
    assert load_spec("tiny") == spec


def test_two_that_replace_one_model_do_so_one_after_the_other(added: ModelSpec, text_folder: Path) -> None:
    events: list[str] = []
    begun, second_begun, go_on = threading.Event(), threading.Event(), threading.Event()

    def build(folder: Path, name: str) -> ModelSpec:
        events.append(f"{name} begins")
        (begun if name == "first" else second_begun).set()
        if name == "first":
            assert go_on.wait(30)
        shutil.copytree(text_folder, folder, dirs_exist_ok=True)
        events.append(f"{name} ends")
        return draft_spec(folder, "tiny", DraftOptions(description=name))

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(build_model, "tiny", lambda folder: build(folder, "first"), force=True)
        assert begun.wait(30)
        second = pool.submit(build_model, "tiny", lambda folder: build(folder, "second"), force=True)
        assert not second_begun.wait(0.5)
        go_on.set()
        first.result()
        second.result()
    assert events == ["first begins", "first ends", "second begins", "second ends"]
    assert load_spec("tiny").description == "second"
    verify(load_spec("tiny"))


def test_a_spec_that_cannot_be_written_leaves_the_model_as_it_was(
    added: ModelSpec, text_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in sorted(artifact_folder(added).iterdir())}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:

        def build(folder: Path) -> ModelSpec:
            shutil.copytree(text_folder, folder, dirs_exist_ok=True)
            spec = draft_spec(folder, "tiny", DraftOptions(description="another"))
            patch.setattr(Path, "replace", full)
            return spec

        with pytest.raises(OSError, match="No space left"):
            build_model("tiny", build, force=True)
    assert load_spec("tiny") == added
    verify(added)
    assert {path: path.read_bytes() for path in before if path.name[0] != "."} == {
        path: content for path, content in before.items() if path.name[0] != "."
    }


def test_a_spec_without_a_place_is_known_before_anything_is_built(home: Path) -> None:
    (home / "specs" / "tiny.toml").mkdir(parents=True)

    def build(folder: Path) -> ModelSpec:
        raise AssertionError("never called")

    with pytest.raises(EnvironmentProblem, match="is a folder, where the spec of 'tiny' would be"):
        build_model("tiny", build)


def test_a_swap_that_fails_puts_back_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "mine").touch()
    with pytest.raises(FileNotFoundError):
        download.swap_folder(tmp_path / "fresh", folder, tmp_path)
    assert (folder / "mine").exists()
    assert not (tmp_path / "old").exists()
