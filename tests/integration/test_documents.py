"""Documents from pages on the real server: by collapse and by our own roll-up, by command and service."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_index
from click.testing import CliRunner
from services import serving

from opensearch_multimodal.cli import main
from opensearch_multimodal.client import Cluster
from opensearch_multimodal.encoder import FieldEncoder, IndexEncoders, load
from opensearch_multimodal.models import load_spec
from opensearch_multimodal.search import Searcher, SearchResult
from opensearch_multimodal.search.document_stage import DocumentStage
from opensearch_multimodal.search.rerank import RecordContent

PAGES, DOCUMENTS = 72, 12
QUESTION = "alpha beta"


@pytest.fixture(scope="module")
def indices(server: Any, home: Path) -> Iterator[dict[int, str]]:
    """Number of shards → an index of the same documents of six pages each."""
    cluster, names = Cluster(server.url), {}
    texts = list(itertools.islice(tiny_index.texts(PAGES * 3), 0, None, 3))
    for shards in (1, 3):
        name = names[shards] = f"documents-{shards}-{uuid.uuid4().hex[:8]}"
        encoder = FieldEncoder(index := tiny_index.create(cluster, name, shards=shards), IndexEncoders(index))
        lines: list[str] = []
        for number, text in enumerate(texts):
            document, page = f"d{number % DOCUMENTS}", number // DOCUMENTS + 1
            [vectors] = encoder.encode([RecordContent("", text)])
            values = {key: np.asarray(value).tolist() for key, value in encoder.values(vectors).items()}
            record = {"document_id": document, "page": page, "text": text, "title": f"title of {document}"}
            lines += [
                json.dumps({"index": {"_id": f"{document}#p{page}"}}),
                json.dumps(record | {"metadata": {"parity": str(page % 2)}} | values),
            ]
        items = cluster.bulk(name, ("\n".join(lines) + "\n").encode())
        assert all(item.status == 201 for item in items), items[0]
        cluster.refresh(name)
    yield names
    for name in names.values():
        cluster.delete_index(name)


def search(cluster: Cluster, name: str, profile: str, k: int = DOCUMENTS, **documents: Any) -> SearchResult:
    return Searcher(cluster, name).search(QUESTION, profile=profile, k=k, overrides={"documents": documents})


def shape(result: SearchResult) -> list[tuple[str, float, list[str]]]:
    assert result.documents is not None
    return [
        (one.id, pytest.approx(one.score, rel=1e-5, abs=1e-5), [page.id for page in one.pages])
        for one in result.documents
    ]


@pytest.mark.parametrize("profile", ["bm25", "dense"])
def test_collapse_gives_what_the_roll_up_gives(
    cluster: Cluster, indices: dict[int, str], profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = DocumentStage._collapse

    def noted(self: DocumentStage, *arguments: Any) -> Any:
        asked.append("collapse")
        return real(self, *arguments)

    monkeypatch.setattr(DocumentStage, "_collapse", noted)
    everything = {
        "retrievers": [{"type": profile, "field": "text" if profile == "bm25" else profile, "k": PAGES}]
    }

    def run() -> SearchResult:
        return Searcher(cluster, indices[1]).search(
            QUESTION,
            profile=profile,
            k=5,
            overrides={"documents": {"method": "max", "pages": 2}, **everything},
        )

    collapsed = run()
    monkeypatch.setattr(DocumentStage, "_collapses", lambda *_: False)
    rolled = run()
    assert asked == ["collapse"]
    assert [one.score for one in collapsed.documents or ()] == pytest.approx(
        [one.score for one in rolled.documents or ()], rel=1e-5
    )
    for one, other in zip(collapsed.documents or (), rolled.documents or (), strict=True):
        assert [page.score for page in one.pages] == pytest.approx([p.score for p in other.pages], rel=1e-5)
    assert len(collapsed.documents or ()) == 5
    assert [hit.id for hit in collapsed.hits] == [hit.id for hit in rolled.hits]


def test_collapse_finds_documents_beyond_the_first_pages(cluster: Cluster, indices: dict[int, str]) -> None:
    shallow = [{"type": "bm25", "field": "text", "k": 1}]
    overrides = {"retrievers": shallow, "documents": {"method": "max", "pages": 1}}
    result = Searcher(cluster, indices[1]).search(QUESTION, profile="bm25", k=4, overrides=overrides)
    assert len(result.documents or ()) == 4
    assert len({one.id for one in result.documents or ()}) == 4
    assert len(result.hits) == 4


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("profile", ["bm25", "hybrid", "gqr"])
def test_documents_follow_their_best_pages(
    cluster: Cluster, indices: dict[int, str], shards: int, profile: str
) -> None:
    result = search(cluster, indices[shards], profile, k=PAGES, method="max", pages=2)
    pages = [hit.id for hit in result.hits]
    assert pages, "the pages are answered as before"
    first: dict[str, list[str]] = {}
    for page in pages:
        first.setdefault(page.partition("#")[0], []).append(page)
    found = {one.id: [page.id for page in one.pages] for one in result.documents or ()}
    assert found.keys() == first.keys()
    best = {hit.id: hit.score for hit in result.hits}
    for one in result.documents or ():
        assert one.score == pytest.approx(max(best[page] for page in first[one.id]), rel=1e-5)
        assert one.score == one.pages[0].score
        assert len(one.pages) == min(2, len(first[one.id]))
    scores = [one.score for one in result.documents or ()]
    assert scores == sorted(scores, reverse=True)


def test_the_best_pages_add_up(cluster: Cluster, indices: dict[int, str]) -> None:
    result = search(cluster, indices[1], "hybrid", k=PAGES, method="sum_top", n=3, pages=3)
    lowest = min(hit.score for hit in result.hits)
    assert len(result.hits) == PAGES
    for one in result.documents or ():
        of_it = sorted((h.score for h in result.hits if h.source["document_id"] == one.id), reverse=True)
        assert one.score == pytest.approx(sum(score - lowest for score in of_it[:3]))
        assert [page.score for page in one.pages] == pytest.approx(of_it[:3])


@pytest.mark.parametrize("condition", [None, {"term": {"metadata.parity": "1"}}])
def test_a_merged_vector_is_the_mean_of_the_pages_that_may_be_seen(
    cluster: Cluster, indices: dict[int, str], condition: Any
) -> None:
    result = Searcher(cluster, indices[3]).search(
        QUESTION,
        profile="hybrid",
        k=DOCUMENTS,
        filter=condition,
        overrides={"documents": {"method": "mean_vector"}},
    )
    [query] = load(load_spec(tiny_index.DENSE)).encode_queries([QUESTION])
    records = tiny_index.stored(cluster, indices[3])
    assert len(result.documents or ()) == DOCUMENTS
    for one in result.documents or ():
        vectors = [
            record["dense"]
            for record in records.values()
            if record["document_id"] == one.id and (condition is None or record["metadata"]["parity"] == "1")
        ]
        mean = np.mean(vectors, axis=0)
        assert one.score == pytest.approx(float(mean @ query / np.linalg.norm(mean)), abs=1e-5)
    scores = [one.score for one in result.documents or ()]
    assert scores == sorted(scores, reverse=True)


def test_nothing_found_is_no_document(cluster: Cluster, indices: dict[int, str]) -> None:
    nothing = {"term": {"metadata.parity": "7"}}
    for method in ("max", "sum_top", "mean_vector"):
        result = Searcher(cluster, indices[1]).search(
            QUESTION, profile="hybrid", filter=nothing, overrides={"documents": {"method": method}}
        )
        assert (result.documents, result.hits) == ((), ())


def test_too_few_documents_are_told(cluster: Cluster, indices: dict[int, str]) -> None:
    result = search(cluster, indices[1], "hybrid", k=DOCUMENTS + 1, method="max")
    assert result.notes == (f"{DOCUMENTS} documents: the {result.candidates} candidates belong to no more",)


def test_the_command_shows_documents_with_their_pages(server: Any, indices: dict[int, str]) -> None:
    arguments = ["search", indices[1], QUESTION, "--profile", "hybrid", "-k", "2", "--url", server.url]
    shown = CliRunner().invoke(main, [*arguments, "--documents"])
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines()[0].startswith(" 1  d")
    assert shown.stdout.count("title of d") == 2
    assert shown.stdout.count("page ") == 6
    printed = CliRunner().invoke(main, [*arguments, "--documents", "--json"])
    [first, second] = json.loads(printed.stdout)["documents"]
    assert first["score"] >= second["score"]
    assert [page["source"]["document_id"] for page in first["pages"]] == [first["id"]] * 3
    assert json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)["documents"] is None


def test_the_service_answers_documents_to_a_search_and_pages_to_a_ranking(
    server: Any, cluster: Cluster, indices: dict[int, str]
) -> None:
    overrides = {"documents": {"method": "sum_top", "pages": 2}}
    question = {
        "indices": [indices[1]],
        "query_text": QUESTION,
        "profile": "hybrid",
        "k": 6,
        "preference": "same",
    }
    expected = search(cluster, indices[1], "hybrid", k=6, method="sum_top", pages=2)
    with serving("--url", server.url) as service:
        found = service.post("/v1/search", question | {"overrides": overrides}).json()
        ranked = service.post("/v1/rank", question | {"overrides": overrides}).json()
    assert [(d["id"], d["score"], [p["id"] for p in d["pages"]]) for d in found["documents"]] == shape(
        expected
    )
    assert [hit["id"] for hit in ranked["hits"]] == [hit.id for hit in expected.hits]
    assert set(ranked) == {"hits", "degraded", "timings_ms"}


@pytest.mark.parametrize("profile", ["bm25", "hybrid"])
def test_a_record_without_a_document_is_its_own(cluster: Cluster, home: Path, profile: str) -> None:
    name = f"documents-{uuid.uuid4().hex[:8]}"
    tiny_index.create(cluster, name)
    names = [f"r{number}" for number in range(6)]  # more than the pages shown of one document
    lines = [part for one in names for part in (f'{{"index": {{"_id": "{one}"}}}}', '{"text": "alpha beta"}')]
    cluster.bulk(name, "\n".join(lines).encode() + b"\n")
    cluster.refresh(name)
    result = search(cluster, name, profile, k=6, method="max", pages=2)
    assert {one.id for one in result.documents or ()} == set(names)
    cluster.delete_index(name)


def test_a_record_of_no_document_has_its_own_vector(cluster: Cluster, home: Path) -> None:
    name = f"documents-{uuid.uuid4().hex[:8]}"
    encoder = FieldEncoder(index := tiny_index.create(cluster, name), IndexEncoders(index))
    lines: list[str] = []
    for key, document, text in (
        ("a#p1", "a", "gamma"),
        ("a#p2", "a", "gamma beta"),
        ("loose", None, QUESTION),
    ):
        [vectors] = encoder.encode([RecordContent("", text)])
        values = {key: np.asarray(value).tolist() for key, value in encoder.values(vectors).items()}
        named = {"document_id": document} if document else {}
        lines += [json.dumps({"index": {"_id": key}}), json.dumps({"text": text} | named | values)]
    assert all(one.status == 201 for one in cluster.bulk(name, ("\n".join(lines) + "\n").encode()))
    cluster.refresh(name)
    result = search(cluster, name, "dense", method="mean_vector")
    assert [one.id for one in result.documents or ()] == ["loose", "a"]
    query = load(load_spec(tiny_index.DENSE)).encode_queries([QUESTION])[0]
    stored = np.array(tiny_index.stored(cluster, name)["loose"]["dense"], dtype=np.float32)
    assert (result.documents or ())[0].score == pytest.approx(float(query @ stored), abs=1e-5)
    cluster.delete_index(name)
