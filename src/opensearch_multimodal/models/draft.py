"""Draft the spec of a model in a folder: from its ONNX files, its configuration, and the user's word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .. import download
from ..errors import InvalidInput
from ..types import Input
from .hints import TextHints, image_hints, mrl_hint, text_hints
from .onnx_file import Node, Signature, external_data, read_signature, tower_of
from .spec import ImageTower, Kind, LongInput, ModelFile, ModelSpec, Pooling, TextTower, check_name

__all__ = ["DraftOptions", "draft_spec"]

_PREFERRED: dict[Input, tuple[str, ...]] = {
    "text": ("model.onnx", "text_model.onnx", "text.onnx"),
    "image": ("vision_model.onnx", "image_model.onnx", "image.onnx", "model.onnx"),
}
_VECTOR_OUTPUTS = ("sentence_embedding", "text_embeds", "image_embeds", "embeddings", "embedding")
_LOGIT_OUTPUTS = ("logits", "scores", "score")
_STATE_OUTPUTS = ("last_hidden_state", "token_embeddings", "embeddings", "image_embeds")


@dataclass(frozen=True)
class DraftOptions:
    """What the user says about a model; None lets the folder decide.

    Attributes:
        kind: what the model yields.
        inputs: what is indexed by it; every tower there is by default.
        text_onnx: the text tower, relative to the folder.
        image_onnx: the image tower, relative to the folder.
        text_output: the text tower's output.
        image_output: the image tower's output.
        pooling: how states become one vector.
        dimension: of the vectors.
        mrl_dimensions: to what they may be cut.
        image_size: (height, width).
        query_prefix: put before queries.
        passage_prefix: put before passages.
        max_tokens: the longest text.
        long_input: what happens to a longer one.
        skip_special: multi_vector: leave out passage rows of special tokens.
        skip_punctuation: multi_vector: leave out passage rows of punctuation.
        description: one line.
        licence: SPDX id.
        source: where the weights were published.
        revision: of the source.
    """

    kind: Kind = "dense"
    inputs: Sequence[Input] | None = None
    text_onnx: str | None = None
    image_onnx: str | None = None
    text_output: str | None = None
    image_output: str | None = None
    pooling: Pooling | None = None
    dimension: int | None = None
    mrl_dimensions: Sequence[int] | None = None
    image_size: tuple[int, int] | None = None
    query_prefix: str | None = None
    passage_prefix: str | None = None
    max_tokens: int | None = None
    long_input: LongInput = "window"
    skip_special: bool | None = None
    skip_punctuation: bool | None = None
    description: str = ""
    licence: str = "unknown"
    source: str = ""
    revision: str = ""


def draft_spec(folder: Path, name: str, options: DraftOptions | None = None) -> ModelSpec:
    """Return a spec for the model in a folder; nothing is written, and the model is not run.

    Args:
        folder: holds ONNX files (or has them in ``onnx/``), for texts a ``tokenizer.json``, and maybe the
            configuration files of sentence-transformers, transformers or PyLate.
        name: of the model.
        options: what the folder does not say.

    Raises:
        InvalidInput: a file is missing or is not what it should be, or something must be said by an option.
    """
    options = options or DraftOptions()
    check_name(name)
    if not folder.is_dir():
        raise InvalidInput(f"folder: {folder} is not a folder")
    text = _text_tower(folder, options)
    image = _image_tower(folder, options) if options.kind != "reranker" else None
    towers = {"text": text, "image": image}
    found = [key for key, tower in towers.items() if tower]
    if not found:
        raise InvalidInput(
            f"folder: {folder} has no ONNX file that takes input_ids or pixels; name it by --text-onnx or "
            f"--image-onnx (there are: {', '.join(_names(folder, _onnx_files(folder))) or 'none'})"
        )
    used = [path for tower in (text, image) if tower for path in _files_of(folder, tower[0])]
    dimension = _dimension(options, [tower[1] for tower in (text, image) if tower])
    mrl = mrl_hint(folder, dimension) if options.mrl_dimensions is None else options.mrl_dimensions
    try:
        return ModelSpec.model_validate(
            {
                "name": name,
                "kind": options.kind,
                "inputs": tuple(options.inputs or found),
                "dimension": dimension,
                "mrl_dimensions": tuple(mrl),
                "text": text[0] if text else None,
                "image": image[0] if image else None,
                "files": tuple(_record(folder, path) for path in dict.fromkeys(used)),
                **{key: getattr(options, key) for key in ("description", "licence", "source", "revision")},
            }
        )
    except ValidationError as error:
        raise InvalidInput(
            f"model '{name}': {error.errors()[0]['msg'].removeprefix('Value error, ')}"
        ) from None


def _text_tower(folder: Path, options: DraftOptions) -> tuple[TextTower, Node] | None:
    found = _find_tower(folder, "text", options.text_onnx)
    if found is None:
        return None
    path, signature = found
    tokenizer = next(
        (p for p in (folder / "tokenizer.json", path.parent / "tokenizer.json") if p.is_file()), None
    )
    if tokenizer is None:
        raise InvalidInput(f"folder: {folder} has no tokenizer.json, which a text tower needs")
    hints = text_hints(folder)
    output, pooling = _choose_output(
        path, signature, options.kind, options.text_output, options.pooling, hints.pooling
    )
    if hints.dense_dimension and output.shape[-1] not in (hints.dense_dimension, None):
        raise InvalidInput(
            f"{path}: its output '{output.name}' has {output.shape[-1]} components, the model's Dense module "
            f"yields {hints.dense_dimension}: export the model with that module"
        )
    settings: dict[str, Any] = {
        key: value
        for key in ("query_prefix", "passage_prefix", "skip_special", "skip_punctuation")
        if (value := getattr(options, key)) is not None
    }
    if options.kind == "multi_vector":
        settings.setdefault("skip_punctuation", hints.skip_punctuation)
    tower = {
        "query_prefix": hints.query_prefix,
        "passage_prefix": hints.passage_prefix,
        "max_query_tokens": _query_limit(options, hints),
        "max_passage_tokens": options.max_tokens or hints.max_passage_tokens,
        "long_input": options.long_input,
        **settings,
        "onnx": _relative(folder, path),
        "tokenizer": _relative(folder, tokenizer),
        "output": output.name,
        "pooling": pooling,
    }
    return _validated(TextTower, tower), output


def _query_limit(options: DraftOptions, hints: TextHints) -> int:
    """Return the longest query; a reranker's shares its tokens with the passage, so it has a quarter."""
    if options.kind == "reranker":
        return max(8, (options.max_tokens or hints.max_passage_tokens) // 4)
    return options.max_tokens or hints.max_query_tokens


def _image_tower(folder: Path, options: DraftOptions) -> tuple[ImageTower, Node] | None:
    found = _find_tower(folder, "image", options.image_onnx)
    if found is None:
        return None
    path, signature = found
    if len(signature.inputs) > 1:
        raise InvalidInput(
            f"{path}: it takes {', '.join(node.name for node in signature.inputs)}; how images are cut in "
            "pieces and what its prompt is must be said in a spec, as 'osmm models export' writes it"
        )
    hints = image_hints(folder)
    _, _, *declared = signature.inputs[0].shape
    fixed = tuple(declared) if all(isinstance(side, int) for side in declared) else None
    size = options.image_size or hints.size or fixed
    if size is None:
        raise InvalidInput(f"{path}: the size of its images is open, and no file says it; use --image-size")
    if fixed and tuple(size) != fixed:
        raise InvalidInput(f"{path}: it takes images of (height, width) {fixed}, not {tuple(size)}")
    output, pooling = _choose_output(
        path, signature, options.kind, options.image_output, options.pooling, None
    )
    tower = {
        **hints.settings,
        "size": tuple(size),
        "onnx": _relative(folder, path),
        "output": output.name,
        "pooling": pooling,
    }
    return _validated(ImageTower, tower), output


def _validated(record: Any, values: dict[str, Any]) -> Any:
    try:
        return record.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _find_tower(folder: Path, tower: Input, given: str | None) -> tuple[Path, Signature] | None:
    if given is not None:
        path = folder / given
        if not path.is_file():
            raise InvalidInput(f"--{tower}-onnx: there is no file {path}")
        signature = _checked_signature(folder, path)
        if tower_of(signature, str(path)) != tower:
            raise InvalidInput(f"--{tower}-onnx: {path} does not read {tower}")
        return path, signature
    files = _onnx_files(folder)
    preferred = [path for name in _PREFERRED[tower] for path in files if path.name == name]
    for path in preferred or (files if len(files) == 1 else []):
        signature = _checked_signature(folder, path)
        if tower_of(signature, str(path)) == tower:
            return path, signature
    return None


def _checked_signature(folder: Path, path: Path) -> Signature:
    for location in external_data(path):
        target = (path.parent / location).absolute()
        if ".." in Path(location).parts or not target.is_relative_to(folder.absolute()):
            raise InvalidInput(f"{path}: its external data '{location}' lies outside {folder}")
        if not target.is_file():
            raise InvalidInput(f"{path}: its external data {target} is missing")
    return read_signature(path)


def _choose_output(
    path: Path,
    signature: Signature,
    kind: Kind,
    given: str | None,
    pooling: Pooling | None,
    hinted: Pooling | None,
) -> tuple[Node, Pooling]:
    """Return the output to take and how to pool it."""
    outputs = {node.name: node for node in signature.outputs}
    if given is not None:
        if given not in outputs:
            raise InvalidInput(f"{path}: it has no output '{given}', only {', '.join(outputs)}")
        chosen = outputs[given]
    else:
        chosen = _likely_output(path, signature, kind, vectors=pooling in (None, "none"))
    if kind != "dense" or len(chosen.shape) == 2:
        return chosen, pooling or "none"
    if decided := pooling or hinted:
        return chosen, decided
    raise InvalidInput(f"{path}: nothing says how its states become one vector; use --pooling")


def _likely_output(path: Path, signature: Signature, kind: Kind, *, vectors: bool) -> Node:
    ranks = {rank: {n.name: n for n in signature.outputs if len(n.shape) == rank} for rank in (2, 3)}
    wanted: list[tuple[int, tuple[str, ...]]] = [(3, _STATE_OUTPUTS)]
    if kind == "reranker":
        ranks[1] = {n.name: n for n in signature.outputs if len(n.shape) == 1}
        wanted = [(2, _LOGIT_OUTPUTS), (1, _LOGIT_OUTPUTS)]
    if kind == "dense":
        wanted.insert(0 if vectors and set(ranks[2]) & set(_VECTOR_OUTPUTS) else 1, (2, _VECTOR_OUTPUTS))
    for rank, names in wanted:
        for name in names:
            if name in ranks[rank]:
                return ranks[rank][name]
        if len(ranks[rank]) == 1:
            return next(iter(ranks[rank].values()))
    shown = ", ".join(f"{node.name} {list(node.shape)}" for node in signature.outputs)
    raise InvalidInput(f"{path}: it is not clear which output to take of {shown}; name it by an option")


def _dimension(options: DraftOptions, outputs: Sequence[Node]) -> int:
    known = {node.shape[-1] for node in outputs if node.shape and isinstance(node.shape[-1], int)}
    if options.dimension is not None:
        known.add(options.dimension)
    if options.kind == "reranker" and all(len(node.shape) == 1 for node in outputs):
        known = {1}
    if len(known) > 1:
        raise InvalidInput(f"dimension: the towers and --dimension disagree: {sorted(map(str, known))}")
    if not known:
        raise InvalidInput("dimension: the ONNX file does not say it; use --dimension")
    return int(str(known.pop()))


def _onnx_files(folder: Path) -> list[Path]:
    return [*sorted(folder.glob("*.onnx")), *sorted((folder / "onnx").glob("*.onnx"))]


def _files_of(folder: Path, tower: TextTower | ImageTower) -> Iterator[Path]:
    onnx = folder / tower.onnx
    yield onnx
    for location in external_data(onnx):
        yield onnx.parent / location
    if isinstance(tower, TextTower):
        yield folder / tower.tokenizer


def _record(folder: Path, path: Path) -> ModelFile:
    return ModelFile(path=_relative(folder, path), sha256=download.sha256_of(path), size=path.stat().st_size)


def _relative(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _names(folder: Path, paths: Sequence[Path]) -> list[str]:
    return [_relative(folder, path) for path in paths]
