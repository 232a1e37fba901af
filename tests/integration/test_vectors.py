"""Pooling, cut dimensions and learnt rotations on the real server, from the command to the ranking."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_index
import tiny_models
from click.testing import CliRunner, Result
from homes import home, tiny_home

from opensearch_multimodal.binarize import rotated_codes, rotated_query_codes, sign_codes
from opensearch_multimodal.cli import main
from opensearch_multimodal.client import Cluster
from opensearch_multimodal.errors import ModelMismatch
from opensearch_multimodal.mappings import describe
from opensearch_multimodal.models import (
    DraftOptions,
    draft_spec,
    load_rotation,
    load_rotation_spec,
    save_spec,
)
from opensearch_multimodal.search import Searcher
from opensearch_multimodal.search.sample import draw

__all__ = ["home", "tiny_home"]

NESTED = "tiny-nested"
RECORDS = 1300
Osmm = Callable[..., Result]


@pytest.fixture
def osmm(cluster: Cluster, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Osmm:
    """Run a command against the server, with a model whose vectors may be cut to 5 of 8 components."""
    monkeypatch.setenv("OPENSEARCH_URL", cluster.url)
    folder = tmp_path / "nested"
    folder.mkdir()
    tiny_models.write_text_model(folder / "model.onnx")
    tiny_models.write_tokenizer(folder / "tokenizer.json")
    save_spec(draft_spec(folder, NESTED, DraftOptions(pooling="mean", mrl_dimensions=[5])), folder)

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(main, list(arguments))
        assert result.exit_code == code, result.output + result.stderr
        return result

    return run


@pytest.fixture
def prefix(cluster: Cluster) -> Iterator[str]:
    chosen = f"vectors-{uuid.uuid4().hex[:8]}"
    yield chosen
    for name in cluster.get_index(f"{chosen}*"):
        cluster.delete_index(name)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    tiny_index.write_jsonl(folder / "corpus.jsonl", RECORDS)
    return folder


@pytest.fixture
def mapping(tmp_path: Path) -> str:
    body = tiny_index.body()
    fields = body["mappings"]["_meta"]["multimodal"]["fields"]
    fields["dense"]["model"] = NESTED
    profile = {"retrievers": [{"type": "binary", "field": "binary", "k": 100}]}
    body["mappings"]["_meta"]["multimodal"]["profiles"]["codes"] = profile
    for field in fields.values():
        field.pop("fingerprint", None)
    path = tmp_path / "body.json"
    path.write_text(json.dumps(body))
    return str(path)


def values(cluster: Cluster, name: str) -> dict[str, Any]:
    """Return id → stored source."""
    return tiny_index.stored(cluster, name)


def test_from_a_fitted_rotation_to_a_ranking(
    osmm: Osmm, cluster: Cluster, prefix: str, files: Path, mapping: str
) -> None:
    first, second = f"{prefix}-1", f"{prefix}-2"
    create = ("index", "create", "--mapping", mapping, "--dimension", "dense=5")
    osmm(*create, first)
    osmm("ingest", str(files), "--index", first, "--json")
    cluster.refresh(first)
    told = osmm("models", "fit-rotation", "turn", "--index", first, "--sample", "1250").output
    assert "learnt turn: 5 bits, 1250 vectors" in told
    spec = load_rotation_spec("turn")
    assert (spec.model, spec.dimension, spec.bits, spec.vectors, spec.queries) == (NESTED, 5, 5, 1250, 100)
    listed = json.loads(osmm("models", "rotations", "--json").output)
    assert [one["fingerprint"] for one in listed] == [spec.fingerprint]

    osmm(*create, "--rotation", "binary=turn", "--pooling", "multi_vector=2", second)
    osmm("ingest", str(files), "--index", second, "--json")
    plain, turned = values(cluster, first), values(cluster, second)
    assert len(turned) == RECORDS
    rotation = load_rotation(spec)
    differ = 0
    for key, source in turned.items():
        dense = np.array([source["dense"]], dtype=np.float32)
        assert dense.shape == (1, 5)
        assert source["dense"] == plain[key]["dense"]
        assert source["binary"] == rotated_codes(dense, rotation)[0].tolist()
        assert plain[key]["binary"] == sign_codes(dense)[0].tolist()
        differ += source["binary"] != plain[key]["binary"]
    assert differ > RECORDS / 2

    searcher = Searcher(cluster, second)
    hits = searcher.search("alpha beta", profile="codes", k=5).hits
    query = searcher._encoders.get("dense").encode_queries(["alpha beta"])[0]
    codes = np.unpackbits(rotated_query_codes(query[None], rotation).view(np.uint8))
    found = {}
    for key, source in turned.items():
        bits = np.unpackbits(np.array(source["binary"], dtype=np.int8).view(np.uint8))
        found[key] = int((bits != codes).sum())
    assert len(hits) == 5
    # 5 bits make 32 codes of 1,300 records: which of so many equals a graph finds is left to it.
    for hit in hits:
        assert hit.stages["first_stage"]["binary"]["score"] == pytest.approx(1 / (1 + found[hit.id]))
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits[0].score == pytest.approx(
        float(query @ np.array(turned[hits[0].id]["dense"], dtype=np.float32)), abs=1e-5
    )

    shown = osmm("index", "show", second).output
    assert "rotation turn" in shown
    assert "pooled by 2" in shown
    osmm("models", "fit-rotation", "turn", "--index", first, "--seed", "7", "--force")
    with pytest.raises(ModelMismatch, match="use the rotation 'turn' as it was"):
        Searcher(cluster, second).search("alpha", profile="codes")
    assert "use the rotation 'turn'" in osmm("ingest", str(files), "--index", second, code=1).stderr
    assert "is stamped with" in osmm("index", "stamp", second, code=1).stderr


def test_a_body_put_by_hand_is_stamped_with_its_rotation(
    osmm: Osmm, cluster: Cluster, prefix: str, files: Path, mapping: str
) -> None:
    first, second = f"{prefix}-1", f"{prefix}-2"
    osmm("index", "create", first, "--mapping", mapping)
    osmm("ingest", str(files), "--index", first, "--json")
    cluster.refresh(first)
    osmm("models", "fit-rotation", "turn", "--index", first, "--bits", "7")
    body = json.loads(Path(mapping).read_text())
    body["mappings"]["_meta"]["multimodal"]["fields"]["binary"] = {
        "derived_from": "dense", "transform": "itq", "rotation": "turn"
    }  # fmt: skip
    cluster.create_index(second, body)
    assert "osmm index stamp" in osmm("ingest", str(files), "--index", second, code=1).stderr
    osmm("index", "stamp", second)
    binary = describe(second, cluster.get_index(second)).meta.fields["binary"]
    assert binary.fingerprint == load_rotation_spec("turn").fingerprint  # type: ignore[union-attr]
    osmm("ingest", str(files), "--index", second, "--json")


def test_too_few_vectors_to_learn_from(
    osmm: Osmm, cluster: Cluster, prefix: str, files: Path, mapping: str
) -> None:
    tiny_index.write_jsonl(files / "corpus.jsonl", 30)
    osmm("index", "create", prefix, "--mapping", mapping)
    osmm("ingest", str(files), "--index", prefix, "--json")
    cluster.refresh(prefix)
    told = osmm("models", "fit-rotation", "turn", "--index", prefix, code=1).stderr
    assert "30 vectors are too few to learn 8 bits from" in " ".join(told.split())
    told = osmm("models", "fit-rotation", "turn", "--index", prefix, "--field", "multi_vector", code=1).stderr
    assert "holds multi-vectors" in " ".join(told.split())


@pytest.mark.parametrize("kind", ["--plugin", "--stock"])
def test_the_size_of_encodings_is_estimated(
    osmm: Osmm, cluster: Cluster, prefix: str, files: Path, mapping: str, tmp_path: Path, kind: str
) -> None:
    osmm("index", "create", prefix, "--mapping", mapping, kind)
    assert "need 2" in osmm("index", "size", prefix, code=1).stderr
    osmm("ingest", str(files), "--index", prefix, "--json")
    cluster.refresh(prefix)
    index = describe(prefix, cluster.get_index(prefix))
    sample = draw(cluster, index, "multi_vector", 50)
    assert len(sample.vectors) == len(sample.texts) == 50
    assert sample.texts == draw(cluster, index, "multi_vector", 50).texts
    assert sample.texts != draw(cluster, index, "multi_vector", 50, seed=2).texts

    queries = tmp_path / "queries.jsonl"
    queries.write_text(
        "\n".join(json.dumps({"_id": str(i), "text": t}) for i, t in enumerate(["alpha", "beta"]))
    )
    small, large = {"repetitions": 1, "simhash_bits": 0, "projection": 1}, {"repetitions": 40}
    arguments = ("index", "size", prefix, "--sample", "400", "--queries", str(queries), "--depth", "50")
    sets = ("--set", json.dumps(small), "--set", json.dumps(large))
    answer = json.loads(osmm(*arguments, *sets, "--json", "--target", "0").output)
    assert (answer["records"], answer["sample"], answer["queries"]) == (RECORDS, 400, 2)
    by_size = {one["bytes"]: one for one in answer["sets"]}
    assert set(by_size) == {1, 40 * 4 * 4, 8 * 4 * 4}  # what was asked for, and what the index has
    assert by_size[640]["recall"] >= by_size[1]["recall"]
    assert answer["recommended"]["repetitions"] == 1
    told = " ".join(osmm(*arguments, *sets, "--target", "0").output.split())
    assert "400 of 1300 records, 2 queries" in told
    assert "'fde' now" in told
    assert '--fde \'{"repetitions": 1, "simhash_bits": 0, "projection": 1}\'' in told
    assert "is not a set of" in osmm("index", "size", prefix, "--set", '{"colour": 1}', code=1).stderr
    assert "FDE fields: fde" in osmm("index", "size", prefix, "--field", "dense", code=1).stderr


def test_sentences_of_the_records_ask_where_nobody_does(
    osmm: Osmm, cluster: Cluster, prefix: str, files: Path, mapping: str
) -> None:
    osmm("index", "create", prefix, "--mapping", mapping)
    osmm("ingest", str(files), "--index", prefix, "--json")
    cluster.refresh(prefix)
    told = osmm("index", "size", prefix, "--sample", "500", "--most-queries", "20").output
    assert "500 of 1300 records, 20 sentences" in " ".join(told.split())
