"""Tokens, prefixes, windows and filters, on a tiny model with known states."""

from collections.abc import Callable

import numpy as np
import pytest

from opensearch_multimodal.encoder import OnnxEncoder, UnencodableInput
from opensearch_multimodal.errors import InvalidInput

Load = Callable[..., OnnxEncoder]


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.fixture
def states(tiny) -> Callable[[str], np.ndarray]:
    """The unnormalised states of words of the tiny vocabulary."""
    table = tiny.table()
    return lambda words: table[[tiny.WORDS.index(word) for word in words.split()]]


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("mean", lambda rows: rows.mean(axis=0)),
        ("cls", lambda rows: rows[0]),
        ("last", lambda rows: rows[-1]),
    ],
)
def test_pooling(tiny_encoder: Load, states, pooling: str, expected) -> None:
    encoder = tiny_encoder(pooling=pooling)
    vectors = encoder.encode_passages(["alpha beta gamma alpha", "beta"])
    for vector, words in zip(
        vectors, ["[CLS] alpha beta gamma alpha [SEP]", "[CLS] beta [SEP]"], strict=True
    ):
        np.testing.assert_allclose(vector, unit(expected(states(words))), atol=1e-6)


def test_a_pooled_output_is_taken_as_it_is(tiny_encoder: Load, states) -> None:
    encoder = tiny_encoder()
    assert encoder.spec.text is not None
    assert encoder.spec.text.output == "sentence_embedding"
    [vector, _] = encoder.encode_passages(["alpha beta", "gamma gamma gamma"])
    np.testing.assert_allclose(vector, unit(states("[CLS] alpha beta [SEP]").mean(axis=0)), atol=1e-6)


def test_rows_are_tokens_in_order(tiny_encoder: Load, states) -> None:
    encoder = tiny_encoder(kind="multi_vector")
    results = encoder.encode_passages(["beta", "gamma alpha . beta", "alpha"])
    expected = ["[CLS] beta [SEP]", "[CLS] gamma alpha . beta [SEP]", "[CLS] alpha [SEP]"]
    for rows, words in zip(results, expected, strict=True):
        np.testing.assert_allclose(rows, unit(states(words)), atol=1e-6)


def test_prefixes(tiny_encoder: Load, states) -> None:
    encoder = tiny_encoder(kind="multi_vector", query_prefix="query : ", passage_prefix="passage : ")
    [query] = encoder.encode_queries(["alpha"])
    [passage] = encoder.encode_passages(["alpha"])
    np.testing.assert_allclose(query, unit(states("[CLS] query : alpha [SEP]")), atol=1e-6)
    np.testing.assert_allclose(passage, unit(states("[CLS] passage : alpha [SEP]")), atol=1e-6)


def test_suffixes(tiny_encoder: Load, states) -> None:
    suffixes = {"query_suffix": " : passage : .", "passage_suffix": " ."}
    encoder = tiny_encoder(kind="multi_vector", query_prefix="query : ", text=suffixes)
    [query] = encoder.encode_queries(["alpha"])
    [passage] = encoder.encode_passages(["alpha"])
    np.testing.assert_allclose(query, unit(states("[CLS] query : alpha : passage : . [SEP]")), atol=1e-6)
    np.testing.assert_allclose(passage, unit(states("[CLS] alpha . [SEP]")), atol=1e-6)
    with pytest.raises(UnencodableInput, match="3 characters give no token"):
        encoder.encode_queries(["\x00\x01\x02"])


def test_windows_carry_the_suffix(tiny_encoder: Load, states) -> None:
    suffixes = {"passage_suffix": " query .", "query_suffix": " :"}
    changes = {"kind": "multi_vector", "passage_prefix": "passage :", "max_tokens": 9, "text": suffixes}
    # 9 tokens less [CLS] [SEP], 2 of the prefix and 2 of the suffix leave 3: 4 words take windows of 2.
    [rows] = tiny_encoder(**changes).encode_passages(["alpha beta gamma ."])
    windows = [f"[CLS] passage : {window} query . [SEP]" for window in ("alpha beta", "gamma .")]
    np.testing.assert_allclose(rows, unit(states(" ".join(windows))), atol=1e-6)

    [rows] = tiny_encoder(**changes, long_input="truncate").encode_passages(["alpha beta gamma ."])
    np.testing.assert_allclose(
        rows, unit(states("[CLS] passage : alpha beta gamma query . [SEP]")), atol=1e-6
    )
    with pytest.raises(InvalidInput, match="prefix and suffix: their 9 tokens leave no room"):
        tiny_encoder(**changes | {"passage_prefix": "passage : : : :"}).encode_passages(["alpha"])


