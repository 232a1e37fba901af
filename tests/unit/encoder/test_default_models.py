"""The default models with their real weights."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opensearch_multimodal.encoder import OnnxEncoder
from opensearch_multimodal.models import DEFAULT_MODELS
from opensearch_multimodal.types import Encoder

GOLDEN = Path(__file__).parents[2] / "golden" / "models"
GOLDEN_TOLERANCE = 5e-5
"""Of one component, between processors and versions of ONNX Runtime; on one machine it is 0 or near it."""
BATCH_TOLERANCE = 1e-5
"""Of one component, between a text encoded alone and in any batch."""

WORDS = "the pump reset valve invoice Übergröße 弁 42 ° , . ( revenue quarter"
words = st.sampled_from(WORDS.split(" "))
texts = st.lists(
    st.builds(
        " ".join,
        st.one_of(st.lists(words, min_size=1, max_size=12), st.lists(words, min_size=90, max_size=300)),
    ),
    min_size=1,
    max_size=7,
)
few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=DEFAULT_MODELS)
def encoder(request: pytest.FixtureRequest, dense: OnnxEncoder, late: OnnxEncoder) -> OnnxEncoder:
    return next(one for one in (dense, late) if one.spec.name == request.param)


def test_golden_vectors(encoder: OnnxEncoder, golden: ModuleType) -> None:
    expected = np.load(GOLDEN / f"{encoder.spec.name}.npz")
    assert str(expected["fingerprint"]) == encoder.fingerprint
    assert tuple(expected["texts"]) == golden.TEXTS
    encoded = {
        "query": encoder.encode_queries(golden.TEXTS),
        "passage": encoder.encode_passages(golden.TEXTS),
    }
    for task, results in encoded.items():
        for number, vectors in enumerate(results):
            assert len(np.atleast_2d(vectors)) == expected[f"{task}_{number}_rows"]
            difference = np.abs(golden.some_rows(vectors) - expected[f"{task}_{number}"]).max()
            assert difference < GOLDEN_TOLERANCE, (task, number)


def test_it_is_what_the_protocol_says(encoder: OnnxEncoder) -> None:
    assert isinstance(encoder, Encoder)
    assert encoder.dimension == encoder.spec.dimension
    assert encoder.fingerprint == encoder.spec.fingerprint


@few
@given(texts=texts)
def test_dense_vectors_do_not_depend_on_the_batch(dense: OnnxEncoder, texts: list[str]) -> None:
    together = dense.encode_passages(texts)
    assert together.shape == (len(texts), 384)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for text, vector in zip(texts, together, strict=True):
        [alone] = dense.encode_passages([text])
        assert np.abs(alone - vector).max() < BATCH_TOLERANCE


@few
@given(texts=texts)
def test_token_vectors_do_not_depend_on_the_batch(late: OnnxEncoder, texts: list[str]) -> None:
    together = late.encode_passages(texts)
    assert len(together) == len(texts)
    for text, vectors in zip(texts, together, strict=True):
        [alone] = late.encode_passages([text])
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        assert alone.shape == vectors.shape
        assert np.abs(alone - vectors).max() < BATCH_TOLERANCE


def test_meaning_orders_the_passages(dense: OnnxEncoder, late: OnnxEncoder) -> None:
    passages = [
        "Invoices are due within thirty days.",
        "To restart the pump, hold the red button for five seconds.",
        "Whales are mammals that live in the sea.",
    ]
    query = "how do I reset the machine that moves water?"
    assert int((dense.encode_passages(passages) @ dense.encode_queries([query])[0]).argmax()) == 1
    [tokens] = late.encode_queries([query])
    scores = [(tokens @ rows.T).max(axis=1).sum() for rows in late.encode_passages(passages)]
    assert int(np.argmax(scores)) == 1


def test_a_query_is_not_a_passage(dense: OnnxEncoder) -> None:
    text = "how do I reset the pump?"
    prefix = dense.spec.text.query_prefix  # type: ignore[union-attr]
    assert prefix
    query, passage, prefixed = dense.encode_queries([text])[0], *dense.encode_passages([text, prefix + text])
    assert np.abs(query - passage).max() > 0.01
    assert np.abs(query - prefixed).max() < BATCH_TOLERANCE


def test_a_long_text_is_read_to_its_end(dense: OnnxEncoder, late: OnnxEncoder) -> None:
    text = "The pump draws cold water from the lower tank. " * 60
    changed = text + "Whales are mammals."
    first, second = dense.encode_passages([text, changed])
    assert np.abs(first - second).max() > 1e-3
    short, long = late.encode_passages([text, changed])
    # 11 tokens with the full stop, which is left out, so 10 rows for each repetition.
    assert len(short) == 60 * 9
    assert len(long) == 60 * 9 + 3
    assert dense.truncated == late.truncated == 0
