"""Exported image models on the real server: page images ingested, found by text and by image.

The models are tiny and have random weights, so what they find means nothing: what is tested is that the
server ranks by exactly the vectors that the library's model gives.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_clip
import tiny_colpali
from PIL import Image
from recorder import Recorder

from opensearch_multimodal import resources
from opensearch_multimodal.client import Cluster
from opensearch_multimodal.encoder import IndexEncoders, OnnxEncoder, load
from opensearch_multimodal.export import ExportOptions, export_model, open_source
from opensearch_multimodal.ingest import ingest
from opensearch_multimodal.mappings import IndexDescription, build_body, describe, load_template
from opensearch_multimodal.maxsim import maxsim, stack
from opensearch_multimodal.models import load_spec
from opensearch_multimodal.search import Searcher
from opensearch_multimodal.sources import Document, Record, SourceOptions, discover

DOCUMENTS = resources.find("ingest/sample/documents")
QUESTIONS = ("how is the rain gauge cleaned", "annual report", "wiring of the station")
Create = Callable[[dict[str, Any]], IndexDescription]


@pytest.fixture(scope="module")
def pages() -> dict[str, Image.Image]:
    """Record id → image, of every page of the sample."""
    return {
        record.id: record.image
        for document in discover([DOCUMENTS], SourceOptions(ocr="off", render=True))
        if isinstance(document, Document)
        for record in document.records()
        if isinstance(record, Record) and record.image is not None
    }


@pytest.fixture
def create(cluster: Cluster, tmp_path: Path) -> Iterator[Create]:
    """Make an index with this body and ingest the sample into it."""
    name = f"exported-{uuid.uuid4().hex[:8]}"

    def made(body: dict[str, Any]) -> IndexDescription:
        cluster.create_index(name, body)
        index = describe(name, cluster.get_index(name))
        letters = tmp_path / "dead.jsonl"
        report = ingest(
            cluster,
            index,
            [DOCUMENTS],
            IndexEncoders(index),
            options=SourceOptions(ocr="off"),
            dead_letters=letters,
            listener=Recorder(),
        )
        assert report.complete
        cluster.refresh(name)
        return index

    yield made
    cluster.delete_index(name)


def exported(folder: Path, kind: Any) -> OnnxEncoder:
    return load(export_model(open_source(str(folder)), "tiny-images", ExportOptions(kind=kind)).spec)


def test_a_clip_finds_pages_by_text_and_by_image(
    cluster: Cluster, create: Create, pages: dict[str, Image.Image], tmp_path: Path
) -> None:
    encoder = exported(tiny_clip.make(tmp_path / "clip"), "dense")
    body = build_body(load_template("images"), load_spec, models={"image_dense": "tiny-images"})
    index = create(body)
    ids = list(pages)
    vectors = encoder.encode_pages(list(pages.values()))
    searcher = Searcher(cluster, index)
    for question in QUESTIONS:
        expected = vectors @ encoder.encode_queries([question])[0]
        hits = searcher.search(question, profile="image", k=len(ids)).hits
        assert sorted(hit.id for hit in hits) == sorted(ids)
        by_id = dict(zip(ids, expected, strict=True))
        assert [hit.score for hit in hits] == pytest.approx([by_id[hit.id] for hit in hits], abs=1e-5)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    for record in ids[::7]:
        first = searcher.search(query_image=pages[record], k=1).hits[0]
        same = {
            other
            for other, vector in zip(ids, vectors, strict=True)
            if vector @ vectors[ids.index(record)] > 1 - 1e-6
        }
        assert first.id in same
        assert first.score == pytest.approx(1, abs=1e-5)


def test_a_colpali_finds_pages_by_text_and_by_image(
    cluster: Cluster, create: Create, pages: dict[str, Image.Image], tmp_path: Path
) -> None:
    encoder = exported(tiny_colpali.make(tmp_path / "colpali"), "multi_vector")
    index = create(page_body())
    assert index.source_field("multi_vector").input == "image"
    ids = list(pages)
    stacked = stack(encoder.encode_pages(list(pages.values())))
    searcher = Searcher(cluster, index)
    everything = {"retrievers": [{"type": "fde", "field": "fde", "k": len(ids)}]}
    queries = [({"query_text": question}, encoder.encode_queries([question])[0]) for question in QUESTIONS]
    queries += [({"query_image": pages[ids[3]]}, encoder.encode_pages([pages[ids[3]]])[0])]
    for asked, query in queries:
        expected = dict(zip(ids, maxsim(query, stacked), strict=True))
        hits = searcher.search(**asked, profile="late_interaction", k=len(ids), overrides=everything).hits
        assert sorted(hit.id for hit in hits) == sorted(ids)
        # Kept as float32 in the index.
        assert [hit.score for hit in hits] == pytest.approx([expected[hit.id] for hit in hits], rel=1e-5)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits[0].score == pytest.approx(len(queries[-1][1]), rel=1e-4)  # each patch finds itself


def page_body() -> dict[str, Any]:
    """Return the shipped body of pages with multi-vectors of images, and no vectors of texts."""
    template = copy.deepcopy(load_template("pages"))
    meta = template["mappings"]["_meta"]["multimodal"]
    fde = {"repetitions": 4, "simhash_bits": 3, "projection": 8}
    meta["fields"] = {
        "multi_vector": {"model": "tiny-images", "input": "image", "encoding": "float32"},
        "fde": meta["fields"]["fde"] | fde,
    }
    meta["profiles"] = {name: meta["profiles"][name] for name in ("bm25", "late_interaction")}
    for name in ("dense", "binary"):
        del template["mappings"]["properties"][name]
    return build_body(template, load_spec)
