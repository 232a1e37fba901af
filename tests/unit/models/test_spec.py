from typing import Any

import pytest
from pydantic import ValidationError

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.models import Grid, ModelSpec, Session, load_spec, parse_spec, spec_text
from opensearch_multimodal.models.spec import check_name


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "a/b", "a\\b", ".hidden", "a..b", "a b", "ä", "x" * 101, "-x", "a\n"]
)
def test_unsafe_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="model name"):
        check_name(name)


@pytest.mark.parametrize("name", ["bge-small-en-v1.5", "A", "0_1", "x" * 100])
def test_safe_names_are_kept(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a\\b", ".verified.json", "a/.x"])
def test_unsafe_paths_are_refused(rich_spec: ModelSpec, path: str) -> None:
    content = rich_spec.model_dump()
    content["files"][3]["path"] = path
    with pytest.raises(ValidationError, match="relative path"):
        ModelSpec.model_validate(content)


def without(content: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in keys}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, "colour"),
        ({"kind": "sparse"}, "kind"),
        ({"inputs": []}, "inputs"),
        ({"inputs": ["text", "text"]}, "named once"),
        ({"inputs": ["sound"]}, "inputs"),
        ({"text": None}, r"needs a section \[text\]"),
        ({"dimension": 0}, "dimension"),
        ({"dimension": 4097}, "dimension"),
        ({"normalization": "none"}, "normalization"),
        ({"origin": None}, "a member needs an origin"),
        ({"projection": {"file": "gone.npy"}}, "not among files"),
        ({"files": []}, "files"),
        ({"kind": "dense"}, "skip_special and skip_punctuation"),
    ],
)
def test_wrong_specs_are_refused(rich_spec: ModelSpec, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelSpec.model_validate(rich_spec.model_dump() | change)


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("text", {"pooling": "mean"}, "multi_vector.*pooling"),
        ("text", {"max_passage_tokens": 7}, "8 tokens"),
        ("text", {"tokenizer": "gone.json"}, "not among files"),
        ("text", {"stride": 3}, "stride"),
        ("image", {"size": [224]}, "size"),
        ("image", {"size": [4, 224]}, "size"),
        ("image", {"std": [0.5, 0.0, 0.5]}, "std"),
        ("image", {"mean": [float("nan")] * 3}, "mean"),
        ("image", {"resize": "squash"}, "resize"),
        ("image", {"size": None}, "layout 'fixed' has a size and no grid"),
        ("image", {"grid": {"patch_size": 16}}, "layout 'fixed' has a size and no grid"),
        ("image", {"resize": "pad"}, "shortest_edge is for resize 'crop', not 'pad'"),
        ("image", {"layout": "spiral"}, "layout"),
        ("image", {"layout": "naflex"}, "layout 'naflex' has a grid instead of size"),
        ("text", {"query_expansion": None}, "expansion_attended needs query_expansion"),
    ],
)
def test_wrong_towers_are_refused(
    rich_spec: ModelSpec, section: str, change: dict[str, Any], message: str
) -> None:
    content = rich_spec.model_dump()
    content[section] |= change
    with pytest.raises(ValidationError, match=message):
        ModelSpec.model_validate(content)


QWEN = {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2, "min_pixels": 3136, "max_pixels": 50176}
IDEFICS3 = {"tile_size": 364, "longest_edge": 1456}
NAFLEX = {"patch_size": 16, "max_patches": 256, "position_side": 16}


@pytest.mark.parametrize(
    ("layout", "grid", "prompt", "message"),
    [
        ("naflex", None, None, r"needs a section \[image.grid\]"),
        ("naflex", {"patch_size": 16}, None, "grid: layout 'naflex' needs max_patches, position_side"),
        ("naflex", NAFLEX | {"merge_size": 2}, None, "grid: layout 'naflex' has no merge_size"),
        ("naflex", NAFLEX | {"split": False}, None, "grid: layout 'naflex' has no split"),
        ("naflex", NAFLEX, {}, "layout 'naflex' has none"),
        ("qwen_vl", QWEN | {"min_pixels": 60000}, None, "min_pixels, 60000, is above max_pixels, 50176"),
        ("qwen_vl", QWEN | {"min_pixels": 1, "max_pixels": 783}, None, "less than one merged patch, 784"),
        ("qwen_vl", QWEN | {"window_size": 27}, None, "window_size, 27, is less than a merged patch, 28"),
        ("qwen_vl", QWEN, {}, "has no image_tokens"),
        ("idefics3", IDEFICS3, None, r"needs a section \[image.prompt\]"),
        ("idefics3", IDEFICS3, {"image_tokens": None}, "layout 'idefics3' needs image_tokens"),
        ("idefics3", IDEFICS3, {"text": "<image><image>"}, "has the image token '<image>' 2 times, not once"),
        (
            "idefics3",
            IDEFICS3,
            {"tokenizer": "gone.json"},
            "image.prompt.tokenizer: 'gone.json' is not among",
        ),
    ],
)
def test_wrong_layouts_are_refused(
    rich_spec: ModelSpec,
    layout: str,
    grid: dict[str, Any] | None,
    prompt: dict[str, Any] | None,
    message: str,
) -> None:
    content = rich_spec.model_dump()
    image = content["image"] | {"layout": layout, "size": None, "resize": "stretch", "shortest_edge": None}
    image["prompt"] = None if prompt is None else image["prompt"] | prompt
    with pytest.raises(ValidationError, match=message):
        ModelSpec.model_validate(content | {"image": image | {"grid": grid}})


