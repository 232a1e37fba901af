"""ModelSpec: everything about a model that its vectors depend on, as a frozen record read from TOML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ..errors import InvalidInput
from ..types import MAX_DIMENSION, Input

__all__ = [
    "ImageTower",
    "Kind",
    "LongInput",
    "MavenOrigin",
    "ModelFile",
    "ModelSpec",
    "Pooling",
    "Projection",
    "TextTower",
    "check_name",
]

Kind = Literal["dense", "multi_vector", "reranker"]
Pooling = Literal["cls", "mean", "last", "none"]
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


def _safe_path(path: str) -> str:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or pure.name.startswith("."):
        raise ValueError("a file is named by a relative path with '/' that does not leave the model's folder")
    return str(pure)


def _tokens(value: int) -> int:
    if value < 8:
        raise ValueError("a model reads at least 8 tokens")
    return value


FilePath = Annotated[str, AfterValidator(_safe_path)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
TokenLimit = Annotated[int, AfterValidator(_tokens)]
Channels = tuple[float, float, float]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MavenOrigin(_Record):
    """A jar in a Maven repository that holds the model's files.

    Attributes:
        coordinates: ``group:artifact:version[:packaging[:classifier]]``.
        sha256: the jar's digest.
        size: the jar's size in bytes.
    """

    coordinates: str
    sha256: Sha256
    size: Annotated[int, Field(gt=0)]


class ModelFile(_Record):
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


class TextTower(_Record):
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
    max_query_tokens: TokenLimit = 512
    max_passage_tokens: TokenLimit = 512
    long_input: LongInput = "window"
    skip_special: bool = False
    skip_punctuation: bool = False


class ImageTower(_Record):
    """How page images become vectors.

    Attributes:
        onnx: the ONNX file; its one input takes pixels, shape (n, 3, height, width).
        output: the name of the ONNX output to take.
        pooling: as for text, over patch states (n, patches, d).
        size: (height, width) in pixels of what the model reads.
        resize: ``stretch`` to that size; ``crop`` scales until both sides cover it and cuts the centre;
            ``pad`` scales until both sides fit and fills the rest with white at the right and the bottom.
        resample: the filter.
        rescale: the factor on the 0–255 channel values.
        mean: subtracted after rescaling, in the order of ``channels``.
        std: divided by then, in the order of ``channels``.
        channels: the order of the colour channels.
    """

    onnx: FilePath
    output: str
    pooling: Pooling
    size: tuple[Annotated[int, Field(ge=8, le=8192)], Annotated[int, Field(ge=8, le=8192)]]
    resize: Literal["stretch", "crop", "pad"] = "stretch"
    resample: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"
    rescale: Annotated[float, Field(gt=0)] = 1 / 255
    mean: Channels = (0.5, 0.5, 0.5)
    std: Channels = (0.5, 0.5, 0.5)
    channels: Literal["rgb", "bgr"] = "rgb"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if min(self.std) <= 0:
            raise ValueError("every std is above 0")
        return self


class Projection(_Record):
    """A linear map on the unit-length vectors of every tower, before the final normalization.

    Attributes:
        file: a ``.npy`` array of shape (model dimension, dimension), float16 or float32: y = x @ array.
    """

    file: FilePath


class ModelSpec(_Record):
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
    files: Annotated[tuple[ModelFile, ...], Field(min_length=1)]

    @property
    def fingerprint(self) -> str:
        """``sha256:<hex>``: equal on every machine, other when anything that changes vectors is other."""
        from .fingerprint import fingerprint

        return fingerprint(self)

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
        if (
            self.kind != "multi_vector"
            and self.text
            and (self.text.skip_special or self.text.skip_punctuation)
        ):
            raise ValueError("skip_special and skip_punctuation are for kind 'multi_vector'")
        for tower in (self.text, self.image):
            if self.kind == "multi_vector" and tower and tower.pooling != "none":
                raise ValueError(
                    f"kind 'multi_vector' keeps every state: pooling is 'none', not '{tower.pooling}'"
                )
