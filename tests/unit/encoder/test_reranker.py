"""Cross-encoders: scores of pairs by hand, long passages, batches, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from click.testing import CliRunner

from opensearch_multimodal import models
from opensearch_multimodal.cli import main
from opensearch_multimodal.encoder import (
    EncoderPool,
    OnnxReranker,
    Reranker,
    RerankerQuery,
    UnencodableInput,
    check_model,
    load,
    load_reranker,
)
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.models import DraftOptions, ModelSpec, draft_spec, load_spec

WORDS = ("alpha", "beta", "gamma", "query", "passage")
Make = Callable[..., OnnxReranker]


@dataclass(frozen=True)
class Page:
    text: str
    title: str = ""
    image: None = None


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A folder with a cross-encoder and its tokenizer."""
    tiny_models.write_cross_encoder(tmp_path / "model.onnx")
    tiny_models.write_tokenizer(tmp_path / "tokenizer.json")
    return tmp_path


def spec_of(folder: Path, **text: object) -> ModelSpec:
    content = draft_spec(folder, "pairs", DraftOptions(kind="reranker")).model_dump()
    content["text"] |= text
    return ModelSpec.model_validate(content)


@pytest.fixture
def reranker(pairs: Path) -> Make:
    return lambda **text: load_reranker(spec_of(pairs, **text), folder=pairs, threads=1)


def test_a_score_is_the_models_logit_of_the_pair(reranker: Make) -> None:
    made = reranker()
    assert isinstance(made, Reranker)
    texts = ["beta", "gamma gamma alpha", "alpha beta gamma query passage", "query"]
    scores = made.score(RerankerQuery("alpha beta"), [Page(text) for text in texts])
    assert scores.dtype == np.float32
    assert scores == pytest.approx([tiny_models.pair_score("alpha beta", text) for text in texts], abs=1e-5)
    assert made.score(RerankerQuery("alpha"), []).shape == (0,)


def test_a_title_is_read_before_the_text(reranker: Make) -> None:
    titled = reranker().score(RerankerQuery("alpha"), [Page("beta", title="gamma")])
    assert titled == pytest.approx([tiny_models.pair_score("alpha", "gamma beta")], abs=1e-5)


def test_the_best_window_of_a_long_text_counts(reranker: Make) -> None:
    """14 tokens: [CLS], 2 of the query, [SEP], 9 of the passage, [SEP]."""
    text = "alpha " * 9 + "beta " * 9 + "gamma " * 3
    query = RerankerQuery("alpha beta")
    limits = {"max_query_tokens": 8, "max_passage_tokens": 14}
    windows = ["alpha " * 9, "beta " * 9, "gamma " * 3]
    by_window = [tiny_models.pair_score("alpha beta", window) for window in windows]
    assert reranker(**limits).score(query, [Page(text)]) == pytest.approx([max(by_window)], abs=1e-5)
    cut = reranker(**limits, long_input="truncate")
    assert cut.score(query, [Page(text)]) == pytest.approx([by_window[0]], abs=1e-5)
    assert max(by_window) != by_window[0]


def test_a_query_that_is_too_long_is_cut(reranker: Make) -> None:
    made = reranker(max_query_tokens=8, max_passage_tokens=16)
    long = " ".join(["alpha"] * 8 + ["gamma"] * 20)
    assert made.score(RerankerQuery(long), [Page("beta")]) == pytest.approx(
        [tiny_models.pair_score("alpha " * 8, "beta")], abs=1e-5
    )


def test_a_score_does_not_depend_on_the_batch(reranker: Make) -> None:
    made, query = reranker(), RerankerQuery("beta")
    texts = [
        " ".join(WORDS[i % 5] for i in range(start, start + length))
        for start in range(5)
        for length in range(1, 60, 7)
    ]
    together = made.score(query, [Page(text) for text in texts])
    alone = [made.score(query, [Page(text)])[0] for text in texts]
    assert together == pytest.approx(alone, abs=1e-5)


