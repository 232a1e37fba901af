"""The commands against the real server: what they print, what they change, how they end."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tiny_index
from click.testing import CliRunner, Result
from homes import home, tiny_home

from opensearch_multimodal.cli import main
from opensearch_multimodal.client import Cluster

__all__ = ["home", "tiny_home"]

Osmm = Callable[..., Result]


@pytest.fixture
def osmm(cluster: Cluster, home: Path, monkeypatch: pytest.MonkeyPatch) -> Osmm:
    """Run a command against the server; the exit code is part of the result."""
    monkeypatch.setenv("OPENSEARCH_URL", cluster.url)

    def run(*arguments: str, code: int = 0, answer: str | None = None) -> Result:
        result = CliRunner().invoke(main, list(arguments), input=answer)
        assert result.exit_code == code, result.output + result.stderr
        return result

    return run


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    chosen = f"commands-{uuid.uuid4().hex[:8]}"
    yield chosen
    if chosen in cluster.get_index(f"{chosen}*"):
        cluster.delete_index(chosen)


@pytest.fixture
def mapping(tmp_path: Path) -> str:
    """A body file for the tiny models, as an operator would PUT it: without fingerprints."""
    body = tiny_index.body()
    for field in body["mappings"]["_meta"]["multimodal"]["fields"].values():
        field.pop("fingerprint", None)
    path = tmp_path / "body.json"
    path.write_text(json.dumps(body))
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    tiny_index.write_jsonl(folder / "corpus.jsonl", 20)
    (folder / "note.txt").write_text("gamma gamma gamma")
    return folder


def test_a_first_session(osmm: Osmm, name: str, mapping: str, files: Path) -> None:
    osmm("index", "create", name, "--mapping", mapping, "--shards", "2")
    report = json.loads(osmm("ingest", str(files), "--index", name, "--json").stdout)
    assert (report["written"], report["complete"]) == (21, True)
    shown = json.loads(osmm("index", "show", name, "--json").stdout)
    assert shown["records"] == {"passage": 21}
    assert shown["fields"]["dense"]["fingerprint"].startswith("sha256:")
    assert "gqr" in osmm("index", "show", name).stdout
    result = json.loads(osmm("search", name, "gamma gamma", "--json", "-k", "3").stdout)
    assert len(result["hits"]) == 3
    assert set(result["hits"][0]) >= {"id", "score", "source", "stages"}
    assert result["timings_ms"]["total"] > 0
    explained = osmm("search", name, "gamma gamma", "--explain", "--profile", "hybrid").stdout
    assert "first stage bm25" in explained
    assert "fused" in explained
    filtered = osmm("search", name, "gamma", "--where", "document_id=note", "--json")
    assert [hit["id"] for hit in json.loads(filtered.stdout)["hits"]] == ["note#c1"]
    assert "1 records" in osmm("delete", name, "--document", "note", "--dry-run").stderr
    osmm("delete", name, "--document", "note", "--yes")
    assert json.loads(osmm("index", "show", name, "--json").stdout)["records"] == {"passage": 20}
    osmm("index", "delete", name, "--yes")
    osmm("index", "show", name, code=2)


def test_ingest_of_a_broken_file_ends_with_1_and_writes_the_rest(
    osmm: Osmm, name: str, mapping: str, files: Path
) -> None:
    (files / "broken.pdf").write_bytes(b"%PDF-1.4 and then nothing")
    osmm("index", "create", name, "--mapping", mapping)
    result = osmm("ingest", str(files), "--index", name, code=1)
    assert "broken.pdf" in result.stderr
    assert "21 written" in result.stderr


def test_an_index_put_by_hand_is_stamped_first(
    osmm: Osmm, cluster: Cluster, name: str, mapping: str, files: Path
) -> None:
    cluster.create_index(name, json.loads(Path(mapping).read_text()))
    refused = osmm("ingest", str(files), "--index", name, code=1)
    assert f"osmm index stamp {name}" in " ".join(refused.stderr.split())
    osmm("index", "stamp", name)
    osmm("index", "stamp", name)
    osmm("ingest", str(files), "--index", name)


def test_an_index_of_others_is_not_deleted(osmm: Osmm, cluster: Cluster, name: str) -> None:
    cluster.create_index(name, {})
    refused = osmm("index", "delete", name, "--yes", code=1)
    assert "not made by osmm" in " ".join(refused.stderr.split())
    assert name in cluster.get_index(name)


def test_creating_twice_says_what_to_do(osmm: Osmm, name: str, mapping: str) -> None:
    osmm("index", "create", name, "--mapping", mapping)
    again = osmm("index", "create", name, "--mapping", mapping, code=1)
    assert f"osmm index delete {name}" in " ".join(again.stderr.split())


def test_deleting_asks_and_takes_no_for_an_answer(osmm: Osmm, name: str, mapping: str, files: Path) -> None:
    osmm("index", "create", name, "--mapping", mapping)
    osmm("ingest", str(files), "--index", name)
    osmm("delete", name, "--document", "note", answer="n\n", code=1)
    osmm("index", "delete", name, answer="n\n", code=1)
    assert json.loads(osmm("index", "show", name, "--json").stdout)["records"] == {"passage": 21}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("search", "nowhere", "question"), 2, "no such index"),
        (("ingest", "/does/not/exist", "--index", "nowhere"), 2, "no such index"),
        (("search", "x", "y", "--filter", "{"), 1, "--filter: not valid JSON"),
        (("search", "x", "y", "--where", "type"), 1, "--where: expected NAME=VALUE"),
        (("index", "create", "x", "--mapping", "pagez"), 1, "neither pages nor passages"),
        (("index", "create", "x", "--model", "dense=unknown"), 1, "unknown"),
        (("delete", "nowhere"), 2, "no such index"),
    ],
)
def test_mistakes_get_one_sentence(osmm: Osmm, arguments: tuple[str, ...], code: int, message: str) -> None:
    result = osmm(*arguments, code=code)
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


def test_an_unknown_cluster_is_a_problem_of_the_environment(home: Path) -> None:
    result = CliRunner().invoke(main, ["search", "x", "y", "--url", "http://127.0.0.1:9"])
    assert result.exit_code == 2
    assert "no cluster answers at http://127.0.0.1:9" in " ".join(result.stderr.split())
