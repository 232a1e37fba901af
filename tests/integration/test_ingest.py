"""Ingest into the real server: once, whole, and nothing else lost when something goes wrong."""

from __future__ import annotations

import base64
import json
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kill_ingest
import numpy as np
import pytest
import tiny_index
import tiny_models
from homes import home, tiny_home
from PIL import Image
from recorder import Recorder
from reportlab.pdfgen import canvas

from opensearch_multimodal import fde, wire
from opensearch_multimodal.binarize import sign_codes
from opensearch_multimodal.client import Cluster
from opensearch_multimodal.encoder import IndexEncoders
from opensearch_multimodal.errors import ClusterNotFound, ClusterRefused, InvalidInput, ModelMismatch
from opensearch_multimodal.ingest import Report, ingest
from opensearch_multimodal.mappings import FdeField, IndexDescription, describe, fde_parameters
from opensearch_multimodal.models import DraftOptions, draft_spec, save_spec
from opensearch_multimodal.sources import SourceOptions

__all__ = ["home", "tiny_home"]

Ingest = Callable[..., Report]


@pytest.fixture
def index(cluster: Cluster, home: Path) -> Iterator[IndexDescription]:
    name = f"ingest-{uuid.uuid4().hex[:8]}"
    yield tiny_index.create(cluster, name)
    cluster.delete_index(name)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


@pytest.fixture
def run(cluster: Cluster, index: IndexDescription, files: Path, tmp_path: Path) -> Ingest:
    """Ingest ``files``; keywords change the call."""

    def call(listener: Recorder | None = None, **changes: Any) -> Report:
        arguments: dict[str, Any] = {
            "options": SourceOptions(ocr="off"),
            "dead_letters": tmp_path / "dead.jsonl",
            "listener": listener or Recorder(),
            **changes,
        }
        paths = arguments.pop("paths", [files])
        return ingest(cluster, index, paths, IndexEncoders(index), **arguments)

    return call


def write_pdf(path: Path, *pages: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    page = canvas.Canvas(str(path), invariant=1)
    for text in pages:
        page.drawString(72, 720, text)
        page.showPage()
    page.save()


def letters(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "dead.jsonl").read_text().splitlines()]


def test_every_field_is_written(cluster: Cluster, index: IndexDescription, files: Path, run: Ingest) -> None:
    write_pdf(files / "a" / "one.pdf", "alpha beta gamma alpha beta gamma", "gamma gamma gamma gamma gamma")
    (files / "note.txt").write_text("alpha beta")
    (files / "note.txt.meta.json").write_text('{"acl": ["crew"], "language": "en"}')
    listener = Recorder()
    report = run(listener, options=SourceOptions(ocr="off", acl=("all",)))
    assert (report.written, report.complete) == (3, True)
    assert listener.advanced == 3
    records = tiny_index.stored(cluster, index.name)
    assert set(records) == {"a/one#p1", "a/one#p2", "note#c1"}
    page = records["a/one#p1"]
    assert page["page"] == 1
    assert page["acl"] == ["all"]
    assert records["note#c1"]["acl"] == ["crew"]
    assert records["note#c1"]["metadata"]["language"] == "en"
    assert page["metadata"]["path"] == "a/one.pdf"
    assert page["image_uri"].endswith("one.pdf#page=1")
    assert "image" not in page
    dense = np.array(page["dense"], dtype=np.float32)
    multi_vector = wire.unpack(base64.b64decode(page["multi_vector"]))
    assert np.linalg.norm(dense) == pytest.approx(1, abs=1e-6)
    assert page["binary"] == sign_codes(dense[None, :])[0].tolist()
    field = index.meta.fields["fde"]
    assert isinstance(field, FdeField)
    expected = fde.quantize_document(fde.encode_document(multi_vector, fde_parameters(field)))
    # int8 rows against float rows: near a hyperplane a row may change its bucket
    assert np.corrcoef(np.array(page["fde"]), expected)[0, 1] > 0.95


def test_repeating_writes_nothing(files: Path, run: Ingest) -> None:
    tiny_index.write_jsonl(files / "corpus.jsonl", 30)
    write_pdf(files / "one.pdf", "alpha beta gamma alpha beta", "gamma alpha beta gamma beta")
    assert run().written == 32
    again = run()
    assert (again.written, again.unchanged, again.deleted) == (0, 32, 0)


