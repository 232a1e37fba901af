from pathlib import Path

import pytest

from opensearch_multimodal import resources
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.models import (
    DEFAULT_MODELS,
    ModelSpec,
    artifact_folder,
    find_spec_file,
    list_specs,
    load_spec,
    spec_text,
)


def write(home: Path, spec: ModelSpec, name: str | None = None) -> Path:
    path = home / "specs" / f"{name or spec.name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(spec_text(spec), "utf-8")
    return path


def test_shipped_specs_are_complete(home: Path) -> None:
    specs = {spec.name: spec for spec in list_specs()}
    assert set(DEFAULT_MODELS) <= set(specs)
    for name, spec in specs.items():
        assert load_spec(name) == spec
        assert spec.origin is not None, name
        assert spec.licence != "unknown", name
        assert spec.source.startswith("https://"), name
        assert spec.revision, name
        assert spec.description, name


def test_the_users_spec_hides_the_shipped_one(home: Path) -> None:
    shipped = load_spec("bge-small-en-v1.5")
    mine = shipped.model_copy(update={"description": "mine"})
    path = write(home, mine)
    assert load_spec(shipped.name).description == "mine"
    assert find_spec_file(shipped.name) == path
    assert [spec.description for spec in list_specs() if spec.name == shipped.name] == ["mine"]


def test_an_unknown_model_is_refused_with_the_known_ones(home: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no 'nothing'; known are .*bge-small-en-v1\.5"):
        load_spec("nothing")


def test_a_name_cannot_leave_the_folder(home: Path, rich_spec: ModelSpec) -> None:
    write(home, rich_spec, "../outside")
    for name in ("../outside", "specs/../../outside"):
        with pytest.raises(InvalidInput, match="model name"):
            load_spec(name)


def test_a_spec_under_another_name_is_refused(home: Path, rich_spec: ModelSpec) -> None:
    write(home, rich_spec, "poor")
    with pytest.raises(InvalidInput, match=r"named 'rich', its file 'poor\.toml'"):
        load_spec("poor")


def test_files_are_looked_for_at_home_first(
    home: Path, rich_spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_home = home / "artifacts" / "rich"
    assert artifact_folder(rich_spec) == at_home
    shipped = tmp_path / "checkout" / "onnx_models" / "artifacts" / "rich"
    shipped.mkdir(parents=True)
    monkeypatch.setattr(resources, "_root", lambda: tmp_path / "checkout")
    assert artifact_folder(rich_spec) == shipped
    at_home.mkdir(parents=True)
    assert artifact_folder(rich_spec) == at_home
