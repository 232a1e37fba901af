from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from opensearch_multimodal.sources.walk import walk


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def names(root: Path) -> list[str]:
    return [entry.relative for entry in walk(root)]


def test_files_come_in_a_fixed_order_and_hidden_ones_not_at_all(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "b.txt",
        "a/z.txt",
        "a/b/c.txt",
        "c/x.txt",
        ".git/x.md",
        "a/.hidden",
        "~$a.docx",
        "Thumbs.db",
    )
    assert names(tmp_path) == ["a/b/c.txt", "a/z.txt", "b.txt", "c/x.txt"]


def test_a_file_as_root(tmp_path: Path) -> None:
    touch(tmp_path, "b.txt")
    assert names(tmp_path / "b.txt") == ["b.txt"]


def test_of_a_beir_folder_only_the_corpus_counts(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "beir/corpus.jsonl",
        "beir/corpus.jsonl.meta.json",
        "beir/queries.jsonl",
        "beir/qrels/test.tsv",
    )
    touch(tmp_path, "beir/README.md", "judged/queries.jsonl", "judged/qrels.tsv", "judged/a.pdf")
    touch(tmp_path, "plain/corpus.jsonl", "plain/a.pdf", "queries.jsonl")
    assert names(tmp_path) == [
        "beir/corpus.jsonl",
        "beir/corpus.jsonl.meta.json",
        "judged/a.pdf",
        "plain/a.pdf",
        "plain/corpus.jsonl",
        "queries.jsonl",
    ]


def test_links_never_lead_in_circles_nor_to_the_same_file_twice(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    touch(root, "a/x.txt", "b/y.txt")
    touch(outside, "o.txt")
    (root / "a/up").symlink_to(root)
    (root / "a/b").symlink_to(root / "b")
    (root / "b/a").symlink_to(root / "a")
    (root / "c").symlink_to(outside)
    (root / "d").symlink_to(outside)
    (outside / "back").symlink_to(root)
    (outside / "again").symlink_to(outside)
    assert names(root) == ["a/x.txt", "b/y.txt", "c/o.txt"]
    (tmp_path / "link").symlink_to(root)
    assert names(tmp_path / "link") == ["a/x.txt", "b/y.txt", "c/o.txt"]


def test_dead_links_loops_and_sockets_are_named(tmp_path: Path) -> None:
    (tmp_path / "dead.pdf").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.pdf").symlink_to(tmp_path / "loop.pdf")
    server = socket.socket(socket.AF_UNIX)
    before = Path.cwd()
    os.chdir(tmp_path)  # the path of a socket must be short
    try:
        server.bind("s.pdf")
        assert [(entry.relative, entry.problem) for entry in walk(tmp_path)] == [
            ("dead.pdf", "a link that leads nowhere"),
            ("loop.pdf", "a link that leads nowhere"),
            ("s.pdf", "not a regular file"),
        ]
    finally:
        os.chdir(before)
        server.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_may_not_be_listed_is_named(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0)
    try:
        [entry] = walk(tmp_path)
    finally:
        (tmp_path / "locked").chmod(0o700)
    assert entry.problem == "permission denied"


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")).write_text("x")
    assert names(tmp_path) == ["caf\\xe9.txt"]