@pytest.mark.parametrize("attended", [False, True])
def test_queries_are_filled_up_with_a_token(folder, tiny, tiny_encoder: Load, attended: bool) -> None:
    tiny.write_mask_model(folder / "text_model.onnx")
    tiny.write_image_model(folder / "vision_model.onnx", dimension=2)
    text = {"query_expansion": "[UNK]", "expansion_attended": attended, "max_query_tokens": 8}
    encoder = tiny_encoder(kind="multi_vector", inputs=("text",), image_output="last_hidden_state", text=text)
    words = ["alpha beta", "alpha beta gamma alpha beta gamma", "gamma " * 8]
    kept = [4, 8, 6]
    queries = encoder.encode_queries(words)
    assert [len(rows) for rows in queries] == [8, 8, 16]
    for rows, real in zip(queries, kept, strict=True):
        ids = [tiny.WORDS.index("[UNK]")] * (8 - real)
        seen = np.array([[token, float(attended)] for token in ids]).reshape(-1, 2)
        np.testing.assert_allclose(rows[real:8], unit(seen), atol=1e-6)
        assert (rows[:real, 1] > 0).all()
    [passage] = encoder.encode_passages(["alpha beta"])
    assert len(passage) == 4


def test_an_unknown_token_to_fill_up_with_is_refused(tiny_encoder: Load) -> None:
    with pytest.raises(InvalidInput, match=r"query_expansion: the tokenizer has no token '\[MASK\]'"):
        tiny_encoder(kind="multi_vector", text={"query_expansion": "[MASK]"})


def test_filters_apply_to_passages_only(tiny_encoder: Load, states) -> None:
    encoder = tiny_encoder(kind="multi_vector", skip_special=True, skip_punctuation=True)
    text = "alpha . beta :"
    [query], [passage] = encoder.encode_queries([text]), encoder.encode_passages([text])
    np.testing.assert_allclose(query, unit(states("[CLS] alpha . beta : [SEP]")), atol=1e-6)
    np.testing.assert_allclose(passage, unit(states("alpha beta")), atol=1e-6)


def test_a_passage_that_would_keep_no_row_keeps_all(tiny_encoder: Load, states) -> None:
    encoder = tiny_encoder(kind="multi_vector", skip_special=True, skip_punctuation=True)
    dots, words = encoder.encode_passages([". . :", "alpha ."])
    np.testing.assert_allclose(dots, unit(states("[CLS] . . : [SEP]")), atol=1e-6)
    np.testing.assert_allclose(words, unit(states("alpha")), atol=1e-6)


def test_windows_are_balanced_and_carry_prefix_and_special_tokens(tiny_encoder: Load, states) -> None:
    changes = {"passage_prefix": "passage :", "max_tokens": 8}
    encoder = tiny_encoder(kind="multi_vector", **changes)
    # 8 tokens less [CLS] [SEP] and 2 of the prefix leave 4: 9 words take 3 windows of 3, not 4 + 4 + 1.
    words = ["alpha", "beta", "gamma", "alpha", "alpha", "beta", "gamma", "gamma", "beta"]
    [rows] = encoder.encode_passages([" ".join(words)])
    windows = [words[0:3], words[3:6], words[6:9]]
    expected = [f"[CLS] passage : {' '.join(window)} [SEP]" for window in windows]
    np.testing.assert_allclose(rows, unit(states(" ".join(expected))), atol=1e-6)

    mean = tiny_encoder(pooling="mean", **changes)
    vectors = [unit(states(window).mean(axis=0)) for window in expected]
    [vector] = mean.encode_passages([" ".join(words)])
    np.testing.assert_allclose(vector, unit(np.mean(vectors, axis=0)), atol=1e-6)
    assert mean.truncated == 0


