"""What sentence-transformers, PyLate and ColBERT keep beside a transformer ends in the exported model."""

from __future__ import annotations

import json
import string
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file
from tiny_text import dense, pooling, states, unit, write_model, write_modules

from opensearch_multimodal.encoder import load
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.export import ExportOptions, ExportResult, export_model, open_source

NORMALIZE = ("sentence_transformers.models.Normalize", {}, None)
TEXT = "The valve opens, slowly."


def exported(folder: Path, out: Path, **options: object) -> ExportResult:
    return export_model(open_source(str(folder)), "tiny", ExportOptions(**options), out=out)


def vector(result: ExportResult, text: str = TEXT) -> np.ndarray:
    return load(result.spec, folder=result.folder, threads=1).encode_passages([text])[0]


@pytest.mark.parametrize(
    ("mode", "pooled"),
    [
        ("cls_token", lambda rows: rows[0]),
        ("mean_tokens", lambda rows: rows.mean(axis=0)),
        ("lasttoken", lambda rows: rows[-1]),
        ("max_tokens", lambda rows: rows.max(axis=0)),
    ],
)
def test_pooling_and_dense_layer(mode: str, pooled: object, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "bert")
    layer = dense(32, 12)
    write_modules(folder, pooling(mode), layer, NORMALIZE)
    result = exported(folder, tmp_path / "out")
    assert result.spec.dimension == 12
    weights = layer[2]
    expected = np.tanh(pooled(states(folder, TEXT)) @ weights["linear.weight"].T + weights["linear.bias"])
    assert np.abs(vector(result) - unit(expected)).max() < 1e-5


def test_transformer_in_a_folder_of_its_own(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model" / "0_Transformer", "bert")
    modules = [
        {"idx": 0, "name": "0", "path": "0_Transformer", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    root = tmp_path / "model"
    (root / "modules.json").write_text(json.dumps(modules))
    (root / "1_Pooling").mkdir()
    (root / "1_Pooling" / "config.json").write_text(json.dumps(pooling("mean_tokens")[1]))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 24}')
    result = exported(root, tmp_path / "out")
    assert result.spec.text is not None
    assert result.spec.text.max_passage_tokens == 24
    assert np.abs(vector(result) - unit(states(folder, TEXT).mean(axis=0))).max() < 1e-5


def test_lower_casing_of_sentence_transformers_is_kept(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "roberta")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 64, "do_lower_case": true}')
    result = exported(folder, tmp_path / "out", pooling="mean")
    assert np.abs(vector(result, "ALPHA Beta") - vector(result, "alpha beta")).max() == 0
    assert np.abs(vector(result, "ALPHA") - unit(states(folder, "alpha").mean(axis=0))).max() < 1e-5


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (("sentence_transformers.models.WordWeights", {}, None), "module WordWeights is not offered"),
        (dense(32, 8, activation="torch.nn.modules.activation.Hardswish"), "Hardswish is not offered"),
        (dense(16, 8), "in_features"),
    ],
)
def test_modules_that_are_not_offered_are_refused(module: tuple, message: str, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "bert")
    if message == "in_features":
        module = (module[0], module[1] | {"in_features": 32}, module[2])
        message = "no linear layer of shape"
    write_modules(folder, pooling("mean_tokens"), module)
    with pytest.raises(InvalidInput, match=message):
        exported(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_says_how_to_pool(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "bert")
    with pytest.raises(InvalidInput, match="use --pooling"):
        exported(folder, tmp_path / "out")


def test_token_vectors_of_a_model_made_for_one_say_so(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "bert")
    write_modules(folder, pooling("mean_tokens"), NORMALIZE)
    result = exported(folder, tmp_path / "out", kind="multi_vector")
    assert any("trained to give one vector" in note for note in result.parity.notes)
    assert np.abs(vector(result) - unit(states(folder, TEXT))).max() < 1e-5


def pylate(folder: Path, **config: object) -> np.ndarray:
    """Make a PyLate folder of a ModernBERT, and return the weights of its projection."""
    write_model(folder, "modernbert")
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    tokenizer.add_tokens(["[Q] ", "[D] "])
    tokenizer.save_pretrained(str(folder))
    identity = "torch.nn.modules.linear.Identity"
    layer = dense(32, 16, bias=False, activation=identity, kind="pylate.models.Dense.Dense")
    write_modules(folder, layer)
    settings = {
        "query_prefix": "[Q] ",
        "document_prefix": "[D] ",
        "query_length": 20,
        "document_length": 60,
        "attend_to_expansion_tokens": False,
        "skiplist_words": list(string.punctuation),
    }
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings | config))
    return layer[2]["linear.weight"]


