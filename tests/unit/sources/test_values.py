from __future__ import annotations

import pytest

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.sources.values import (
    clean,
    digest,
    parse_acl,
    parse_object,
    take_metadata,
    take_text,
)


def test_clean_keeps_what_json_and_utf8_can_hold() -> None:
    assert clean("a\x00b\x1b[1m\ud800c\td\ne é 日 🎉 \ufffe") == "ab[1mc\td\ne é 日 🎉 "


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "not valid JSON"),
        (b"[1]", "a JSON object is needed, not an array"),
        (b"null", "not null"),
        (b'{"a": NaN}', "NaN or infinite"),
        (b'{"a": -Infinity}', "NaN or infinite"),
        (b'{"a": "\xff"}', "not valid UTF-8"),
        (b'{"a": ' * 100_000 + b"1" + b"}" * 100_000, "nested deeper than 20"),
        (b'{"a": ' * 30 + b"1" + b"}" * 30, "nested deeper than 20"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "not valid JSON"),
    ],
)
def test_objects_that_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        parse_object(data)


def test_errors_quote_no_content() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_object(b'{"salary": "secret"')
    assert "secret" not in str(caught.value)
    assert "salary" not in str(caught.value)


def test_a_lone_surrogate_is_dropped_wherever_it_hides() -> None:
    assert parse_object(rb'{"a\ud800": ["b\udfff", {"c": "\ud83c\udf89"}]}') == {"a": ["b", {"c": "🎉"}]}


def test_a_byte_order_mark_is_allowed() -> None:
    assert parse_object(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_take_text() -> None:
    values = {"title": "T", "empty": None, "number": 3}
    assert [take_text(values, key) for key in ("title", "empty", "absent")] == ["T", "", ""]
    with pytest.raises(InvalidInput, match="number: a string is needed, not a number"):
        take_text(values, "number")


def test_take_metadata_merges_an_inner_object() -> None:
    assert take_metadata({"a": 1, "metadata": {"b": 2}}) == {"a": 1, "b": 2}
    assert take_metadata({"a": 1, "metadata": {}}) == {"a": 1}
    assert take_metadata({"metadata": "text"}) == {"metadata": "text"}
    with pytest.raises(InvalidInput, match="1,001 metadata keys are over the limit of 1,000"):
        take_metadata({str(key): key for key in range(1_001)})


def test_access_lists() -> None:
    assert parse_acl("staff") == ("staff",)
    assert parse_acl(["b", " a ", "b"]) == ("b", "a")
    assert parse_acl([]) == ()
    for wrong in (None, 3, [1], [""], {"a": 1}, " "):
        with pytest.raises(InvalidInput, match="acl: a name or a list of names is needed"):
            parse_acl(wrong)


def test_digest_ignores_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
