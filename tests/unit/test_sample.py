"""The sample that `make demo` ingests, and the questions about it, belong together."""

import json

from opensearch_multimodal import resources
from opensearch_multimodal.evaluation import read_qrels, read_queries
from opensearch_multimodal.sources import Document, SourceOptions, discover

FOLDER = resources.find("ingest/sample")


def test_every_judged_page_is_in_the_sample() -> None:
    found = list(discover([FOLDER / "documents"], SourceOptions(ocr="off")))
    assert all(isinstance(item, Document) for item in found)
    ids = {record_id for item in found if isinstance(item, Document) for record_id in item.record_ids}
    assert len(ids) >= 12
    qrels = read_qrels(FOLDER / "questions" / "qrels.tsv")
    judged = {record_id for judgements in qrels.values() for record_id in judgements}
    assert judged <= ids


def test_twelve_questions_some_of_them_only_by_image_text() -> None:
    questions = FOLDER / "questions"
    queries = read_queries(questions / "queries.jsonl")
    assert len(queries) == 12
    assert set(queries) == set(read_qrels(questions / "qrels.tsv"))
    lines = [json.loads(line) for line in (questions / "queries.jsonl").read_text("utf-8").splitlines()]
    kinds = [line["metadata"]["kind"] for line in lines]
    assert sum("image text" in kind for kind in kinds) >= 3
