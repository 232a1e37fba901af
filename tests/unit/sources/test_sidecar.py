from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.sources.sidecar import Sidecar, read_sidecar


def beside(folder: Path, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    (folder / "report.pdf.meta.json").write_bytes(data)
    return folder / "report.pdf"


def test_no_sidecar_is_an_empty_one(tmp_path: Path) -> None:
    assert read_sidecar(tmp_path / "report.pdf") == Sidecar()


def test_a_full_sidecar(tmp_path: Path) -> None:
    text = '{"title": " T ", "acl": "a", "document_id": "id", "language": "de", "metadata": {"year": 2024}}'
    assert read_sidecar(beside(tmp_path, text)) == Sidecar(
        title="T",
        acl=("a",),
        document_id="id",
        metadata={"language": "de", "year": 2024},
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not valid JSON"),
        ("[]", "a JSON object is needed"),
        ('{"acl": null}', "acl: a name or a list"),
        ('{"title": 3}', "title: a string is needed"),
        ('{"document_id": ["x"]}', "document_id: a string is needed"),
        ('{"document_id": "' + "x" * 5_000 + '"}', "document_id: 5,000 bytes"),
        ('{"x": "' + "x" * 2**20 + '"}', "over the limit of 1,048,576 bytes"),
    ],
)
def test_a_broken_sidecar_says_why(tmp_path: Path, content: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=f"its sidecar.*{reason}"):
        read_sidecar(beside(tmp_path, content))


def test_a_sidecar_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "report.pdf.meta.json").mkdir()
    with pytest.raises(InvalidInput, match="its sidecar: is a directory"):
        read_sidecar(tmp_path / "report.pdf")