def test_suffixes_and_expansion_are_refused_where_they_mean_nothing(rich_spec: ModelSpec) -> None:
    content = rich_spec.model_dump() | {"image": None, "inputs": ["text"]}
    content["text"] |= {"skip_special": False, "skip_punctuation": False}
    with pytest.raises(ValidationError, match="query_expansion is for kind 'multi_vector'"):
        ModelSpec.model_validate(content | {"kind": "dense"})
    reranker = content | {"kind": "reranker", "projection": None, "dimension": 1}
    with pytest.raises(ValidationError, match="kind 'reranker' has no query_suffix"):
        ModelSpec.model_validate(reranker)


def test_a_session_takes_options_per_provider(rich_spec: ModelSpec) -> None:
    session = {
        "optimization": "extended",
        "providers": {"cuda": {"device_id": 1, "cudnn_conv_use_max_workspace": True}},
    }
    spec = ModelSpec.model_validate(rich_spec.model_dump() | {"session": session})
    assert parse_spec(spec_text(spec).encode(), "rich.toml") == spec
    assert spec.session is not None
    assert spec.session.providers["cuda"] == {"device_id": 1, "cudnn_conv_use_max_workspace": True}


def test_a_spec_is_frozen(rich_spec: ModelSpec) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        rich_spec.dimension = 3  # type: ignore[misc]


def test_the_text_of_a_spec_reads_back(rich_spec: ModelSpec) -> None:
    assert parse_spec(spec_text(rich_spec).encode(), "rich.toml") == rich_spec


def test_a_wrong_spec_file_is_named_with_its_place() -> None:
    text = spec_text(load_spec("bge-small-en-v1.5")).replace('pooling = "cls"', 'pooling = "max"')
    with pytest.raises(InvalidInput, match=r"mine\.toml: text\.pooling: "):
        parse_spec(text.encode(), "mine.toml")
    for broken in (b"name = ", b"\xff\xfe"):
        with pytest.raises(InvalidInput, match=r"mine\.toml: not TOML"):
            parse_spec(broken, "mine.toml")


def test_vectors_are_cut_only_where_the_model_was_trained_for_it(rich_spec: ModelSpec) -> None:
    nested = ModelSpec.model_validate(rich_spec.model_dump() | {"mrl_dimensions": [16, 32]})
    assert [nested.kept_dimension(wanted) for wanted in (None, 64, 32, 16)] == [64, 64, 32, 16]
    with pytest.raises(InvalidInput, match="cannot be cut to 24, only to 16, 32, 64"):
        nested.kept_dimension(24)
    with pytest.raises(InvalidInput, match=r"no mrl_dimensions in its spec.*64 components, not 16"):
        rich_spec.kept_dimension(16)


@pytest.mark.parametrize("dimensions", [[32, 16], [16, 16], [64], [128], [0]])
def test_dimensions_to_cut_to_are_ascending_and_below_the_model_s(
    rich_spec: ModelSpec, dimensions: list[int]
) -> None:
    with pytest.raises(ValidationError, match="mrl_dimensions"):
        ModelSpec.model_validate(rich_spec.model_dump() | {"mrl_dimensions": dimensions})


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"patch_size": 16, "max_patches": 10**6, "position_side": 16}, "max_patches of 16 pixels each"),
        ({"patch_size": 14, "merge_size": 2, "max_pixels": 10**9}, "max_pixels is above 67108864"),
        ({"patch_size": 14, "merge_size": 2, "min_pixels": 10**9}, "min_pixels is above 67108864"),
        ({"tile_size": 8, "longest_edge": 8192}, "longest_edge is more than 32 tiles of 8 pixels"),
    ],
)
def test_grids_that_no_memory_holds_are_refused(grid: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Grid.model_validate(grid)


@pytest.mark.parametrize(
    ("providers", "message"),
    [
        ({"tensorrt": {"trt_extra_plugin_lib_paths": "/x.so"}}, "'trt_extra_plugin_lib_paths' is not one of"),
        ({"tensorrt": {"trt_fp16_enable": True}}, "'trt_fp16_enable' is not one of"),
        ({"cuda": {"gpu_external_alloc": 1}}, "'gpu_external_alloc' is not one of"),
        ({"openvino": {"cache_dir": "/"}}, "options are for cuda and tensorrt, not 'openvino'"),
    ],
)
def test_a_session_loads_no_code_and_changes_no_vector(providers: dict[str, Any], message: str) -> None:
    Session(providers={"cuda": {"device_id": 1}, "tensorrt": {"trt_builder_optimization_level": 5}})
    with pytest.raises(ValidationError, match=message):
        Session(providers=providers)
