"""Where a model to export is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.export import open_source


@pytest.mark.parametrize("name", ["explosive_models", "explosive_models.large", "explosive_models.large.v2"])
def test_a_package_is_looked_into_and_never_imported(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "explosive_models"
    (folder / "large" / "v2").mkdir(parents=True)
    for package in (folder, folder / "large", folder / "large" / "v2"):
        (package / "__init__.py").write_text("raise RuntimeError('imported')")
        (package / "config.json").write_text(f'{{"model_type": "bert", "of": "{package.name}"}}')
    monkeypatch.syspath_prepend(tmp_path)
    source = open_source(name)
    assert source.folder == tmp_path.joinpath(*name.split("."))
    assert source.config["of"] == name.split(".")[-1]


@pytest.mark.parametrize("name", ["no_such_package", "json", "json.decoder", "a..b", ".a", "x/y/z"])
def test_what_is_nothing_says_what_could_be(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"is no folder, no importable package with a model in it"):
        open_source(name)
