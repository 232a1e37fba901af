"""How page images become vectors: what a spec says of an image tower, its grid and its prompt."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .record import FilePath, Record

__all__ = ["Grid", "ImageTower", "Layout", "Pooling", "Prompt"]

Pooling = Literal["cls", "mean", "last", "none"]
Layout = Literal["fixed", "naflex", "qwen_vl", "idefics3"]

Channels = tuple[float, float, float]
Side = Annotated[int, Field(ge=1, le=8192)]
Positive = Annotated[int, Field(ge=1)]

_GRID_NEEDS: dict[Layout, tuple[str, ...]] = {
    "naflex": ("patch_size", "max_patches", "position_side"),
    "qwen_vl": ("patch_size", "merge_size", "temporal_patch_size", "min_pixels", "max_pixels"),
    "idefics3": ("tile_size", "longest_edge"),
}
_GRID_MAY: dict[Layout, tuple[str, ...]] = {
    "naflex": (),
    "qwen_vl": ("window_size", "position_side"),
    "idefics3": ("split",),
}
"""Layout → the numbers of `Grid` that it must and may have."""


_MOST_PIXELS = 2**26
_MOST_TILES = 32


class Grid(Record):
    """How an image of any shape is cut in pieces; each layout takes its own of these numbers.

    Attributes:
        patch_size: naflex, qwen_vl: the side of a patch in pixels.
        max_patches: naflex: the most patches of an image.
        position_side: naflex, and qwen_vl where its vision tower has one (Qwen3-VL): the side of the square
            table of learnt position embeddings.
        merge_size: qwen_vl: so many patches by so many become one token of the language model.
        temporal_patch_size: qwen_vl: how many frames a patch holds; a page is repeated so often.
        min_pixels: qwen_vl: an image of fewer pixels is enlarged.
        max_pixels: qwen_vl: an image of more pixels is reduced.
        window_size: qwen_vl, Qwen2.5-VL only: the side of an attention window in pixels.
        longest_edge: idefics3: the length of the longer side before the image is cut in tiles.
        tile_size: idefics3: the side of a tile in pixels.
        split: idefics3: cut in tiles and add the whole page as a last one; without, the whole page only.
    """

    patch_size: Side | None = None
    max_patches: Positive | None = None
    position_side: Side | None = None
    merge_size: Annotated[int, Field(ge=1, le=64)] | None = None
    temporal_patch_size: Annotated[int, Field(ge=1, le=64)] | None = None
    min_pixels: Positive | None = None
    max_pixels: Positive | None = None
    window_size: Side | None = None
    longest_edge: Side | None = None
    tile_size: Side | None = None
    split: bool = True

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.min_pixels and self.max_pixels and self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels, {self.min_pixels}, is above max_pixels, {self.max_pixels}")
        block = (self.patch_size or 1) * (self.merge_size or 1)
        if self.max_pixels and self.max_pixels < block * block:
            raise ValueError(f"max_pixels, {self.max_pixels}, is less than one merged patch, {block * block}")
        for field in ("min_pixels", "max_pixels"):
            if (getattr(self, field) or 0) > _MOST_PIXELS:
                raise ValueError(f"{field} is above {_MOST_PIXELS}, what a page may have")
        if (self.max_patches or 0) * (self.patch_size or 1) ** 2 > _MOST_PIXELS:
            raise ValueError(f"max_patches of {self.patch_size} pixels each are above {_MOST_PIXELS} pixels")
        if self.tile_size and self.longest_edge and self.longest_edge > _MOST_TILES * self.tile_size:
            raise ValueError(f"longest_edge is more than {_MOST_TILES} tiles of {self.tile_size} pixels")
        if self.window_size and self.window_size < block:
            raise ValueError(f"window_size, {self.window_size}, is less than a merged patch, {block}")
        return self


class Prompt(Record):
    """The text that a language model reads together with a page.

    Attributes:
        tokenizer: its ``tokenizer.json``.
        text: the whole prompt, special tokens included, with ``image_token`` once where the page belongs.
        image_token: the placeholder; in what the model reads it stands once per vector of the page.
        image_tokens: fixed: how many they are; idefics3: how many per tile; not for qwen_vl, whose grid
            says it.
        add_special_tokens: whether the tokenizer's own template is applied to the text.
        fake_token: idefics3: stands around the image tokens of a tile.
        global_token: idefics3: stands before the image tokens of the tile that is the whole page.
        tile_token: idefics3: stands before those of another tile; ``{row}`` and ``{column}`` count from 1.
    """

    tokenizer: FilePath
    text: Annotated[str, Field(min_length=1, max_length=100_000)]
    image_token: Annotated[str, Field(min_length=1, max_length=100)]
    image_tokens: Annotated[int, Field(ge=1, le=100_000)] | None = None
    add_special_tokens: bool = True
    fake_token: str = "<fake_token_around_image>"  # noqa: S105 - a token of a vocabulary
    global_token: str = "<global-img>"  # noqa: S105
    tile_token: str = "<row_{row}_col_{column}>"  # noqa: S105

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (count := self.text.count(self.image_token)) != 1:
            raise ValueError(f"text has the image token '{self.image_token}' {count} times, not once")
        return self


class ImageTower(Record):
    """How page images become vectors.

    Attributes:
        onnx: the ONNX file. What it takes depends on the layout, see `encoder.images`; a ``fixed`` one
            without prompt may call its one input, shape (n, 3, height, width), as it likes.
        output: the name of the ONNX output to take.
        pooling: as for text, over patch states (n, patches, d) or token states (n, tokens, d).
        layout: how the model reads an image: ``fixed`` as one picture of ``size``; ``naflex`` as patches of
            an image that keeps its shape (SigLIP2 NaFlex); ``qwen_vl`` likewise, in blocks of patches that
            are merged (Qwen2-VL, Qwen2.5-VL, Qwen3-VL); ``idefics3`` as square tiles and the whole page.
        size: fixed: (height, width) in pixels of what the model reads.
        resize: fixed: ``stretch`` to that size; ``crop`` scales until both sides cover it and cuts the
            centre; ``pad`` scales until both sides fit and fills the rest with white at the right and the
            bottom.
        shortest_edge: with ``crop``: the length of the shorter side before the centre is cut, where it is
            not what just covers the size; what is missing is filled with black.
        resample: the filter.
        rescale: the factor on the 0–255 channel values.
        mean: subtracted after rescaling, in the order of ``channels``.
        std: divided by then, in the order of ``channels``.
        channels: the order of the colour channels.
        grid: how the image is cut in pieces; for every layout but ``fixed``.
        prompt: what a language model reads with it.
    """

    onnx: FilePath
    output: str
    pooling: Pooling
    layout: Layout = "fixed"
    size: tuple[Annotated[int, Field(ge=8, le=8192)], Annotated[int, Field(ge=8, le=8192)]] | None = None
    resize: Literal["stretch", "crop", "pad"] = "stretch"
    shortest_edge: Side | None = None
    resample: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"
    rescale: Annotated[float, Field(gt=0)] = 1 / 255
    mean: Channels = (0.5, 0.5, 0.5)
    std: Channels = (0.5, 0.5, 0.5)
    channels: Literal["rgb", "bgr"] = "rgb"
    grid: Grid | None = None
    prompt: Prompt | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if min(self.std) <= 0:
            raise ValueError("every std is above 0")
        if self.layout == "fixed":
            if self.size is None or self.grid is not None:
                raise ValueError("layout 'fixed' has a size and no grid")
            if self.shortest_edge is not None and self.resize != "crop":
                raise ValueError(f"shortest_edge is for resize 'crop', not '{self.resize}'")
        else:
            self._check_grid(self.layout)
        if self.prompt is not None:
            self._check_prompt(self.prompt)
        elif self.layout == "idefics3":
            raise ValueError("layout 'idefics3' needs a section [image.prompt]")
        return self

    def _check_grid(self, layout: Layout) -> None:
        if self.size is not None or self.resize != "stretch" or self.shortest_edge is not None:
            raise ValueError(f"layout '{layout}' has a grid instead of size, resize and shortest_edge")
        if self.grid is None:
            raise ValueError(f"layout '{layout}' needs a section [image.grid]")
        given = {field for field in Grid.model_fields if getattr(self.grid, field) is not None}
        if self.grid.split:
            given.discard("split")
        needs, may = set(_GRID_NEEDS[layout]), set(_GRID_MAY[layout])
        if missing := sorted(needs - given):
            raise ValueError(f"grid: layout '{layout}' needs {', '.join(missing)}")
        if strange := sorted(given - needs - may):
            raise ValueError(f"grid: layout '{layout}' has no {', '.join(strange)}")

    def _check_prompt(self, prompt: Prompt) -> None:
        if self.layout == "naflex":
            raise ValueError("prompt: layout 'naflex' has none")
        if (prompt.image_tokens is None) != (self.layout == "qwen_vl"):
            raise ValueError(
                "prompt: layout 'qwen_vl' has no image_tokens, its grid says how many they are"
                if self.layout == "qwen_vl"
                else f"prompt: layout '{self.layout}' needs image_tokens"
            )
