"""The fingerprint changes with everything that changes vectors, and with nothing else."""

from typing import Any

import pytest
from pydantic import BaseModel

from opensearch_multimodal.models import (
    Grid,
    ImageTower,
    MavenOrigin,
    ModelFile,
    ModelSpec,
    Projection,
    Prompt,
    Session,
    TextTower,
    load_spec,
)
from opensearch_multimodal.models.fingerprint import BEHAVIOUR, DESCRIPTIVE

RECORDS: list[type[BaseModel]] = [
    ModelSpec,
    TextTower,
    ImageTower,
    Grid,
    Prompt,
    Projection,
    Session,
    ModelFile,
    MavenOrigin,
]

OTHER_VALUES: dict[str, Any] = {
    "kind": None,  # tested on a spec whose pooling fits both kinds
    "dimension": 65,
    "normalization": None,  # has one value only
    "text": None,
    "image": None,
    "projection": None,
    "text.onnx": "image.onnx",
    "text.tokenizer": "text.onnx_data",
    "text.output": "other",
    "text.pooling": None,
    "text.query_prefix": "query:",
    "text.passage_prefix": "",
    "text.query_suffix": "<pad>",
    "text.passage_suffix": "<pad>",
    "text.query_expansion": "[PAD]",
    "text.expansion_attended": False,
    "text.max_query_tokens": 33,
    "text.max_passage_tokens": 301,
    "text.long_input": "window",
    "text.skip_special": False,
    "text.skip_punctuation": False,
    "image.onnx": "text.onnx",
    "image.output": "other",
    "image.pooling": None,
    "image.layout": None,
    "image.size": [336, 224],
    "image.resize": None,
    "image.shortest_edge": 300,
    "image.resample": "lanczos",
    "image.rescale": 0.00390625,
    "image.mean": [0.1, 0.2, 0.31],
    "image.std": [0.4, 0.5, 0.7],
    "image.channels": "rgb",
    "image.grid": None,
    "image.prompt": None,
    "image.prompt.tokenizer": "text.onnx_data",
    "image.prompt.text": "<image>Describe!",
    "image.prompt.image_token": "Describe",
    "image.prompt.image_tokens": 5,
    "image.prompt.add_special_tokens": True,
    "image.prompt.fake_token": "<fake>",
    "image.prompt.global_token": "<whole>",
    "image.prompt.tile_token": "<row_{row}>",
    "projection.file": "text.onnx_data",
}
"""Every behaviour-relevant setting of the fixture ``rich_spec`` → another value, None where tested apart."""

OTHER_DESCRIPTIONS: dict[str, Any] = {
    "name": "other",
    "inputs": ["image", "text"],
    "mrl_dimensions": [16, 32],
    "description": "other",
    "licence": "other",
    "source": "other",
    "revision": "other",
    "origin": {"coordinates": "g:b:2", "sha256": "b" * 64, "size": 8},
    "session": {"optimization": "basic"},
    "batch_dependent": True,
}

ADDED = {
    "text": ("query_suffix", "passage_suffix", "query_expansion", "expansion_attended"),
    "image": ("layout", "shortest_edge", "grid", "prompt"),
}
"""Settings that came later, with the old behaviour as their default: earlier specs lack them."""

GRIDS: dict[str, dict[str, Any]] = {
    "naflex": {"patch_size": 16, "max_patches": 256, "position_side": 16},
    "qwen_vl": {
        "patch_size": 14,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "min_pixels": 3136,
        "max_pixels": 1003520,
        "window_size": 112,
        "position_side": 48,
    },
    "idefics3": {"tile_size": 364, "longest_edge": 1456, "split": False},
}
"""Layout → a grid in which every number is filled."""


def changed(spec: ModelSpec, place: str, value: Any) -> ModelSpec:
    content = spec.model_dump()
    target = content
    *parents, last = place.split(".")
    for parent in parents:
        target = target[parent]
    assert last in target
    target[last] = value
    return ModelSpec.model_validate(content)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_field_is_in_exactly_one_group(record: type[BaseModel]) -> None:
    relevant = BEHAVIOUR.get(record.__name__, set())
    descriptive = DESCRIPTIVE.get(record.__name__, set())
    assert not relevant & descriptive
    assert relevant | descriptive == set(record.model_fields)


def test_every_field_is_tried_below() -> None:
    relevant = BEHAVIOUR["ModelSpec"] - {"files"}
    relevant |= {f"text.{field}" for field in BEHAVIOUR["TextTower"]}
    relevant |= {f"image.{field}" for field in BEHAVIOUR["ImageTower"]}
    relevant |= {f"image.prompt.{field}" for field in BEHAVIOUR["Prompt"]}
    relevant |= {f"projection.{field}" for field in BEHAVIOUR["Projection"]}
    assert set(OTHER_VALUES) == relevant
    assert set(OTHER_DESCRIPTIONS) == DESCRIPTIVE["ModelSpec"]


@pytest.mark.parametrize("place", [place for place, value in OTHER_VALUES.items() if value is not None])
def test_changes_with_setting(rich_spec: ModelSpec, place: str) -> None:
    assert changed(rich_spec, place, OTHER_VALUES[place]).fingerprint != rich_spec.fingerprint


