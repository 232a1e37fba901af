"""Every export compares what its spec says of pages, prompts and queries with the folder's own processor."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import tiny_clip
import tiny_colpali
import tiny_idefics3
import tiny_qwen
import tiny_siglip

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.export import ExportOptions, Plan, Source, export_model, open_source
from opensearch_multimodal.export.architectures import recognise
from opensearch_multimodal.export.preprocessing import compare_preprocessing

MANY: dict[str, Any] = {"kind": "multi_vector"}
FAMILIES: dict[str, tuple[Callable[[Path], Path], dict[str, Any], list[tuple[str, str, bool]]]] = {
    "CLIP": (tiny_clip.make, {}, [("pages", "CLIPImageProcessorPil", False)]),
    "SigLIP": (tiny_siglip.make, {}, [("pages", "SiglipImageProcessorPil", False)]),
    "SigLIP2 NaFlex": (tiny_siglip.make_naflex, {}, [("pages", "Siglip2ImageProcessorPil", False)]),
    "ColPali": (
        tiny_colpali.make,
        MANY,
        [("pages", "ColPaliProcessor", True), ("queries", "ColPaliProcessor", False)],
    ),
    "ColQwen2": (
        tiny_qwen.make_colqwen2,
        MANY,
        [("pages", "ColQwen2Processor", True), ("queries", "ColQwen2Processor", False)],
    ),
    "ColQwen2, merged": (tiny_qwen.make_engine_colqwen, MANY, [("pages", "Qwen2VLProcessor", True)]),
    "Qwen3-VL-Embedding": (tiny_qwen.make_qwen_embedding, {}, [("pages", "Qwen3VLProcessor", True)]),
    "ColIdefics3": (tiny_idefics3.make_colidefics3, MANY, [("pages", "Idefics3Processor", True)]),
    "ColModernVBERT": (
        tiny_idefics3.make_colmodernvbert,
        MANY,
        [("pages", "ColModernVBertProcessor", True), ("queries", "ColModernVBertProcessor", False)],
    ),
}


@dataclass(frozen=True)
class Exported:
    """The plan of an export, and the folder of its tokenizer."""

    source: Source
    plan: Plan
    folder: Path

    def compare(self, **changed: Any) -> Any:
        """Compare with settings of the image changed, or of its prompt."""
        image = {**(self.plan.image or {}), **changed}
        return compare_preprocessing(self.source, replace(self.plan, image=image), self.folder)


def exported(name: str, folder: Path, **options: Any) -> Exported:
    make, said, _ = FAMILIES[name]
    return planned(make(folder / "model"), folder, **said, **options)


def planned(model: Path, folder: Path, **said: Any) -> Exported:
    source = open_source(str(model))
    options = ExportOptions(**said)
    plan = recognise(source.config, options).plan(source, options)
    out = folder / "out"
    out.mkdir()
    plan.write_files(out)
    return Exported(source, plan, out)


@pytest.fixture(scope="module")
def colpali(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported("ColPali", tmp_path_factory.mktemp("colpali"))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_reads_as_its_processor_does(name: str, tmp_path: Path) -> None:
    found, notes = exported(name, tmp_path).compare()
    assert [(one.what, one.processor, one.prompt) for one in found] == FAMILIES[name][2]
    assert all(one.max_difference <= 1e-6 for one in found)
    assert notes == ()


def test_another_mean_is_refused(colpali: Exported) -> None:
    with pytest.raises(InvalidInput, match=r"a page of 620 × 877 pixels becomes numbers that differ by"):
        colpali.compare(mean=(0.4, 0.5, 0.5))


def test_another_size_is_refused(colpali: Exported) -> None:
    with pytest.raises(InvalidInput, match=r"becomes numbers of shape .* by the spec, .* by the folder's"):
        colpali.compare(size=(64, 64))


def test_another_prompt_is_refused(colpali: Exported) -> None:
    prompt = (colpali.plan.image or {})["prompt"]
    with pytest.raises(InvalidInput, match=r"and its prompt: the spec gives \d+ tokens, the folder's"):
        colpali.compare(prompt={**prompt, "text": f"{prompt['text']}?"})


def test_another_prefix_of_queries_is_refused(colpali: Exported) -> None:
    plan = replace(colpali.plan, text={**(colpali.plan.text or {}), "query_prefix": "search: "})
    with pytest.raises(InvalidInput, match=r"the query 'Which valve opens first\?': the spec gives"):
        compare_preprocessing(colpali.source, plan, colpali.folder)
    found, [note] = compare_preprocessing(colpali.source, plan, colpali.folder, queries=False)
    assert [one.what for one in found] == ["pages"]
    assert note.startswith("Queries: not compared")


def test_a_limit_of_pixels_that_small_pages_do_not_reach_is_refused(tmp_path: Path) -> None:
    made = exported("Qwen3-VL-Embedding", tmp_path)
    grid = (made.plan.image or {})["grid"]
    with pytest.raises(
        InvalidInput, match=r"max_pixels is \d+ by the spec, \d+ by the folder's Qwen2VLImage"
    ):
        made.compare(grid={**grid, "max_pixels": 4 * grid["max_pixels"]})


@pytest.mark.parametrize("name", ["ColPali", "ColQwen2", "ColModernVBERT"])
def test_a_limit_below_the_length_of_a_query_is_no_difference(name: str, tmp_path: Path) -> None:
    found, _ = exported(name, tmp_path, max_tokens=24).compare()
    assert [one.what for one in found] == ["pages", "queries"]


def test_limits_that_the_training_program_sets_are_the_processors_too(tmp_path: Path) -> None:
    folder = tiny_qwen.make_qwen_embedding(
        tmp_path / "model", backbone="qwen2_vl", architecture="GmeQwen2VLForVision2Seq"
    )
    made = planned(folder, tmp_path)
    assert made.plan.processor_settings
    [pages], notes = made.compare()
    assert (pages.processor, pages.prompt, notes) == ("Qwen2VLProcessor", True, ())
    result = export_model(made.source, "gme", out=tmp_path / "exported")
    assert result.parity.preprocessing == (pages,)


def test_a_merged_colqwen_that_names_its_own_processor_keeps_its_own_prompts(tmp_path: Path) -> None:
    """colpali-engine's processor has the name of transformers', and another prefix and suffix."""
    folder = tiny_qwen.make_engine_colqwen(tmp_path / "model")
    settings(folder, "processor_config.json", processor_class="ColQwen2Processor")
    settings(folder, "tokenizer_config.json", processor_class="ColQwen2Processor")
    [pages], notes = planned(folder, tmp_path, kind="multi_vector").compare()
    assert (pages.what, pages.prompt) == ("pages", False)
    assert [note.partition(":")[0] for note in notes] == ["Prompt of pages", "Queries"]


def test_a_processor_that_cannot_run_is_a_note(tmp_path: Path) -> None:
    made = exported("Qwen3-VL-Embedding", tmp_path)
    broken = replace(made.plan, processor_settings={"size": {"height": 3}})
    found, [note] = compare_preprocessing(made.source, broken, made.folder)
    assert found == ()
    assert note.startswith("Images: not compared with a processor: ")


def test_an_empty_prefix_of_a_folder_is_kept(tmp_path: Path) -> None:
    folder = tiny_colpali.make(tmp_path / "model")
    settings(folder, "processor_config.json", query_prefix="")
    made = planned(folder, tmp_path, kind="multi_vector")
    assert (made.plan.text or {})["query_prefix"] == "<bos>"
    assert len(made.compare()[0]) == 2


def settings(folder: Path, name: str, **values: Any) -> None:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values), encoding="utf-8")


def test_a_processor_that_cannot_be_loaded_is_a_note(tmp_path: Path) -> None:
    made = exported("CLIP", tmp_path)
    for path in made.source.folder.glob("*processor_config.json"):
        content = json.loads(path.read_text("utf-8"))
        for part in (content, content.get("image_processor", {})):
            part["image_processor_type"] = "NoSuchProcessor"
        path.write_text(json.dumps(content), encoding="utf-8")
    found, [note] = made.compare()
    assert found == ()
    assert note.startswith("Images: not compared with a processor: ValueError: Unrecognized")
