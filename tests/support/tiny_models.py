"""Tiny ONNX models with known weights, and tokenizers for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "query",
    "passage",
    ":",
    ".",
    "alpha",
    "beta",
    "gamma",
    "nan",
    "zero",
]
DIMENSION = 8
PATCH = 8


def table(dimension: int = DIMENSION) -> np.ndarray:
    """Return the token states of the text model, one row per token of WORDS."""
    states = np.random.default_rng(5).standard_normal((len(WORDS), dimension)).astype(np.float32)
    states[WORDS.index("nan")] = np.nan
    states[WORDS.index("zero")] = 0
    return states


def kernel(dimension: int = DIMENSION) -> np.ndarray:
    """Return the patch weights of the image model, shape (dimension, 3, PATCH, PATCH)."""
    return np.random.default_rng(6).standard_normal((dimension, 3, PATCH, PATCH)).astype(np.float32)


def write_tokenizer(path: Path) -> None:
    """Write a word tokenizer that, like those in the jars, pads to 128 and truncates at 128."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.enable_padding(length=128)
    tokenizer.enable_truncation(128)
    tokenizer.save(str(path))


def write_text_model(
    path: Path, *, external: str | None = None, dimension: int = DIMENSION, **extra: str
) -> None:
    """Write input_ids, attention_mask → states (n, tokens, d) and their masked mean (n, d)."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last_axis"], ["mask3"]),
        helper.make_node("Mul", ["last_hidden_state", "mask3"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "middle_axis"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["mask", "middle_axis"], ["count"], keepdims=1),
        helper.make_node("Div", ["total", "count"], ["sentence_embedding"]),
    ]
    axes = {"last_axis": 2, "middle_axis": 1}
    weights = [numpy_helper.from_array(np.array([axis]), name) for name, axis in axes.items()]
    weights.append(numpy_helper.from_array(table(dimension), "table"))
    inputs = ["input_ids", "attention_mask", *extra]
    graph = helper.make_graph(
        nodes,
        "text",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "tokens"]) for name in inputs],
        [
            helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["n", "tokens", dimension]),
            helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["n", dimension]),
        ],
        weights,
    )
    _save(graph, path, external)


def write_mask_model(path: Path) -> None:
    """Write input_ids, attention_mask → (token id, 1 where attended), shape (n, tokens, 2)."""
    nodes = [
        helper.make_node("Unsqueeze", [name, "last_axis"], [f"{name}3"])
        for name in ("input_ids", "attention_mask")
    ]
    nodes.append(helper.make_node("Concat", ["input_ids3", "attention_mask3"], ["both"], axis=2))
    nodes.append(helper.make_node("Cast", ["both"], ["embeddings"], to=TensorProto.FLOAT))
    graph = helper.make_graph(
        nodes,
        "mask",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "tokens"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", "tokens", 2])],
        [numpy_helper.from_array(np.array([2]), "last_axis")],
    )
    _save(graph, path, None)


def write_image_model(path: Path, *, size: int | str = 16, dimension: int = DIMENSION) -> None:
    """Write pixels → patch states (n, patches, d) and their mean (n, d): one linear map per patch."""
    nodes = [
        helper.make_node("Conv", ["pixel_values", "kernel"], ["grid"], strides=[PATCH, PATCH]),
        helper.make_node("Reshape", ["grid", "flat"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["last_hidden_state"], perm=[0, 2, 1]),
        helper.make_node("ReduceMean", ["last_hidden_state", "middle_axis"], ["image_embeds"], keepdims=0),
    ]
    weights = [
        numpy_helper.from_array(np.array([0, 0, -1]), "flat"),
        numpy_helper.from_array(np.array([1]), "middle_axis"),
        numpy_helper.from_array(kernel(dimension), "kernel"),
    ]
    graph = helper.make_graph(
        nodes,
        "image",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["n", 3, size, size])],
        [
            helper.make_tensor_value_info(
                "last_hidden_state", TensorProto.FLOAT, ["n", "patches", dimension]
            ),
            helper.make_tensor_value_info("image_embeds", TensorProto.FLOAT, ["n", dimension]),
        ],
        weights,
    )
    _save(graph, path, None)


def write_echo_model(path: Path, rows: dict[str, int], read: dict[str, int] | None = None) -> None:
    """Write an image tower whose rows are what it is given, so that tests see what that is.

    Args:
        path: the file.
        rows: input → its rank, 2 for (n, rows) or 3 for (n, rows, …), whose last axis is averaged;
            position_ids are (3, n, rows). Each is a component of the output ``embeddings``, (n, rows, d).
        read: further inputs → their rank, which change nothing.
    """
    nodes, parts = [], []
    floats = {"pixel_values", "patches", "row_weights", "column_weights", "position_weights"}
    for name, rank in rows.items():
        nodes.append(helper.make_node("Cast", [name], [f"{name}_float"], to=TensorProto.FLOAT))
        parts.append(f"{name}_part")
        if name == "position_ids":
            nodes.append(helper.make_node("Transpose", [f"{name}_float"], [f"{name}_last"], perm=[1, 2, 0]))
            nodes.append(helper.make_node("ReduceMean", [f"{name}_last", "last_axis"], [f"{name}_part"]))
        elif rank == 3:
            nodes.append(helper.make_node("ReduceMean", [f"{name}_float", "last_axis"], [f"{name}_part"]))
        else:
            nodes.append(helper.make_node("Unsqueeze", [f"{name}_float", "last_axis"], [f"{name}_part"]))
    nodes.append(helper.make_node("Concat", parts, ["echo" if read else "embeddings"], axis=2))
    previous = "echo"
    for number, name in enumerate(read or {}):
        last = number == len(read or {}) - 1
        nodes += [
            helper.make_node("Cast", [name], [f"{name}_float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", [f"{name}_float"], [f"{name}_mean"], keepdims=0),
            helper.make_node("Mul", [f"{name}_mean", "nothing"], [f"{name}_nothing"]),
            helper.make_node(
                "Add", [previous, f"{name}_nothing"], ["embeddings" if last else f"echo_{number}"]
            ),
        ]
        previous = f"echo_{number}"
    inputs = []
    for name, rank in {**rows, **(read or {})}.items():
        shape: list[int | str] = [f"{name}_{axis}" for axis in range(rank)]
        if name == "position_ids":
            shape[0] = 3
        kind = TensorProto.FLOAT if name in floats else TensorProto.INT64
        inputs.append(helper.make_tensor_value_info(name, kind, shape))
    graph = helper.make_graph(
        nodes,
        "echo",
        inputs,
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", "rows", len(rows)])],
        [
            numpy_helper.from_array(np.array([2]), "last_axis"),
            numpy_helper.from_array(np.array(0, dtype=np.float32), "nothing"),
        ],
    )
    _save(graph, path, None)


def write_cross_encoder(path: Path, *, labels: int = 1, dimension: int = DIMENSION) -> None:
    """Write a cross-encoder: the inner product of the mean states of query and passage, special tokens too.

    With two labels, the logits are minus half and half of it.
    """
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["states"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["token_type_ids"], ["types"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["mask", "types"], ["of_passage"]),
        helper.make_node("Sub", ["mask", "of_passage"], ["of_query"]),
    ]
    for side in ("query", "passage"):
        nodes += [
            helper.make_node("Unsqueeze", [f"of_{side}", "last_axis"], [f"{side}_mask"]),
            helper.make_node("Mul", ["states", f"{side}_mask"], [f"{side}_states"]),
            helper.make_node("ReduceSum", [f"{side}_states", "middle_axis"], [f"{side}_sum"], keepdims=0),
            helper.make_node("ReduceSum", [f"of_{side}", "middle_axis"], [f"{side}_count"], keepdims=1),
            helper.make_node("Div", [f"{side}_sum", f"{side}_count"], [f"{side}_mean"]),
        ]
    nodes += [
        helper.make_node("Mul", ["query_mean", "passage_mean"], ["products"]),
        helper.make_node("ReduceSum", ["products", "middle_axis"], ["similarity"], keepdims=1),
        helper.make_node("MatMul", ["similarity", "heads"], ["logits"]),
    ]
    heads = np.array([[1.0]] if labels == 1 else [[-0.5, 0.5]], dtype=np.float32)
    weights = [
        numpy_helper.from_array(np.array([2]), "last_axis"),
        numpy_helper.from_array(np.array([1]), "middle_axis"),
        numpy_helper.from_array(table(dimension), "table"),
        numpy_helper.from_array(heads, "heads"),
    ]
    names = ("input_ids", "attention_mask", "token_type_ids")
    graph = helper.make_graph(
        nodes,
        "pairs",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "tokens"]) for name in names],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", labels])],
        weights,
    )
    _save(graph, path, None)


def depend_on_batch(path: Path) -> None:
    """Add the mean of the whole batch to every state, a caricature of dynamic quantisation."""
    model = onnx.load(str(path))
    gather = model.graph.node[0]
    gather.output[0] = "plain"
    mean = helper.make_node("ReduceMean", ["plain"], ["batch_mean"], keepdims=1)
    add = helper.make_node("Add", ["plain", "batch_mean"], ["last_hidden_state"])
    nodes = [gather, mean, add, *model.graph.node[1:]]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save_model(model, str(path))


def pair_score(query: str, passage: str) -> float:
    """Return what the cross-encoder gives for words of WORDS."""
    states = table()

    def mean(words: list[str]) -> np.ndarray:
        return np.mean([states[WORDS.index(word)] for word in words], axis=0)

    return float(mean(["[CLS]", *query.split(), "[SEP]"]) @ mean([*passage.split(), "[SEP]"]))


def write_odd_model(path: Path) -> None:
    """Write a model whose inputs are neither a text tower's nor an image tower's."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["waveform"], ["out"])],
        "sound",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["n", "samples"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", "samples"])],
    )
    _save(graph, path, None)


def _save(graph: onnx.GraphProto, path: Path, external: str | None) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if external:
        onnx.save_model(
            model,
            str(path),
            save_as_external_data=True,
            location=external,
            size_threshold=100,
            convert_attribute=False,
        )
    else:
        onnx.save_model(model, str(path))