def of_layout(spec: ModelSpec, layout: str, **grid: Any) -> ModelSpec:
    """Return the spec with another layout, its numbers overridden."""
    content = spec.model_dump()
    content["image"] |= {"layout": layout, "size": None, "resize": "stretch", "shortest_edge": None}
    content["image"]["grid"] = GRIDS[layout] | grid
    tokens = {"naflex": None, "qwen_vl": {"image_tokens": None}, "idefics3": {}}[layout]
    content["image"]["prompt"] = None if tokens is None else content["image"]["prompt"] | tokens
    return ModelSpec.model_validate(content)


def test_changes_with_every_number_of_a_grid(rich_spec: ModelSpec) -> None:
    assert {field for numbers in GRIDS.values() for field in numbers} == BEHAVIOUR["Grid"]
    specs = [rich_spec, changed(rich_spec, "image.prompt", None)]
    for layout, numbers in GRIDS.items():
        specs.append(of_layout(rich_spec, layout))
        for field, value in numbers.items():
            specs.append(of_layout(rich_spec, layout, **{field: value + 1 if field != "split" else True}))
    fingerprints = [spec.fingerprint for spec in specs]
    assert len(set(fingerprints)) == len(fingerprints)


def test_changes_with_resize(rich_spec: ModelSpec) -> None:
    content = rich_spec.model_dump()
    content["image"]["shortest_edge"] = None
    specs = [rich_spec, ModelSpec.model_validate(content)]
    specs += [changed(specs[1], "image.resize", other) for other in ("pad", "stretch")]
    assert len({spec.fingerprint for spec in specs}) == 4


@pytest.mark.parametrize("place", OTHER_DESCRIPTIONS)
def test_stays_with_description(rich_spec: ModelSpec, place: str) -> None:
    assert changed(rich_spec, place, OTHER_DESCRIPTIONS[place]).fingerprint == rich_spec.fingerprint


@pytest.mark.parametrize("position", range(5))
def test_changes_with_each_file(rich_spec: ModelSpec, position: int) -> None:
    content = rich_spec.model_dump()
    content["files"][position]["sha256"] = "f" * 64
    assert ModelSpec.model_validate(content).fingerprint != rich_spec.fingerprint


def test_changes_with_sections_and_kind(rich_spec: ModelSpec) -> None:
    content = rich_spec.model_dump()
    plain = {"skip_special": False, "skip_punctuation": False}
    plain |= {"query_expansion": None, "expansion_attended": False}
    variants = [
        content | {"projection": None},
        content | {"image": None, "inputs": ["text"]},
        content | {"text": None, "inputs": ["image"]},
        content | {"text": content["text"] | plain},
    ]
    specs = [rich_spec, *map(ModelSpec.model_validate, variants)]
    dense = ModelSpec.model_validate(variants[3] | {"kind": "dense"})
    pooled = [
        changed(changed(dense, "text.pooling", pooling), "image.pooling", other)
        for pooling, other in [("mean", "none"), ("cls", "none"), ("last", "none"), ("none", "mean")]
    ]
    fingerprints = [spec.fingerprint for spec in [*specs, dense, *pooled]]
    assert len(set(fingerprints)) == len(fingerprints)


def test_does_not_depend_on_names_paths_or_order_of_files(rich_spec: ModelSpec) -> None:
    content = rich_spec.model_dump()
    content["files"] = [
        file | {"path": f"elsewhere/{file['path']}", "member": None, "size": 1}
        for file in reversed(content["files"])
    ]
    content |= {"origin": None, "name": "same-model"}
    content["text"] |= {"onnx": "elsewhere/text.onnx", "tokenizer": "elsewhere/tokenizer.json"}
    content["image"] |= {"onnx": "elsewhere/image.onnx"}
    content["image"]["prompt"]["tokenizer"] = "elsewhere/tokenizer.json"
    content["projection"] = {"file": "elsewhere/projection.npy"}
    assert ModelSpec.model_validate(content).fingerprint == rich_spec.fingerprint


def test_a_tower_swap_is_seen(rich_spec: ModelSpec) -> None:
    """The same set of digests in other roles is another model."""
    content = rich_spec.model_dump()
    content["text"]["onnx"], content["image"]["onnx"] = "image.onnx", "text.onnx"
    assert ModelSpec.model_validate(content).fingerprint != rich_spec.fingerprint


def test_fingerprints_never_change_by_accident(rich_spec: ModelSpec) -> None:
    """If this fails, every index in the world is refused: raise the encoding version only on purpose."""
    earlier = rich_spec.model_dump()
    for section, fields in ADDED.items():
        earlier[section] = {key: value for key, value in earlier[section].items() if key not in fields}
    assert {
        "rich": ModelSpec.model_validate(earlier).fingerprint,
        "richer": rich_spec.fingerprint,
        **{n: load_spec(n).fingerprint for n in ("bge-small-en-v1.5", "all-minilm-l6-v2-tokens")},
    } == {
        "rich": "sha256:69af974768d89e74813540186089c5b7077e786d4d2edaba5685583641414527",
        "richer": "sha256:06b1dcbb5fb4821923561c71a3472aaf39e7c69b1c8f357bcf07f829d6dc66a2",
        "bge-small-en-v1.5": "sha256:d2e8c54a16c24c4dc35a703a5a30ba8c334ac860273c34366565b63a5c4e1dd7",
        "all-minilm-l6-v2-tokens": "sha256:17477648db400ac5390acb240c48a017066a74948433005620327fada7ffdea8",
    }