def test_two_labels_are_scored_by_their_difference(pairs: Path) -> None:
    tiny_models.write_cross_encoder(pairs / "model.onnx", labels=2)
    spec = spec_of(pairs)
    assert spec.dimension == 2
    made = load_reranker(spec, folder=pairs, threads=1)
    expected = 0.5 * tiny_models.pair_score("alpha", "beta") + 0.5 * tiny_models.pair_score("alpha", "beta")
    assert made.score(RerankerQuery("alpha"), [Page("beta")]) == pytest.approx([expected], abs=1e-5)


def test_what_cannot_be_scored_is_refused(reranker: Make, pairs: Path) -> None:
    made = reranker()
    with pytest.raises(InvalidInput, match="reads no question but words"):
        made.score(RerankerQuery(), [Page("beta")])
    with pytest.raises(UnencodableInput, match=r"texts\[1\]: its 1 characters are blank") as error:
        made.score(RerankerQuery("alpha"), [Page("beta"), Page(" ")])
    assert error.value.index == 1
    with pytest.raises(InvalidInput, match="gives a score that is NaN"):
        made.score(RerankerQuery("alpha"), [Page("nan")])
    with pytest.raises(InvalidInput, match="leave no room for a passage within max_passage_tokens, 10"):
        reranker(max_query_tokens=8, max_passage_tokens=10)
    with pytest.raises(InvalidInput, match="a reranker scores pairs, it does not encode"):
        load(spec_of(pairs), folder=pairs)
    dense = models.load_spec(models.DEFAULT_MODELS[0])
    with pytest.raises(InvalidInput, match="it is of kind dense, not a reranker"):
        load_reranker(dense)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dimension": 3}, "1 or 2 logits"),
        ({"text": {"pooling": "mean"}}, "1 or 2 logits"),
        ({"projection": {"file": "model.onnx"}}, r"no \[projection\]"),
        ({"text": {"skip_special": True}}, "for kind 'multi_vector'"),
    ],
)
def test_a_spec_that_is_no_rerankers_is_refused(pairs: Path, change: dict, message: str) -> None:
    content = spec_of(pairs).model_dump()
    content["text"] |= change.pop("text", {})
    with pytest.raises(ValueError, match=message):
        ModelSpec.model_validate(content | change)


def test_a_query_has_a_quarter_of_a_drafted_rerankers_tokens(pairs: Path) -> None:
    tower = draft_spec(pairs, "pairs", DraftOptions(kind="reranker", max_tokens=100)).text
    assert tower is not None
    assert (tower.max_query_tokens, tower.max_passage_tokens) == (100 // 4, 100)


def test_the_command_runs_a_reranker_before_it_keeps_it(
    pairs: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSMM_HOME", str(tmp_path_factory.mktemp("home")))
    added = CliRunner().invoke(main, ["models", "add", str(pairs), "--name", "pairs", "--kind", "reranker"])
    assert added.exit_code == 0, added.output
    assert "added pairs: reranker, labels 1" in added.output
    assert "tried        pairs" in added.output
    pool = EncoderPool(threads=1)
    spec = load_spec("pairs")
    assert pool.reranker(spec) is pool.reranker(spec)
    assert pool.loaded() == {spec.fingerprint}


def test_a_model_that_does_not_read_both_texts_is_no_reranker(pairs: Path) -> None:
    good = check_model(spec_of(pairs), folder=pairs)
    assert good.inputs == ("pairs",)
    assert good.batch_difference < 1e-5
    import onnx

    model = onnx.load(str(pairs / "model.onnx"))
    for node in model.graph.node:
        if list(node.output) == ["products"]:
            node.input[0] = "passage_mean"  # the query is not looked at
    onnx.save_model(model, str(pairs / "model.onnx"))
    with pytest.raises(InvalidInput, match="gives different queries the same scores"):
        check_model(spec_of(pairs), folder=pairs)
