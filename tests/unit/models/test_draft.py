import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from opensearch_multimodal import download
from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.models import DraftOptions, draft_spec


def config(folder: Path, name: str, **content: Any) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")


def test_a_pooled_output_is_preferred_for_dense(text_folder: Path) -> None:
    spec = draft_spec(text_folder, "tiny")
    assert spec.text is not None
    assert (spec.text.output, spec.text.pooling, spec.dimension) == ("sentence_embedding", "none", 8)
    assert spec.inputs == ("text",)
    assert {file.path: file.sha256 for file in spec.files} == {
        name: download.sha256_of(text_folder / name) for name in ("model.onnx", "tokenizer.json")
    }


def test_states_are_taken_where_pooling_or_kind_asks_for_them(text_folder: Path) -> None:
    mean = draft_spec(text_folder, "tiny", DraftOptions(pooling="mean")).text
    tokens = draft_spec(text_folder, "tiny", DraftOptions(kind="multi_vector", skip_special=True)).text
    assert mean is not None
    assert tokens is not None
    assert (mean.output, mean.pooling) == ("last_hidden_state", "mean")
    assert (tokens.output, tokens.pooling, tokens.skip_special) == ("last_hidden_state", "none", True)


def test_configuration_files_give_the_defaults(text_folder: Path) -> None:
    config(text_folder, "1_Pooling/config.json", pooling_mode_cls_token=True, pooling_mode_mean_tokens=False)
    config(text_folder, "config_sentence_transformers.json", prompts={"query": "q: ", "document": "d: "})
    config(text_folder, "sentence_bert_config.json", max_seq_length=256)
    config(text_folder, "tokenizer_config.json", model_max_length=10**30)
    config(text_folder, "config.json", max_position_embeddings=512)
    options = DraftOptions(text_output="last_hidden_state")
    text = draft_spec(text_folder, "tiny", options).text
    assert text is not None
    assert (text.pooling, text.query_prefix, text.passage_prefix) == ("cls", "q: ", "d: ")
    assert (text.max_query_tokens, text.max_passage_tokens) == (256, 256)
    given = DraftOptions(text_output="last_hidden_state", pooling="last", query_prefix="", max_tokens=64)
    text = draft_spec(text_folder, "tiny", given).text
    assert text is not None
    assert (text.pooling, text.query_prefix, text.max_query_tokens) == ("last", "", 64)


def test_dimensions_to_cut_to_are_read_or_given(text_folder: Path) -> None:
    assert draft_spec(text_folder, "m").mrl_dimensions == ()
    config(text_folder, "config.json", matryoshka_dimensions=[16, 8, 4, 2, "x"])
    assert draft_spec(text_folder, "m").mrl_dimensions == (2, 4)  # the model has 8
    assert draft_spec(text_folder, "m", DraftOptions(mrl_dimensions=[3])).mrl_dimensions == (3,)
    with pytest.raises(InvalidInput, match="mrl_dimensions: ascending and below the dimension, 8"):
        draft_spec(text_folder, "m", DraftOptions(mrl_dimensions=[8]))


def test_late_interaction_configuration_is_read(text_folder: Path) -> None:
    config(
        text_folder,
        "config_sentence_transformers.json",
        query_prefix="[Q] ",
        document_prefix="[D] ",
        query_length=32,
        document_length=180,
        skiplist_words=["!", "."],
    )
    text = draft_spec(text_folder, "tiny", DraftOptions(kind="multi_vector")).text
    assert text is not None
    assert (text.query_prefix, text.passage_prefix, text.skip_punctuation) == ("[Q] ", "[D] ", True)
    assert (text.max_query_tokens, text.max_passage_tokens) == (32, 180)


def test_a_lost_dense_module_is_seen(text_folder: Path) -> None:
    config(text_folder, "2_Dense/config.json", in_features=8, out_features=4)
    with pytest.raises(InvalidInput, match="8 components, the model's Dense module yields 4"):
        draft_spec(text_folder, "tiny")


def test_external_data_is_part_of_the_model(tmp_path: Path, text_folder: Path, tiny: ModuleType) -> None:
    (text_folder / "model.onnx").unlink()
    (text_folder / "onnx").mkdir()
    tiny.write_text_model(text_folder / "onnx" / "model.onnx", external="model.onnx_data")
    spec = draft_spec(text_folder, "tiny")
    assert {file.path for file in spec.files} == {"onnx/model.onnx", "onnx/model.onnx_data", "tokenizer.json"}
    weights = text_folder / "onnx" / "model.onnx_data"
    content = bytearray(weights.read_bytes())
    content[0] ^= 1
    weights.write_bytes(content)
    assert draft_spec(text_folder, "tiny").fingerprint != spec.fingerprint
    weights.unlink()
    with pytest.raises(InvalidInput, match=r"its external data .*model\.onnx_data is missing"):
        draft_spec(text_folder, "tiny")


def test_external_data_outside_the_folder_is_refused(
    tmp_path: Path, text_folder: Path, tiny: ModuleType
) -> None:
    tiny.write_text_model(text_folder / "model.onnx", external="w.bin")
    path = text_folder / "model.onnx"
    path.write_bytes(path.read_bytes().replace(b"w.bin", b"../w."))
    with pytest.raises(InvalidInput, match=r"'\.\./w\.' lies outside"):
        draft_spec(text_folder, "tiny")


