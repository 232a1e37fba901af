from __future__ import annotations

import os
import stat

import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.evaluation import check_place, write_file


def test_a_folder_and_a_device_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="this is a folder; name a file in it"):
        check_place(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInput, match="not a regular file"):
        check_place(tmp_path / "pipe")


def test_a_place_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="the report cannot be written here"):
        check_place(tmp_path / "file" / "report.html")


def test_a_place_is_made_and_left_empty(tmp_path):
    place = check_place(tmp_path / "new" / "report.html")
    assert place == tmp_path / "new" / "report.html"
    assert list(place.parent.iterdir()) == []


def test_a_file_is_replaced_whole_with_the_usual_permissions(tmp_path):
    place = tmp_path / "report.html"
    place.write_text("old")
    assert write_file(place, "é\ud800") == len("é?".encode())
    assert place.read_bytes() == "é?".encode()
    assert list(tmp_path.iterdir()) == [place]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(place.stat().st_mode) == 0o666 & ~mask


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
    write_file(check_place(tmp_path / "link.html"), "new")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "real.html").read_text() == "new"


def test_a_place_that_went_away_is_named_and_nothing_is_left(tmp_path):
    with pytest.raises(InvalidInput, match=r"report\.html: the report cannot be written \(No such file"):
        write_file(tmp_path / "gone" / "report.html", "text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidInput, match="folder: the report cannot be written"):
        write_file(tmp_path / "folder", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