def test_changed_file_is_replaced_whole(
    cluster: Cluster, index: IndexDescription, files: Path, run: Ingest
) -> None:
    write_pdf(files / "one.pdf", *["alpha beta gamma alpha beta"] * 3)
    write_pdf(files / "two.pdf", "beta beta beta beta beta beta")
    run()
    write_pdf(files / "one.pdf", *["gamma alpha gamma alpha gamma"] * 2)
    report = run()
    assert (report.written, report.unchanged, report.deleted) == (2, 1, 1)
    records = tiny_index.stored(cluster, index.name)
    assert set(records) == {"one#p1", "one#p2", "two#p1"}
    assert records["one#p1"]["text"].startswith("gamma")


def test_prune_deletes_what_is_gone_and_only_that(
    cluster: Cluster, index: IndexDescription, files: Path, tmp_path: Path, run: Ingest
) -> None:
    for name in ("gone", "kept", "broken"):
        (files / f"{name}.txt").write_text("alpha beta")
    other = tmp_path / "other"
    other.mkdir()
    (other / "elsewhere.txt").write_text("gamma")
    run(paths=[files, other])
    (files / "gone.txt").unlink()
    (files / "broken.txt").write_bytes(b"\0\1\2\3binary")
    assert run().pruned == 0
    report = run(prune=True)
    assert report.pruned == 1
    assert [item.path.name for item in report.unreadable] == ["broken.txt"]
    assert set(tiny_index.stored(cluster, index.name)) == {"kept#c1", "broken#c1", "elsewhere#c1"}


