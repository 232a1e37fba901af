"""What a score says of a record that has no text."""

from __future__ import annotations

from opensearch_multimodal.mappings import build_body, describe, load_template
from opensearch_multimodal.models import load_spec
from opensearch_multimodal.search.scoring import NO_VECTOR, mark_textless
from opensearch_multimodal.types import Candidate


def test_bm25_has_no_word_on_records_without_text() -> None:
    body = build_body(load_template("pages"), load_spec)
    index = describe("x", {"x": {"mappings": body["mappings"], "settings": {"index": {}}}})
    textless = Candidate("a", "x", scores={"text": 0.0, "dense": NO_VECTOR})
    no_match = Candidate("b", "x", scores={"text": 0.0, "dense": 0.4})
    match = Candidate("c", "x", scores={"text": 3.0, "dense": NO_VECTOR})
    for fields in (["dense"], []):
        found = [one.copy() for one in (textless, no_match, match)]
        mark_textless(index, found, fields)
        expected = NO_VECTOR if fields else 0.0
        assert [one.scores["text"] for one in found] == [expected, 0.0, 3.0]
