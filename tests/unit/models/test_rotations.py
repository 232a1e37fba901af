"""Learnt rotations: kept whole, bound to their model, refused when changed."""

from pathlib import Path

import numpy as np
import pytest

from opensearch_multimodal.binarize import Rotation
from opensearch_multimodal.errors import EnvironmentProblem, InvalidInput
from opensearch_multimodal.models import (
    RotationSpec,
    list_rotations,
    load_rotation,
    load_rotation_spec,
    save_rotation,
)

SOURCE = "sha256:" + "1" * 64


def rotation(seed: int = 0) -> Rotation:
    generator = np.random.default_rng(seed)
    matrix, thresholds = generator.standard_normal((6, 4)), generator.standard_normal((2, 4))
    return Rotation(matrix.astype(np.float32), *thresholds.astype(np.float32))


def save(name: str = "mine", seed: int = 0, *, source: str = SOURCE, force: bool = False) -> RotationSpec:
    return save_rotation(name, rotation(seed), model="m", source=source, vectors=100, force=force)


def test_what_is_saved_is_loaded(home: Path) -> None:
    saved = save()
    assert load_rotation_spec("mine") == saved
    assert (saved.dimension, saved.bits, saved.vectors, saved.queries) == (6, 4, 100, 0)
    loaded = load_rotation(saved)
    np.testing.assert_array_equal(loaded.matrix, rotation().matrix)
    np.testing.assert_array_equal(loaded.threshold, rotation().threshold)
    np.testing.assert_array_equal(loaded.query_threshold, rotation().query_threshold)
    assert sorted(path.name for path in (home / "rotations" / "mine").iterdir()) == [
        "rotation.npy",
        "rotation.toml",
    ]


def test_the_fingerprint_is_that_of_numbers_and_model(home: Path) -> None:
    first = save("one").fingerprint
    assert first.startswith("sha256:")
    assert save("two").fingerprint == first
    assert save("three", seed=1).fingerprint != first
    assert save("four", source="sha256:" + "2" * 64).fingerprint != first


def test_they_are_listed_by_name_without_what_was_left_half_done(home: Path) -> None:
    assert list_rotations() == []
    save("b")
    save("a")
    (home / "rotations" / ".c.1.partial").mkdir()
    (home / "rotations" / ".c.1.partial" / "rotation.toml").write_text("")
    assert [one.name for one in list_rotations()] == ["a", "b"]


def test_a_name_is_taken_once(home: Path) -> None:
    save()
    with pytest.raises(InvalidInput, match="there is a rotation 'mine' already"):
        save(seed=1)
    np.testing.assert_array_equal(load_rotation(load_rotation_spec("mine")).matrix, rotation().matrix)
    np.testing.assert_array_equal(load_rotation(save(seed=1, force=True)).matrix, rotation(1).matrix)


@pytest.mark.parametrize("name", ["../mine", ".mine", "", "a/b"])
def test_a_name_is_no_path(home: Path, name: str) -> None:
    for call in (save, load_rotation_spec):
        with pytest.raises(InvalidInput, match="model name"):
            call(name)


def test_a_changed_file_is_refused(home: Path) -> None:
    saved = save()
    path = home / "rotations" / "mine" / "rotation.npy"
    np.save(path, np.zeros((8, 4), dtype=np.float32))
    with pytest.raises(EnvironmentProblem, match=r"rotation\.npy has sha256 .* expected"):
        load_rotation(saved)
    path.unlink()
    with pytest.raises(EnvironmentProblem, match="No such file"):
        load_rotation(saved)


def test_numbers_of_another_shape_are_refused(home: Path) -> None:
    saved = save()
    with pytest.raises(EnvironmentProblem, match=r"float32 of shape \(8, 4\), expected .* \(7, 4\)"):
        load_rotation(saved.model_copy(update={"dimension": 5}))


def test_what_is_none(home: Path) -> None:
    save()
    with pytest.raises(InvalidInput, match=r"no 'other' \(known: mine\); 'osmm models fit-rotation'"):
        load_rotation_spec("other")
    spec = home / "rotations" / "mine" / "rotation.toml"
    good = spec.read_text()
    for wrong, message in (("]", "not a rotation"), (good.replace("itq", "pca"), "not a rotation")):
        spec.write_text(wrong)
        with pytest.raises(InvalidInput, match=message):
            load_rotation_spec("mine")
    spec.write_text(good.replace('"mine"', '"yours"'))
    with pytest.raises(InvalidInput, match="the rotation is named 'yours', its folder 'mine'"):
        load_rotation_spec("mine")