def test_prune_spares_everything_when_a_root_cannot_be_listed(
    cluster: Cluster,
    index: IndexDescription,
    files: Path,
    tmp_path: Path,
    run: Ingest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (files / "mine.txt").write_text("alpha")
    (other / "theirs.txt").write_text("beta")
    run(paths=[files, other])
    listdir = os.listdir

    def closed(path: Any = ".") -> list[str]:
        if Path(os.fsdecode(path)) == other:
            raise PermissionError(13, "Permission denied", str(other))
        return listdir(path)

    monkeypatch.setattr(os, "listdir", closed)
    report = run(paths=[other], prune=True)
    assert (report.pruned, len(report.unreadable)) == (0, 1)
    (files / "mine.txt").unlink()
    (files / "new.txt").write_text("gamma")
    assert run(paths=[files, other], prune=True).pruned == 1
    assert set(tiny_index.stored(cluster, index.name)) == {"theirs#c1", "new#c1"}


def test_a_document_of_another_file_is_not_replaced_unasked(
    cluster: Cluster, index: IndexDescription, files: Path, tmp_path: Path, run: Ingest
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (files / "pump.txt").write_text("alpha")
    (other / "pump.txt").write_text("beta")
    run()
    listener = Recorder()
    report = run(listener, paths=[other], prune=True)
    assert (report.written, report.complete) == (0, False)
    assert "from another file" in listener.failures[0]
    assert tiny_index.stored(cluster, index.name)["pump#c1"]["text"] == "alpha"
    assert run(paths=[files / "pump.txt"]).complete  # the same file, named otherwise
    assert run(paths=[other], replace_others=True).written == 1
    assert tiny_index.stored(cluster, index.name)["pump#c1"]["text"] == "beta"


def test_an_index_deleted_meanwhile_stops_the_run(
    cluster: Cluster, index: IndexDescription, files: Path, run: Ingest
) -> None:
    tiny_index.write_jsonl(files / "corpus.jsonl", 300)

    class Deleting(Recorder):
        def advance(self, records: int) -> None:
            if records and self.advanced == 0:
                cluster.delete_index(index.name)
            super().advance(records)

    with pytest.raises(ClusterRefused, match="was deleted or made anew"):
        run(Deleting(), patience=5)
    with pytest.raises(ClusterNotFound):
        cluster.get_index(index.name)
    cluster.create_index(index.name, {})


def test_a_number_that_json_cannot_hold_is_set_aside_alone(
    cluster: Cluster, index: IndexDescription, files: Path, tmp_path: Path, run: Ingest
) -> None:
    rows = [{"_id": "good", "text": "alpha"}, {"_id": "bad", "text": "beta", "isbn": 10**30}]
    (files / "corpus.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    report = run()
    assert (report.written, report.refused) == (1, 1)
    assert letters(tmp_path)[0]["id"] == "bad"
    assert set(tiny_index.stored(cluster, index.name)) == {"good"}


def test_prune_of_one_jsonl_file_leaves_its_neighbours(
    cluster: Cluster, index: IndexDescription, files: Path, run: Ingest
) -> None:
    tiny_index.write_jsonl(files / "records.jsonl", 4)
    (files / "note.txt").write_text("alpha")
    run(paths=[files / "records.jsonl", files / "note.txt"])
    tiny_index.write_jsonl(files / "records.jsonl", 2)
    assert run(paths=[files / "records.jsonl"], prune=True).pruned == 2
    assert set(tiny_index.stored(cluster, index.name)) == {"r0", "r1", "note#c1"}


def test_broken_pdf_among_good_ones_is_named_and_skipped(
    cluster: Cluster, index: IndexDescription, files: Path, run: Ingest
) -> None:
    write_pdf(files / "good.pdf", "alpha beta gamma alpha beta")
    (files / "bad.pdf").write_bytes((files / "good.pdf").read_bytes()[:150])
    (files / "fine.txt").write_text("alpha")
    listener = Recorder()
    report = run(listener)
    assert not report.complete
    assert [item.path.name for item in report.unreadable] == ["bad.pdf"]
    assert any("bad.pdf" in failure for failure in listener.failures)
    assert set(tiny_index.stored(cluster, index.name)) == {"good#p1", "fine#c1"}


def test_nan_vector_is_set_aside_alone(
    cluster: Cluster, index: IndexDescription, files: Path, tmp_path: Path, run: Ingest
) -> None:
    rows = [
        {"_id": "good", "text": "alpha"},
        {"_id": "bad", "text": "alpha nan"},
        {"_id": "fine", "text": "beta"},
    ]
    (files / "corpus.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    report = run()
    assert (report.written, report.refused) == (2, 1)
    (letter,) = letters(tmp_path)
    assert (letter["id"], letter["type"], letter["status"]) == ("bad", "invalid_input", None)
    assert "nan" in letter["reason"].lower()
    assert set(tiny_index.stored(cluster, index.name)) == {"good", "fine"}


def test_what_the_cluster_refuses_for_good_goes_to_the_dead_letters(
    cluster: Cluster, index: IndexDescription, files: Path, tmp_path: Path, run: Ingest
) -> None:
    long_key = {"x" * 40_000: "value"}  # over the limit of a flat_object's key
    rows = [{"_id": "good", "text": "alpha"}, {"_id": "bad", "text": "beta", **long_key}]
    (files / "corpus.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    report = run()
    assert (report.written, report.refused, report.complete) == (1, 1, False)
    (letter,) = letters(tmp_path)
    assert letter["id"] == "bad"
    assert letter["status"] == 400
    assert letter["reason"]
    (files / "corpus.jsonl").write_text(
        "\n".join(json.dumps(row) for row in [rows[0], {"_id": "bad", "text": "beta"}])
    )
    assert run().written == 1
    assert set(tiny_index.stored(cluster, index.name)) == {"good", "bad"}


def test_wrong_dimension_is_refused_before_anything_is_written(
    cluster: Cluster, files: Path, home: Path, tmp_path: Path
) -> None:
    name = f"ingest-{uuid.uuid4().hex[:8]}"
    wrong = tiny_index.body()
    wrong["mappings"]["properties"]["dense"]["dimension"] = tiny_models.DIMENSION * 2
    cluster.create_index(name, wrong)
    (files / "a.txt").write_text("alpha")
    described = describe(name, cluster.get_index(name))
    with pytest.raises(InvalidInput, match=r"field 'dense'.*has dimension 16, model 'tiny-dense' gives 8"):
        ingest(
            cluster,
            described,
            [files],
            IndexEncoders(described),
            options=SourceOptions(),
            dead_letters=tmp_path / "dead.jsonl",
            listener=Recorder(),
        )
    assert tiny_index.stored(cluster, name) == {}
    cluster.delete_index(name)


def test_wrong_fingerprint_is_refused_before_anything_is_read(
    cluster: Cluster, index: IndexDescription, files: Path, home: Path, run: Ingest, tmp_path: Path
) -> None:
    (files / "a.txt").write_text("alpha")
    changed = tmp_path / "changed"
    changed.mkdir()
    tiny_models.write_text_model(changed / "model.onnx")
    tiny_models.write_tokenizer(changed / "tokenizer.json")
    options = DraftOptions(kind="dense", pooling="mean", query_prefix="query: ")
    save_spec(draft_spec(changed, tiny_index.DENSE, options), changed, force=True)
    with pytest.raises(ModelMismatch, match="field 'dense'"):
        run()
    assert tiny_index.stored(cluster, index.name) == {}


def test_429_of_a_full_disk_is_waited_for(
    cluster: Cluster, index: IndexDescription, files: Path, run: Ingest
) -> None:
    """The block that the flood-stage watermark sets answers every item of a bulk request with 429."""
    tiny_index.write_jsonl(files / "corpus.jsonl", 300)
    block = "index.blocks.read_only_allow_delete"
    cluster.call("PUT", f"/{index.name}/_settings", {block: True})
    seen = cluster.bulk(index.name, b'{"index": {"_id": "x"}}\n{"text": "alpha"}\n')
    assert [item.status for item in seen] == [429]

    def free() -> None:
        time.sleep(2)
        cluster.call("PUT", f"/{index.name}/_settings", {block: None})

    helper = threading.Thread(target=free)
    helper.start()
    report = run(patience=60)
    helper.join()
    assert (report.written, report.refused) == (300, 0)
    assert len(tiny_index.stored(cluster, index.name)) == 300


def test_partial_update_keeps_the_vectors(
    cluster: Cluster, index: IndexDescription, files: Path, run: Ingest
) -> None:
    (files / "a.txt").write_text("alpha beta")
    run()
    before = tiny_index.stored(cluster, index.name)["a#c1"]
    cluster.call("POST", f"/{index.name}/_update/a%23c1", {"doc": {"metadata": {"reviewed": "yes"}}})
    after = tiny_index.stored(cluster, index.name)["a#c1"]
    assert after["metadata"]["reviewed"] == "yes"
    for field in ("dense", "binary", "fde", "multi_vector", "text"):
        assert after[field] == before[field]
    ids = {"query": {"ids": {"values": ["a#c1"]}}, "stored_fields": ["multi_vector"]}
    hit = cluster.search(index.name, ids)["hits"]["hits"][0]
    assert hit["fields"]["multi_vector"] == [before["multi_vector"]]


def test_images_are_kept_if_asked(
    cluster: Cluster, index: IndexDescription, files: Path, run: Ingest
) -> None:
    Image.new("RGB", (40, 30), "white").save(files / "scan.png")
    listener = Recorder()
    report = run(listener, keep_images=True)
    assert (report.written, report.without_text) == (1, 1)
    (record,) = tiny_index.stored(cluster, index.name).values()
    assert base64.b64decode(record["image"]).startswith(b"\x89PNG")
    assert "dense" not in record
    assert any("text" in warning for warning in listener.warnings)


def test_kill_9_at_any_moment_loses_and_doubles_nothing(
    cluster: Cluster, index: IndexDescription, files: Path, home: Path, run: Ingest
) -> None:
    """Killed at 20 random moments, then run to its end: the same ids and vectors as without."""
    tiny_index.write_jsonl(files / "corpus.jsonl", 1200)
    for number in range(6):
        write_pdf(
            files / f"doc{number}.pdf",
            *[f"alpha beta gamma alpha beta {text}" for text in tiny_index.texts(25)],
        )
    total = 1200 + 6 * 25
    reference = tiny_index.create(cluster, f"{index.name}-reference")
    process = kill_ingest.start(files, reference.name, cluster.url, home)
    started = time.monotonic()
    out, err = kill_ingest.finish(process, seconds=300)
    seconds = time.monotonic() - started
    assert process.returncode == 0, err
    assert json.loads(out)["written"] == total
    expected = tiny_index.stored(cluster, reference.name)
    chance = random.Random(20)
    kills, rounds, partial = 0, 0, 0
    while kills < 20:
        rounds += 1
        assert rounds < 60
        victim = kill_ingest.start(files, index.name, cluster.url, home)
        kills += kill_ingest.kill_after(victim, chance.uniform(0.1, 0.9) * seconds)
        there = sorted(tiny_index.stored(cluster, index.name))
        partial += 0 < len(there) < total
        if kills < 20:  # leave the next round as much to do
            gone = chance.sample(there, len(there) * 3 // 4)
            cluster.delete_by_query(index.name, {"ids": {"values": gone}})
    assert partial >= 3, "hardly any kill hit while records were being written"
    last = run(options=SourceOptions())
    assert last.complete
    assert last.written + last.unchanged == total
    assert tiny_index.stored(cluster, index.name) == expected
    cluster.delete_index(reference.name)
