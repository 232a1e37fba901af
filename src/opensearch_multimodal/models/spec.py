"""ModelSpec: everything about a model that its vectors depend on, as a frozen record read from TOML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ..errors import InvalidInput
from ..types import MAX_DIMENSION, Input
from .fingerprint import fingerprint
from .image_tower import Grid, ImageTower, Layout, Pooling, Prompt
from .record import FilePath, Record

__all__ = [
    "Grid",
    "ImageTower",
    "Kind",
    "Layout",
    "LongInput",
    "MavenOrigin",
    "ModelFile",
    "ModelSpec",
    "Pooling",
    "Projection",
    "Prompt",
    "Session",
    "TextTower",
    "check_name",
]

Kind = Literal["dense", "multi_vector", "reranker"]
LongInput = Literal["window", "truncate"]


def check_name(name: str) -> str:
    """Return the name of a model if it is safe as the name of a file and of a folder.

    Raises:
        InvalidInput: it is not.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) or ".." in name:
        raise InvalidInput(
            f"model name: {name[:100]!r} is not 1–100 ASCII letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit, without '..'"
        )
    return name


def _tokens(value: int) -> int:
    if value < 8:
        raise ValueError("a model reads at least 8 tokens")
    return value


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
TokenLimit = Annotated[int, AfterValidator(_tokens)]


class MavenOrigin(Record):
    """A jar in a Maven repository that holds the model's files.

    Attributes:
        coordinates: ``group:artifact:version[:packaging[:classifier]]``.
        sha256: the jar's digest.
        size: the jar's size in bytes.
    """

    coordinates: str
    sha256: Sha256
    size: Annotated[int, Field(gt=0)]


class ModelFile(Record):
    """One file of a model.

    Attributes:
        path: where it lies in the model's folder. External data keeps the name its ONNX file calls it by.
        sha256: its digest.
        size: its size in bytes.
        member: its name inside the origin's archive; without it, the file lies beside the spec.
    """

    path: FilePath
    sha256: Sha256
    size: Annotated[int, Field(ge=0)]
    member: str | None = None


class TextTower(Record):
    """How texts become vectors.

    Attributes:
        onnx: the ONNX file; its inputs are input_ids and, where it has them, attention_mask,
            token_type_ids (zeros) and position_ids.
        tokenizer: the ``tokenizer.json``; padding and truncation in it are ignored.
        output: the name of the ONNX output to take.
        pooling: how token states (n, tokens, d) become one vector; ``none`` where the output is one
            already (dense), or where every state is kept (multi_vector).
        query_prefix: put before every query.
        passage_prefix: put before every passage, and before each window of a long one.
        query_suffix: put after every query, before the special tokens that the tokenizer ends with; may
            itself hold special tokens, as ColPali's and ColQwen's ten padding tokens.
        passage_suffix: put after every passage, and after each window of a long one.
        query_expansion: multi_vector: the token, such as ``[MASK]``, with which queries are filled up to
            ``max_query_tokens``; its states are rows (ColBERT: Khattab and Zaharia, 2020, arXiv:2004.12832).
        expansion_attended: whether the other tokens attend to those of the expansion.
        max_query_tokens: the longest query the model reads at once, prefix and special tokens included.
        max_passage_tokens: the same for passages.
        long_input: ``window`` encodes what is longer in windows of equal length without overlap
            (dense: L2-normalised mean of theirs; multi_vector: the rows of all); ``truncate`` cuts it.
        skip_special: multi_vector: leave out the passage rows of special tokens such as [CLS].
        skip_punctuation: multi_vector: leave out the passage rows of ASCII punctuation.
    """

    onnx: FilePath
    tokenizer: FilePath
    output: str
    pooling: Pooling
    query_prefix: str = ""
    passage_prefix: str = ""
    query_suffix: str = ""
    passage_suffix: str = ""
    query_expansion: Annotated[str, Field(min_length=1)] | None = None
    expansion_attended: bool = False
    max_query_tokens: TokenLimit = 512
    max_passage_tokens: TokenLimit = 512
    long_input: LongInput = "window"
    skip_special: bool = False
    skip_punctuation: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.expansion_attended and self.query_expansion is None:
            raise ValueError("expansion_attended needs query_expansion")
        return self


