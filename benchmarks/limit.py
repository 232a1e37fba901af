"""What single vectors cannot do: the LIMIT construction, through the real server and the default models.

Weller, Boratko, Naim and Lee, "On the Theoretical Limitations of Embedding-Based Retrieval", 2025,
arXiv:2508.21038. 46 people each like 45 things; each of the 1,035 things is liked by exactly two of them, so
that the 1,035 questions "Who likes ...?" have as their answers all pairs of the 46 records. Words never
mislead: a thing is one word, and a record names it or does not. But a vector of d dimensions can have only so
many pairs of records as its two nearest. Then the same questions among 954 more people, who like other
things.

Everything is generated here: things are words of the default model's vocabulary, people are made of two
names. Recall@n is the share of the two answers among the first n. `late_interaction` finds its candidates by
their FDEs, which are single vectors too; "every record" scores all of them by MaxSim.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import common
import numpy as np

from opensearch_multimodal.client import Cluster
from opensearch_multimodal.evaluation import run_profiles
from opensearch_multimodal.models import load_spec, locate
from opensearch_multimodal.search import Searcher

PEOPLE = 46
OTHERS = 954
LIKES = PEOPLE - 1
POOL = 900
SEED = 7
TAKEN = {"their", "there", "these", "likes", "liked"}
"""Stop words of the analyzer, and the word of the question."""

EVERY = "late_interaction, every record"
PROFILES = ("dense", "late_interaction", EVERY, "bm25", "hybrid", "gqr")
ALL = {"retrievers": [{"type": "fde", "field": "fde", "k": PEOPLE + OTHERS}]}
CUTS = (2, 10, 20)
FIRST = (
    "Ada Boris Clara David Elena Felix Greta Hugo Irene Jonas Karin Leo Mira Nils Olga Peter Rosa "
    "Simon Tessa Ulrich Vera Walter Xenia Yusuf Zoe Anton Berta Cyril Dora Emil Frida Georg Hanna "
    "Igor Julia Kurt Laura Martin Nora Otto"
)
LAST = (
    "Abel Brandt Castro Dorn Ekman Fiedler Gomez Haas Ivanov Jensen Keller Lang Moreau Novak Olsen "
    "Petrov Quist Rossi Santos Tamm Ueda Voss Weber Xu Zeman"
)


@dataclass(frozen=True)
class Limit:
    """The construction.

    Attributes:
        texts: person → their record's text; the first 46 are those that are asked about.
        questions: question → its two people.
    """

    texts: dict[str, str]
    questions: dict[str, tuple[str, str]]


def main() -> None:
    parser = common.parser(__doc__)
    parser.formatter_class = argparse.RawTextHelpFormatter
    parser.add_argument("--limit", type=int, help="only so many of the questions, drawn at random")
    arguments = parser.parse_args()
    made = build(words())
    chosen = list(made.questions)
    if arguments.limit:
        chosen = np.random.default_rng(SEED).permutation(chosen)[: arguments.limit].tolist()
    with common.cluster(arguments.url, arguments.heap) as used:
        print(common.machine(used))
        for count in (PEOPLE, PEOPLE + OTHERS):
            texts = dict(itertools.islice(made.texts.items(), count))
            print(f"\n### {count} records, {len(chosen)} of {len(made.questions)} questions\n")
            print(measure(used, texts, {one: made.questions[one] for one in chosen}), flush=True)


def words() -> Iterator[str]:
    """Yield words for things, in random order: whole tokens of the default model, no two of one stem."""
    spec = load_spec("bge-small-en-v1.5")
    vocabulary = json.loads((locate(spec) / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    plain = [word for word in vocabulary if word.isascii() and word.isalpha() and word.islower()]
    stems = {word[:5]: word for word in sorted(plain) if 5 <= len(word) <= 9}
    named = TAKEN | {name.lower() for name in (*FIRST.split(), *LAST.split())}
    fit = sorted(word for word in stems.values() if word not in named)
    yield from np.random.default_rng(SEED).permutation(fit).tolist()


def build(things: Iterator[str]) -> Limit:
    """Return the construction: who likes what, and who is the answer to which question."""
    generator = np.random.default_rng(SEED)
    names = [f"{first} {last}" for first, last in itertools.product(FIRST.split(), LAST.split())]
    people = generator.permutation(names)[: PEOPLE + OTHERS].tolist()
    likes: dict[str, list[str]] = {person: [] for person in people}
    questions = {}
    for pair in itertools.combinations(people[:PEOPLE], 2):
        thing = next(things)
        questions[f"Who likes {thing}?"] = pair
        for person in pair:
            likes[person].append(thing)
    pool = list(itertools.islice(things, POOL))
    for person in people[PEOPLE:]:
        likes[person] = generator.choice(pool, LIKES, replace=False).tolist()
    texts = {
        person: f"{person} likes {', '.join(generator.permutation(liked).tolist())}."
        for person, liked in likes.items()
    }
    return Limit(texts, questions)


def measure(used: Cluster, texts: dict[str, str], questions: dict[str, tuple[str, str]]) -> str:
    """Ingest the records and ask every question with every profile."""
    index = "benchmark-limit"
    common.create_index(used, index, "passages")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.jsonl"
        records = [
            {"_id": person.replace(" ", "-"), "title": "", "text": text} for person, text in texts.items()
        ]
        path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
        common.run_ingest(common.ingest_command(used, path, index))
    used.refresh(index)
    searcher = Searcher(used, index)
    asked = {str(number): question for number, question in enumerate(questions)}
    common.say(f"asking {len(asked)} questions with {len(PROFILES)} profiles …")
    found = run_profiles(
        lambda text, profile, k: searcher.search(
            text,
            profile="late_interaction" if profile == EVERY else profile,
            overrides=ALL if profile == EVERY else None,
            k=k,
            fetch=False,
        ),
        asked,
        PROFILES,
        k=max(CUTS),
    )
    used.delete_index(index)
    lines = []
    for profile in PROFILES:
        run = found[profile].run
        hits = np.array([ranks(run[number], questions[text]) for number, text in asked.items()])
        lines.append(
            [
                profile,
                *(f"{(hits <= cut).mean():.3f}" for cut in CUTS),
                f"{(hits <= 2).all(axis=1).mean():.3f}",
            ]
        )
    return common.table(["profile", *(f"recall@{cut}" for cut in CUTS), "both answers first"], lines)


def ranks(scores: dict[str, float], answers: tuple[str, str]) -> list[float]:
    """Return the rank of each answer, ∞ where it was not found."""
    order = {key: rank for rank, key in enumerate(sorted(scores, key=lambda key: -scores[key]), start=1)}
    return [order.get(person.replace(" ", "-"), float("inf")) for person in answers]


if __name__ == "__main__":
    main()