@pytest.mark.parametrize("attended", [False, True])
def test_pylate(attended: bool, tmp_path: Path) -> None:
    """The prefix is a token after [CLS]; queries are filled up with [MASK]; punctuation has no vector."""
    folder = tmp_path / "model"
    projection = pylate(folder, attend_to_expansion_tokens=attended)
    result = exported(folder, tmp_path / "out", kind="multi_vector")
    tower = result.spec.text
    assert tower is not None
    assert (tower.max_query_tokens, tower.max_passage_tokens) == (20, 60)
    assert (tower.query_prefix, tower.passage_prefix) == ("[Q] ", "[D] ")
    encoder = load(result.spec, folder=result.folder, threads=1)

    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    model = transformers.AutoModel.from_pretrained(str(folder)).eval()
    marker = {name: tokenizer.convert_tokens_to_ids(name) for name in ("[Q] ", "[D] ", "[MASK]")}

    def run(ids: list[int], mask: list[int]) -> np.ndarray:
        with torch.no_grad():
            output = model(input_ids=torch.tensor([ids]), attention_mask=torch.tensor([mask]))
        return unit(output.last_hidden_state[0].numpy() @ projection.T)

    plain = tokenizer("which valve?")["input_ids"]
    ids = [plain[0], marker["[Q] "], *plain[1:]]
    rest = 20 - len(ids)
    expected = run(ids + [marker["[MASK]"]] * rest, [1] * len(ids) + [int(attended)] * rest)
    [query] = encoder.encode_queries(["which valve?"])
    assert query.shape == (20, 16)
    assert np.abs(query - expected).max() < 1e-5

    plain = tokenizer(TEXT)["input_ids"]
    ids = [plain[0], marker["[D] "], *plain[1:]]
    punctuation = {tokenizer.convert_tokens_to_ids(sign) for sign in string.punctuation}
    kept = [number for number, token in enumerate(ids) if token not in punctuation]
    assert len(kept) == len(ids) - 2
    assert np.abs(encoder.encode_passages([TEXT])[0] - run(ids, [1] * len(ids))[kept]).max() < 1e-5


def test_pylate_with_another_skiplist_is_refused(tmp_path: Path) -> None:
    pylate(tmp_path / "model", skiplist_words=["the"])
    with pytest.raises(InvalidInput, match="skiplist_words"):
        exported(tmp_path / "model", tmp_path / "out", kind="multi_vector")


def test_checkpoint_of_colbert(tmp_path: Path) -> None:
    """ColBERT's own code: bert.* and linear.weight in one file, [unused0] and [unused1] as markers."""
    folder = write_model(tmp_path / "model", "bert")
    weights = load_file(str(folder / "model.safetensors"))
    linear = np.random.default_rng(4).standard_normal((16, 32)).astype(np.float32)
    config = json.loads((folder / "config.json").read_text())
    tokens = states(folder, TEXT)
    save_file(
        {f"bert.{name}": value for name, value in weights.items()} | {"linear.weight": linear},
        str(folder / "model.safetensors"),
        metadata={"format": "pt"},
    )
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["HF_ColBERT"]}))
    metadata = {
        "query_maxlen": 24,
        "doc_maxlen": 70,
        "mask_punctuation": True,
        "attend_to_mask_tokens": False,
    }
    (folder / "artifact.metadata").write_text(json.dumps(metadata))
    result = exported(folder, tmp_path / "out", kind="multi_vector")
    tower = result.spec.text
    assert tower is not None
    assert (tower.query_expansion, tower.expansion_attended) == ("[MASK]", False)
    encoder = load(result.spec, folder=result.folder, threads=1)

    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    model = transformers.AutoModel.from_pretrained(str(folder)).eval()
    assert np.abs(states(folder, TEXT) - tokens).max() < 1e-6

    def run(text: str, marker: str, length: int | None) -> np.ndarray:
        ids = tokenizer(text)["input_ids"]
        ids = [ids[0], tokenizer.convert_tokens_to_ids(marker), *ids[1:]]
        mask = [1] * len(ids)
        if length:
            mask += [0] * (length - len(ids))
            ids += [tokenizer.mask_token_id] * (length - len(ids))
        with torch.no_grad():
            output = model(input_ids=torch.tensor([ids]), attention_mask=torch.tensor([mask]))
        return unit(output.last_hidden_state[0].numpy() @ linear.T)

    [query] = encoder.encode_queries(["which valve"])
    assert np.abs(query - run("which valve", "[unused0]", 24)).max() < 1e-5
    [passage] = encoder.encode_passages(["the valve opens"])
    assert np.abs(passage - run("the valve opens", "[unused1]", None)).max() < 1e-5