class Projection(Record):
    """A linear map on the unit-length vectors of every tower, before the final normalization.

    Attributes:
        file: a ``.npy`` array of shape (model dimension, dimension), float16 or float32: y = x @ array.
    """

    file: FilePath


_PROVIDER_OPTIONS = {
    "cuda": frozenset(
        {
            "arena_extend_strategy",
            "cudnn_conv_algo_search",
            "cudnn_conv_use_max_workspace",
            "device_id",
            "do_copy_in_default_stream",
            "gpu_mem_limit",
        }
    ),
    "tensorrt": frozenset(
        {
            "device_id",
            "trt_builder_optimization_level",
            "trt_engine_cache_enable",
            "trt_max_partition_iterations",
            "trt_max_workspace_size",
            "trt_min_subgraph_size",
            "trt_timing_cache_enable",
        }
    ),
}
"""Options of execution providers that load no code, name no file, and change no vector."""


class Session(Record):
    """How ONNX Runtime runs the model's graphs; none of it is part of the fingerprint.

    Attributes:
        optimization: how far graphs are rewritten before they run.
        execution: ``parallel`` runs independent operators at once.
        arena: keep memory between runs.
        memory_pattern: keep a plan of memory per shape of input; for models whose inputs have one shape.
        providers: ``cuda`` or ``tensorrt`` → those of its options that neither load code nor change vectors.
    """

    optimization: Literal["none", "basic", "extended", "all"] = "all"
    execution: Literal["sequential", "parallel"] = "sequential"
    arena: bool = True
    memory_pattern: bool = False
    providers: dict[str, dict[str, str | int | float | bool]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for provider, options in self.providers.items():
            known = _PROVIDER_OPTIONS.get(provider)
            if known is None:
                raise ValueError(
                    f"providers: options are for {' and '.join(_PROVIDER_OPTIONS)}, not '{provider}'"
                )
            if strange := sorted(set(options) - known):
                raise ValueError(
                    f"providers.{provider}: '{strange[0]}' is not one of {', '.join(sorted(known))}"
                )
        return self


class ModelSpec(Record):
    """One model: what it reads, what it yields, where its files come from, and how they are used.

    Attributes:
        name: names the spec, the folder of its files, and the model in an index's ``_meta``.
        kind: ``dense`` yields one vector, ``multi_vector`` one per token or patch, ``reranker`` a score.
        inputs: what it reads on the passage side.
        dimension: d of the final vectors, after the projection; of a reranker, its labels: 1, or 2 of which
            the second means relevant.
        mrl_dimensions: to how many first components they may be cut, ascending: what the model was trained
            for by Matryoshka representation learning (Kusupati and others, 2022, arXiv:2205.13147).
        normalization: always ``l2``: every vector has unit length.
        text: the text tower; a model for images has one where it takes text queries.
        image: the image tower.
        projection: the linear map, or None.
        session: how ONNX Runtime runs it, or None for what suits most.
        batch_dependent: its vectors change with what else is in the batch, as dynamic quantisation makes
            them; such a model is refused for indexing unless the index allows it.
        files: every file, external data included.
        origin: the archive the files come from; None where they were put into the folder by hand.
        description: one line for ``osmm models list``.
        licence: SPDX id, or ``unknown``.
        source: where the weights were published.
        revision: of the source.
    """

    name: Annotated[str, AfterValidator(check_name)]
    kind: Kind
    inputs: Annotated[tuple[Input, ...], Field(min_length=1)]
    dimension: Annotated[int, Field(ge=1, le=MAX_DIMENSION)]
    normalization: Literal["l2"] = "l2"
    mrl_dimensions: tuple[Annotated[int, Field(ge=1)], ...] = ()
    description: str = ""
    licence: str = "unknown"
    source: str = ""
    revision: str = ""
    origin: MavenOrigin | None = None
    text: TextTower | None = None
    image: ImageTower | None = None
    projection: Projection | None = None
    session: Session | None = None
    batch_dependent: bool = False
    files: Annotated[tuple[ModelFile, ...], Field(min_length=1)]

    @property
    def fingerprint(self) -> str:
        """``sha256:<hex>``: equal on every machine, other when anything that changes vectors is other."""
        digests = {file.path: file.sha256 for file in self.files}
        return fingerprint(self, digests, {path for _, path in self.used_files()})

    def kept_dimension(self, wanted: int | None) -> int:
        """Return the dimension of vectors of which ``wanted`` components are kept, None meaning all.

        Raises:
            InvalidInput: the model's vectors cannot be cut there.
        """
        if wanted in (None, self.dimension):
            return self.dimension
        if wanted not in self.mrl_dimensions:
            possible = ", ".join(map(str, (*self.mrl_dimensions, self.dimension)))
            raise InvalidInput(
                f"dimension: vectors of model '{self.name}' cannot be cut to {wanted}, only to {possible}"
                if self.mrl_dimensions
                else f"dimension: model '{self.name}' was not trained to have its vectors cut "
                f"(no mrl_dimensions in its spec); they have {self.dimension} components, not {wanted}"
            )
        return int(wanted)

    def file(self, path: str) -> ModelFile:
        """Return the record of the file at ``path``."""
        return next(file for file in self.files if file.path == path)

    def used_files(self) -> Iterator[tuple[str, str]]:
        """Yield (role, path) of the files that the towers and the projection name."""
        if self.text:
            yield "text.onnx", self.text.onnx
            yield "text.tokenizer", self.text.tokenizer
        if self.image:
            yield "image.onnx", self.image.onnx
            if self.image.prompt:
                yield "image.prompt.tokenizer", self.image.prompt.tokenizer
        if self.projection:
            yield "projection", self.projection.file

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.inputs)) != len(self.inputs):
            raise ValueError("inputs: each is named once")
        for name in self.inputs:
            if getattr(self, name) is None:
                raise ValueError(f"inputs: '{name}' needs a section [{name}]")
        if self.text is None and self.image is None:
            raise ValueError("a model needs a section [text] or [image]")
        if list(self.mrl_dimensions) != sorted({d for d in self.mrl_dimensions if d < self.dimension}):
            raise ValueError(f"mrl_dimensions: ascending and below the dimension, {self.dimension}")
        paths = [file.path for file in self.files]
        if len({path.casefold() for path in paths}) != len(paths):
            raise ValueError("files: each path is named once")
        for role, path in self.used_files():
            if path not in paths:
                raise ValueError(f"{role}: '{path}' is not among files")
        if self.origin is None and any(file.member for file in self.files):
            raise ValueError("files: a member needs an origin")
        self._check_kind()
        return self

    def _check_kind(self) -> None:
        if self.kind == "reranker":
            if self.text is None or self.image is not None or self.projection is not None:
                raise ValueError("kind 'reranker' has a section [text], no [image] and no [projection]")
            if self.text.pooling != "none" or self.dimension not in (1, 2):
                raise ValueError("kind 'reranker' gives 1 or 2 logits (dimension) and has pooling 'none'")
            if self.text.query_suffix or self.text.passage_suffix:
                raise ValueError("kind 'reranker' has no query_suffix and no passage_suffix")
        if self.kind != "multi_vector" and self.text:
            if self.text.skip_special or self.text.skip_punctuation:
                raise ValueError("skip_special and skip_punctuation are for kind 'multi_vector'")
            if self.text.query_expansion is not None:
                raise ValueError("query_expansion is for kind 'multi_vector'")
        for tower in (self.text, self.image):
            if self.kind == "multi_vector" and tower and tower.pooling != "none":
                raise ValueError(
                    f"kind 'multi_vector' keeps every state: pooling is 'none', not '{tower.pooling}'"
                )