def test_two_towers_share_one_space(tmp_path: Path, tiny: ModuleType) -> None:
    tiny.write_text_model(tmp_path / "text_model.onnx")
    tiny.write_image_model(tmp_path / "vision_model.onnx")
    tiny.write_tokenizer(tmp_path / "tokenizer.json")
    spec = draft_spec(tmp_path, "clip", DraftOptions(inputs=("image",)))
    assert spec.inputs == ("image",)
    assert spec.text is not None
    assert spec.image is not None
    assert (spec.image.output, spec.image.pooling, spec.image.size) == ("image_embeds", "none", (16, 16))
    tiny.write_image_model(tmp_path / "vision_model.onnx", dimension=4)
    with pytest.raises(InvalidInput, match="dimension: the towers"):
        draft_spec(tmp_path, "clip")


def test_the_image_processor_is_read(tmp_path: Path, tiny: ModuleType) -> None:
    tiny.write_image_model(tmp_path / "model.onnx", size="side")
    with pytest.raises(InvalidInput, match="--image-size"):
        draft_spec(tmp_path, "eye")
    config(
        tmp_path,
        "preprocessor_config.json",
        size={"shortest_edge": 32},
        crop_size={"height": 32, "width": 32},
        do_center_crop=True,
        resample=2,
        image_mean=[0.1, 0.2, 0.3],
        image_std=[0.4, 0.5, 0.6],
    )
    image = draft_spec(tmp_path, "eye").image
    assert image is not None
    assert (image.size, image.resize, image.resample) == ((32, 32), "crop", "bilinear")
    assert (image.mean, image.std, image.rescale) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 1 / 255)
    config(tmp_path, "preprocessor_config.json", size=24, do_normalize=False, do_rescale=False)
    image = draft_spec(tmp_path, "eye").image
    assert image is not None
    assert (image.size, image.resize, image.rescale) == ((24, 24), "stretch", 1.0)
    assert (image.mean, image.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_a_tower_that_takes_patches_needs_a_spec(tmp_path: Path, tiny: ModuleType) -> None:
    tiny.write_echo_model(tmp_path / "image.onnx", {"patches": 3, "patch_mask": 2})
    with pytest.raises(InvalidInput, match="takes patches, patch_mask; how images are cut in pieces"):
        draft_spec(tmp_path, "eye", DraftOptions(kind="multi_vector"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"size": 32, "crop_size": 32}, ("crop", (32, 32), None)),
        ({"size": {"shortest_edge": 32}, "crop_size": 24}, ("crop", (24, 24), 32)),
        (
            {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 24}},
            ("crop", (32, 24), 32),
        ),
        ({"size": {"height": 32, "width": 32}, "crop_size": 32}, ("stretch", (32, 32), None)),
    ],
)
def test_what_is_cut_out_of_an_image(
    tmp_path: Path, tiny: ModuleType, content: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    tiny.write_image_model(tmp_path / "model.onnx", size="side")
    config(tmp_path, "preprocessor_config.json", do_center_crop=True, **content)
    image = draft_spec(tmp_path, "eye").image
    assert image is not None
    assert (image.resize, image.size, image.shortest_edge) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"size": {"height": 256, "width": 256}, "crop_size": 224, "do_center_crop": True},
            r"stretches to \(256, 256\) and cuts \(224, 224\)",
        ),
        ({"size": {"shortest_edge": 256}}, "only one fixed size"),
    ],
)
def test_an_image_processor_that_is_not_offered_is_refused(
    tmp_path: Path, tiny: ModuleType, content: dict[str, Any], message: str
) -> None:
    tiny.write_image_model(tmp_path / "model.onnx", size="side")
    config(tmp_path, "preprocessor_config.json", **content)
    with pytest.raises(InvalidInput, match=message):
        draft_spec(tmp_path, "eye")


def test_what_is_missing_or_wrong_is_named(tmp_path: Path, text_folder: Path, tiny: ModuleType) -> None:
    def refused(match: str, folder: Path = text_folder, **options: Any) -> None:
        with pytest.raises(InvalidInput, match=match):
            draft_spec(folder, "tiny", DraftOptions(**options))

    refused("is not a folder", tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    refused(r"no ONNX file .*there are: none", tmp_path / "empty")
    refused("--text-onnx: there is no file", text_onnx="other.onnx")
    refused("no output 'logits', only last_hidden_state, sentence_embedding", text_output="logits")
    refused("use --pooling", text_output="last_hidden_state")
    refused("--dimension disagree", dimension=9)
    refused("needs a section", inputs=("text", "image"))
    refused("takes image|does not read image", image_onnx="model.onnx")
    (text_folder / "1_Pooling").mkdir()
    (text_folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}', "utf-8")
    refused("pooling_mode_max_tokens is not offered")
    (text_folder / "1_Pooling" / "config.json").write_text("[]", "utf-8")
    refused("expected a JSON object, got list")
    (text_folder / "1_Pooling" / "config.json").write_text("{", "utf-8")
    refused("not JSON")
    (text_folder / "1_Pooling" / "config.json").unlink()
    (text_folder / "tokenizer.json").unlink()
    refused("no tokenizer.json")
    tiny.write_odd_model(text_folder / "model.onnx")
    refused("its inputs are waveform")
    (text_folder / "model.onnx").write_bytes(b"not a model")
    refused("not an ONNX file")


def test_an_unsafe_name_is_refused(text_folder: Path) -> None:
    with pytest.raises(InvalidInput, match="model name"):
        draft_spec(text_folder, "../tiny")
