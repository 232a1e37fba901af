from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opensearch_multimodal.sources.splitting import markdown_sections, passages, section_passages


def cut(text: str, size: int, overlap: int = 0) -> list[str]:
    return [text[start:end] for start, end in passages(text, size, overlap)]


def cut_markdown(text: str, size: int, overlap: int = 0) -> list[tuple[tuple[str, ...], str]]:
    return [
        (section.headings, text[start:end])
        for section in markdown_sections(text)
        for start, end in section_passages(text, section, size, overlap)
    ]


def check_cover(text: str, spans: list[tuple[int, int]], size: int, overlap: int) -> None:
    """Every character that is not white space lies in a passage; passages go forward and repeat little."""
    position = 0
    for number, (start, end) in enumerate(spans):
        assert 0 < end - start <= size
        assert text[start:end] == text[start:end].strip()
        assert not text[position:start].strip()
        if number:
            assert start > spans[number - 1][0]
            assert end > position
            assert position - start <= overlap
        position = end
    assert not text[position:].strip()


TEXTS = st.text(
    alphabet=st.one_of(st.sampled_from("aB1.!? \n\t\"')。`#-~=|*"), st.characters(exclude_categories=["Cs"])),
    max_size=600,
)


@settings(max_examples=300, deadline=None)
@given(text=TEXTS, size=st.integers(10, 120), share=st.floats(0, 0.5))
def test_no_character_is_lost(text: str, size: int, share: float) -> None:
    overlap = int(size * share)
    check_cover(text, list(passages(text, size, overlap)), size, overlap)


@settings(max_examples=300, deadline=None)
@given(
    lines=st.lists(
        st.sampled_from(
            [
                "# A",
                "## B ##",
                "Text. More!",
                "```",
                "~~~~",
                "    x = 1",
                "",
                "Title",
                "=====",
                "---",
                "- item",
                "| a | b |",
                "一。二。",
            ]
        ),
        max_size=40,
    ),
    size=st.integers(10, 80),
)
def test_markdown_sections_cover_the_text(lines: list[str], size: int) -> None:
    text = "\n".join(lines)
    sections = list(markdown_sections(text))
    assert [section.start for section in sections] == [0, *(section.end for section in sections[:-1])]
    assert sections[-1].end == len(text)
    for section in sections:
        part = [
            (start - section.start, end - section.start)
            for start, end in section_passages(text, section, size, size // 4)
        ]
        check_cover(text[section.start : section.end], part, size, size // 4)


def test_white_space_after_a_block_makes_no_passage_that_only_repeats() -> None:
    text = "# A\nText. More!\n~~~~\n~~~~\n    x = 1\n    x = 1\n\nTitle\nTitle\n```\n# A\n```\n"
    [section] = markdown_sections(text)
    assert list(section_passages(text, section, 70, 17)) == [(0, 70)]


def test_passages_end_with_sentences_and_overlap_by_whole_ones() -> None:
    text = "One is here. Two is here. Three is here. Four is here."
    assert cut(text, 30) == ["One is here. Two is here.", "Three is here. Four is here."]
    assert cut(text, 30, 15) == [
        "One is here. Two is here.",
        "Two is here. Three is here.",
        "Three is here. Four is here.",
    ]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (
            "Dr. Smith met J. Doe in the U.S. in May. Then he left.",
            "Dr. Smith met J. Doe in the U.S. in May.",
        ),
        ("Pay 3.14 or 1.000,50 now, e.g. in cash. Then go away.", "Pay 3.14 or 1.000,50 now, e.g. in cash."),
        (
            "See Fig. 3 and Smith et al. 2020 here. Then read on now.",
            "See Fig. 3 and Smith et al. 2020 here.",
        ),
        (
            "“Is it really so?” She asked that twice. Nobody knew it.",
            "“Is it really so?” She asked that twice.",
        ),
    ],
)
def test_a_full_stop_that_ends_nothing(text: str, first: str) -> None:
    assert cut(text, len(first) + 3)[0] == first


def test_full_stops_without_spaces() -> None:
    assert cut("今日は晴れです。明日は雨です。明後日は？", 10) == [
        "今日は晴れです。",
        "明日は雨です。",
        "明後日は？",
    ]


def test_a_sentence_above_the_size_is_cut_at_white_space_and_a_word_anywhere() -> None:
    assert cut("alpha beta gamma delta epsilon", 12) == ["alpha beta", "gamma delta", "epsilon"]
    assert cut("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]


def test_nothing_gives_no_passage() -> None:
    assert cut("", 100) == []
    assert cut(" \n\t \n", 100) == []


def test_markdown_passages_know_their_headings() -> None:
    text = "Intro.\n\n# Guide\n\n## Install `it`\nDo it.\n\nRun [it](http://x)\n---\nRuns.\n\n# End #\nBye.\n"
    assert cut_markdown(text, 100) == [
        ((), "Intro."),
        (("Guide", "Install it"), "# Guide\n\n## Install `it`\nDo it."),
        (("Guide", "Run it"), "Run [it](http://x)\n---\nRuns."),
        (("End",), "# End #\nBye."),
    ]


def test_front_matter_and_fences_hold_no_headings() -> None:
    text = "---\ntitle: x\n---\n# Real\n```sh\n# comment\n```\n~~~\n# other\n"
    assert [headings for headings, _ in cut_markdown(text, 200)] == [(), ("Real",)]


def test_a_fenced_block_is_kept_whole_where_it_fits() -> None:
    code = "```py\nfirst = 1. \nsecond = 2. \nthird = 3\n```"
    text = f"A sentence stands here. Another one too.\n{code}\nAnd one after it. And more."
    assert code in [passage for _, passage in cut_markdown(text, len(code) + 2)]
    assert all(len(passage) <= 24 for _, passage in cut_markdown(text, 24))


@pytest.mark.parametrize(
    "text",
    [
        "." * 200_000,
        "\n" * 200_000,
        " \n" * 100_000,
        ('."' * 100_000),
        "# \n" * 60_000,
        "---\n" + "a\n" * 100_000,
    ],
    ids=["stops", "lines", "blanks", "quotes", "headings", "front matter"],
)
@pytest.mark.timeout(60)  # a pattern that backtracks would take hours
def test_hostile_text_is_read_to_the_end(text: str) -> None:
    check_cover(text, list(passages(text, 1_000, 200)), 1_000, 200)
    sections = list(markdown_sections(text))
    assert sections[-1].end == len(text)
    assert all(len(passage) <= 1_000 for _, passage in cut_markdown(text, 1_000, 200))