def test_a_text_at_the_limit_is_one_window(tiny_encoder: Load) -> None:
    encoder = tiny_encoder(kind="multi_vector", max_tokens=8)
    at, above = encoder.encode_passages(["alpha " * 6, "alpha " * 7])
    assert len(at) == 6 + 2
    assert len(above) == 7 + 2 * 2


def test_truncation_is_counted(tiny_encoder: Load, states) -> None:
    encoder = tiny_encoder(kind="multi_vector", max_tokens=8, long_input="truncate")
    rows = encoder.encode_passages(["alpha " * 6 + "beta beta", "gamma", "beta " * 6, "beta " * 7])
    np.testing.assert_allclose(
        rows[0], unit(states("[CLS] alpha alpha alpha alpha alpha alpha [SEP]")), atol=1e-6
    )
    assert encoder.truncated == 2
    encoder.encode_queries(["gamma " * 9])
    assert encoder.truncated == 3


def test_padding_and_truncation_in_the_tokenizer_are_ignored(tiny_encoder: Load) -> None:
    encoder = tiny_encoder(kind="multi_vector")
    short, long = encoder.encode_passages(["alpha", "alpha " * 300])
    assert len(short) == 1 + 2
    assert len(long) == 300 + 2


def test_results_come_in_input_order(tiny_encoder: Load) -> None:
    encoder = tiny_encoder(pooling="mean", max_tokens=16)
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(["alpha", "beta", "gamma"], size)) for size in rng.integers(1, 60, 100)]
    kept = list(texts)
    together = encoder.encode_passages(texts)
    assert texts == kept
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(encoder.encode_passages([text])[0], vector, atol=1e-6)


def test_nothing_in_nothing_out(tiny_encoder: Load) -> None:
    assert tiny_encoder().encode_queries([]).shape == (0, 8)
    assert tiny_encoder(kind="multi_vector").encode_passages([]) == []
    assert tiny_encoder().encode_pages([]).shape == (0, 8)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("", "0 characters are blank"),
        (" \n\t\u3000", "4 characters are blank"),
        ("\x00\x01\x02", "3 characters give no token"),
        ("alpha \ud800 beta", "character 6 is a lone surrogate"),
        (None, "expected a text, got NoneType"),
        (b"alpha", "expected a text, got bytes"),
        (3, "expected a text, got int"),
        ("nan", "NaN, infinite or zero"),
    ],
)
def test_what_has_no_vector_is_named(tiny_encoder: Load, bad: object, reason: str) -> None:
    encoder = tiny_encoder(pooling="mean")
    for encode in (encoder.encode_queries, encoder.encode_passages):
        with pytest.raises(UnencodableInput, match=rf"texts\[2\]: .*{reason}") as caught:
            encode(["alpha", "beta gamma", bad, "alpha"])
        assert caught.value.index == 2


def test_a_zero_state_is_refused(tiny_encoder: Load) -> None:
    encoder = tiny_encoder(kind="multi_vector")
    with pytest.raises(
        UnencodableInput, match=r"texts\[1\]: model 'tiny' gives a vector that is NaN, infinite or zero"
    ):
        encoder.encode_passages(["alpha", "beta zero"])


def test_control_characters_and_very_long_words_are_harmless(tiny_encoder: Load, states) -> None:
    encoder = tiny_encoder(kind="multi_vector")
    [rows, _] = encoder.encode_passages(["al\x00pha\x07 \u200bbeta", "x" * 100_000])
    np.testing.assert_allclose(rows, unit(states("[CLS] alpha beta [SEP]")), atol=1e-6)


@pytest.mark.parametrize("text", ["alpha", b"alpha"])
def test_one_text_is_not_a_sequence_of_texts(tiny_encoder: Load, text: object) -> None:
    with pytest.raises(InvalidInput, match="expected a sequence of texts"):
        tiny_encoder().encode_queries(text)


def test_a_prefix_that_leaves_no_room_is_refused(tiny_encoder: Load) -> None:
    encoder = tiny_encoder(max_tokens=8, passage_prefix="passage : " * 4)
    with pytest.raises(InvalidInput, match="leave no room within 8 tokens"):
        encoder.encode_passages(["alpha"])
