"""Read queries and relevance judgements, and pair them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ..errors import InvalidInput

__all__ = ["Qrels", "Topics", "pair", "read_qrels", "read_queries"]

Qrels: TypeAlias = Mapping[str, Mapping[str, int]]
"""query id → record id → grade; a grade above 0 means relevant."""

_BEIR_HEADER = ["query-id", "corpus-id", "score"]


@dataclass(frozen=True, slots=True)
class Topics:
    """The queries that can be evaluated, with their judgements.

    Attributes:
        texts: query id → text, in file order.
        qrels: the judgements of exactly these queries.
        unjudged: how many queries were left out because no record is judged relevant to them.
        unasked: how many judged queries have no text in the query file.
    """

    texts: Mapping[str, str]
    qrels: Qrels
    unjudged: int
    unasked: int


def read_queries(path: Path) -> dict[str, str]:
    """Read BEIR's ``queries.jsonl``: one JSON object with ``_id`` and ``text`` per line.

    Returns:
        query id → text, in file order.

    Raises:
        InvalidInput: a line is not such an object, an id comes twice, or the file is unreadable or empty.
    """
    queries: dict[str, str] = {}
    for number, line in _lines(path):
        key, text = _query(line, f"{path}, line {number}")
        if key in queries:
            raise InvalidInput(f"{path}, line {number}: query id '{key}' comes twice")
        queries[key] = text
    if not queries:
        raise InvalidInput(f"{path}: no queries in this file")
    return queries


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Read judgements: BEIR's ``qrels.tsv`` (query-id, corpus-id, score) or TREC's four columns.

    BEIR columns are separated by tabs, below a header line. TREC columns (query, iteration, record, grade)
    are separated by any white space and have no header; a record id may itself contain spaces.

    Raises:
        InvalidInput: a line has other columns or a grade that is no integer, a pair is judged twice with
            different grades, or the file is unreadable or empty.
    """
    qrels: dict[str, dict[str, int]] = {}
    beir = False
    for count, (number, line) in enumerate(_lines(path)):
        if count == 0 and line.strip().split("\t") == _BEIR_HEADER:
            beir = True
            continue
        where = f"{path}, line {number}"
        query, record, grade = _judgement(line, beir, where)
        judged = qrels.setdefault(query, {})
        if judged.get(record, grade) != grade:
            raise InvalidInput(
                f"{where}: record '{record}' is judged {grade} and {judged[record]} for '{query}'"
            )
        judged[record] = grade
    if not qrels:
        raise InvalidInput(f"{path}: no judgements in this file")
    return qrels


def pair(queries: Mapping[str, str], qrels: Qrels, *, limit: int | None = None) -> Topics:
    """Keep the queries that have at least one relevant record, at most the first ``limit`` of them.

    Raises:
        InvalidInput: no query has one; the message shows an id of either side.
    """
    relevant = {query for query, judged in qrels.items() if any(grade > 0 for grade in judged.values())}
    usable = [query for query in queries if query in relevant]
    if not usable:
        raise InvalidInput(
            f"none of the {len(queries)} queries has a relevant record: query ids look like "
            f"'{next(iter(queries), '')}', judged ones like '{next(iter(qrels), '')}'"
        )
    kept = usable[:limit]
    return Topics(
        texts={query: queries[query] for query in kept},
        qrels={query: qrels[query] for query in kept},
        unjudged=len(queries) - len(usable),
        unasked=len(qrels.keys() - queries.keys()),
    )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) of every line that is not blank."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path}: not UTF-8 text (byte {error.start} of a block)") from None
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror or error}") from None


def _query(line: str, where: str) -> tuple[str, str]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise InvalidInput(f"{where}: not JSON ({error})") from None
    if not isinstance(record, dict):
        raise InvalidInput(
            f"{where}: expected a JSON object with '_id' and 'text', got {type(record).__name__}"
        )
    for name in ("_id", "text"):
        value = record.get(name)
        if not isinstance(value, str) or not value.strip():
            raise InvalidInput(f"{where}: '{name}' must be a string with text in it, got {value!r}")
    return record["_id"], record["text"]


def _judgement(line: str, beir: bool, where: str) -> tuple[str, str, int]:
    if beir:
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) != 3:
            raise InvalidInput(f"{where}: expected 3 columns separated by tabs, got {len(columns)}")
        query, record, grade = columns
    else:
        head, tail = line.split(maxsplit=2), line.rsplit(maxsplit=1)
        if len(head) < 3 or len(head[2].split()) < 2:
            raise InvalidInput(
                f"{where}: expected TREC's 4 columns (query, iteration, record, grade), or a first line "
                "'query-id<tab>corpus-id<tab>score' above BEIR's 3"
            )
        query, record, grade = head[0], head[2].rsplit(maxsplit=1)[0], tail[1]
    if not query or not record:
        raise InvalidInput(f"{where}: the {'record' if query else 'query'} id is empty")
    try:
        return query, record, int(grade)
    except ValueError:
        raise InvalidInput(f"{where}: the grade must be an integer, got '{grade}'") from None
