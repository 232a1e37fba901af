from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from opensearch_multimodal.sources import Limits, SourceOptions
from opensearch_multimodal.sources.records import CannotRead, Found, os_reason, record_id, text_path
from opensearch_multimodal.sources.sidecar import Sidecar


@pytest.fixture
def found(tmp_path: Path) -> Found:
    path = tmp_path / "a.txt"
    path.write_text("hello")
    return Found(path, tmp_path, "a.txt", "a", Sidecar())


def test_short_ids_are_kept_as_they_are() -> None:
    assert record_id("folder/report", "#p3") == "folder/report#p3"
    assert record_id("x" * 509, "#p3") == "x" * 509 + "#p3"


def test_long_ids_are_hashed_and_stay_distinct() -> None:
    names = ["é" * 300, "é" * 300 + "2", "é" * 299 + "x"]
    ids = [record_id(name, "#p12") for name in names]
    assert len(set(ids)) == 3
    for identity in ids:
        assert len(identity.encode()) <= 512
        assert identity.startswith("é" * 200)
        assert identity.endswith("#p12")
    assert ids[0] == record_id(names[0], "#p12")


def test_the_digest_changes_with_everything_that_shapes_the_records(found: Found) -> None:
    options = SourceOptions()
    base = found.digest(options, {"dpi": 150})
    assert found.digest(options, {"dpi": 150}) == base
    others = {
        found.digest(options, {"dpi": 72}),
        found.digest(replace(options, acl=("staff",)), {"dpi": 150}),
        Found(found.path, found.root, "a.txt", "b", Sidecar()).digest(options, {"dpi": 150}),
        Found(found.path, found.root.parent, "x/a.txt", "a", Sidecar()).digest(options, {"dpi": 150}),
        Found(found.path, found.root, "a.txt", "a", Sidecar(sha256="1")).digest(options, {"dpi": 150}),
    }
    found.path.write_text("hellO")
    others.add(found.digest(options, {"dpi": 150}))
    assert len(others - {base}) == 6


def test_a_file_that_changes_or_vanishes_after_its_digest_is_noticed(found: Found) -> None:
    found.digest(SourceOptions(), {})
    found.check_unchanged()
    found.path.write_text("longer than before")
    with pytest.raises(CannotRead, match="changed while it was being read"):
        found.check_unchanged()
    found.path.unlink()
    with pytest.raises(CannotRead, match="does not exist any more"):
        found.check_unchanged()


def test_the_size_limit_names_size_limit_and_option(found: Found) -> None:
    with pytest.raises(CannotRead, match=r"5 bytes are over the limit of 4 \(option max_file_bytes\)"):
        found.check_size(SourceOptions(limits=Limits(max_file_bytes=4)))
    found.check_size(SourceOptions(limits=Limits(max_file_bytes=5)))
    found.check_size(SourceOptions(limits=Limits(max_file_bytes=0)))
    found.check_size(SourceOptions(limits=Limits(max_file_bytes=None)))
    found.path.write_bytes(b"")
    with pytest.raises(CannotRead, match="the file is empty"):
        found.check_size(SourceOptions())


def test_a_sidecar_adds_metadata_but_not_where_the_file_lies(found: Found) -> None:
    found.sidecar = Sidecar(metadata={"language": "de", "type": "report", "root": "/etc", "path": "passwd"})
    os.utime(found.path, (86_400, 86_400))
    assert found.metadata(page_count=2) == {
        "type": "report",
        "modified": "1970-01-02T00:00:00Z",
        "page_count": 2,
        "language": "de",
        "path": "a.txt",
        "root": str(found.root),
    }


def test_the_sidecar_decides_about_access(found: Found) -> None:
    options = SourceOptions(acl=("staff",))
    assert found.acl(options) == ("staff",)
    found.sidecar = Sidecar(acl=("board",))
    assert found.acl(options) == ("board",)
    found.sidecar = Sidecar(acl=())
    assert found.acl(options) == ()


def test_texts_of_system_errors_and_paths() -> None:
    assert os_reason(PermissionError(13, "Permission denied", "/secret")) == "permission denied"
    assert text_path(os.fsdecode(b"caf\xe9")) == "caf\\xe9"
