"""Twelve questions in BEIR layout, each with the one page or passage that answers it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

__all__ = ["QUESTIONS", "write_questions"]


class Question(NamedTuple):
    """A question, what kind of evidence answers it, the answer, and the record that holds it."""

    text: str
    kind: str
    answer: str
    record: str


QUESTIONS = (
    Question(
        "How tight do the mast clamp bolts of the Skua 400 have to be?",
        "table",
        "18 N·m",
        "manuals/skua-400#p2",
    ),
    Question(
        "How much money did river samplers bring in during 2023?",
        "table",
        "2,975 thousand euros",
        "reports/annual-report-2024#p2",
    ),
    Question(
        "How many days does a Skua 200 last in the dark if it reports every 10 minutes?",
        "chart",
        "14 days",
        "manuals/skua-200#p3",
    ),
    Question(
        "In which quarter of 2025 were the most Skua 400 stations delivered?",
        "chart",
        "July to September, 318 stations",
        "reports/annual-report-2025#p3",
    ),
    Question(
        "When is it safe to go back to the mast after a lightning storm?",
        "image text",
        "30 minutes after the last thunder",
        "training/field-safety#p2",
    ),
    Question(
        "How heavy a load may one person carry?",
        "image text, table",
        "up to 20 kg",
        "training/field-safety#p3",
    ),
    Question(
        "What injured field crews most often?",
        "image text, chart",
        "falls from ladders, 13 of 32",
        "training/field-safety#p4",
    ),
    Question(
        "By how much was the harbour's anemometer off at 20 m/s?",
        "image text, table",
        "+0.6 m/s",
        "scans/calibration-certificate#p1",
    ),
    Question(
        "Which serial numbers get TW-88-2041-C?",
        "exact code",
        "S4-25-0112 to S4-25-0479",
        "bulletins/sb-031#p1",
    ),
    Question(
        "My colleague accidentally drank some of the solvent. What now?",
        "paraphrase",
        "rinse the mouth, do not induce vomiting, call a poison centre",
        "safety/contact-cleaner#p1",
    ),
    Question(
        "How do we keep wildlife from biting through our wires?",
        "paraphrase",
        "a stainless steel conduit around the lowest metre of every cable",
        "notes/moor-visit#c1",
    ),
    Question(
        "Can I hand in worn-out equipment, and what does that cost me?",
        "paraphrase",
        "yes, free of charge, carriage included",
        "reports/annual-report-2025#p4",
    ),
)


def write_questions(folder: Path) -> None:
    """Write ``queries.jsonl`` and ``qrels.tsv``."""
    folder.mkdir(parents=True, exist_ok=True)
    queries = [
        {"_id": f"q{n}", "text": q.text, "metadata": {"kind": q.kind, "answer": q.answer}}
        for n, q in enumerate(QUESTIONS, 1)
    ]
    lines = "".join(json.dumps(query, ensure_ascii=False) + "\n" for query in queries)
    (folder / "queries.jsonl").write_text(lines, encoding="utf-8")
    judgements = [f"q{n}\t{q.record}\t1\n" for n, q in enumerate(QUESTIONS, 1)]
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(judgements), encoding="utf-8")
