"""Every export compares what its spec says of pages, prompts and queries with the folder's own processor."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tiny_clip
import tiny_colpali
import tiny_idefics3
import tiny_qwen
import tiny_siglip

from opensearch_multimodal.errors import InvalidInput
from opensearch_multimodal.export import ExportOptions, Source, open_source
from opensearch_multimodal.export.architectures import recognise
from opensearch_multimodal.export.preprocessing import compare_preprocessing
from opensearch_multimodal.export.specs import make_spec
from opensearch_multimodal.models import ModelFile, ModelSpec

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
    """The spec that an export would write, and its tokenizer's folder."""

    source: Source
    spec: ModelSpec
    folder: Path

    def compare(self, **changed: Any) -> Any:
        return compare_preprocessing(self.source, self.spec.model_copy(update=changed), self.folder)


def exported(name: str, folder: Path) -> Exported:
    make, said, _ = FAMILIES[name]
    source = open_source(str(make(folder / "model")))
    options = ExportOptions(**said)
    plan = recognise(source.config, options).plan(source, options)
    out = folder / "out"
    out.mkdir()
    for file, content in plan.files.items():
        (out / file).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    names = [*plan.files, *(graph.file for graph in plan.graphs)]
    files = tuple(ModelFile(path=file, sha256="0" * 64, size=1) for file in names)
    return Exported(source, make_spec(plan, "tiny", files, source, options), out)


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
    image = colpali.spec.image
    assert image is not None
    with pytest.raises(
        InvalidInput, match=r"a page of 620 × 877 pixels becomes numbers that differ by up to"
    ):
        colpali.compare(image=image.model_copy(update={"mean": (0.4, 0.5, 0.5)}))


def test_another_size_is_refused(colpali: Exported) -> None:
    image = colpali.spec.image
    assert image is not None
    with pytest.raises(InvalidInput, match=r"becomes numbers of shape .* by the spec, .* by the folder's"):
        colpali.compare(image=image.model_copy(update={"size": (64, 64)}))


def test_another_prompt_is_refused(colpali: Exported) -> None:
    image = colpali.spec.image
    assert image is not None
    assert image.prompt is not None
    prompt = image.prompt.model_copy(update={"text": f"{image.prompt.text}?"})
    with pytest.raises(InvalidInput, match=r"and its prompt: the spec gives \d+ tokens, the folder's"):
        colpali.compare(image=image.model_copy(update={"prompt": prompt}))


def test_another_prefix_of_queries_is_refused(colpali: Exported) -> None:
    text = colpali.spec.text
    assert text is not None
    with pytest.raises(
        InvalidInput, match=r"the query 'Which valve opens first\?': the spec gives \d+ tokens"
    ):
        colpali.compare(text=text.model_copy(update={"query_prefix": "search: "}))


def test_a_processor_that_cannot_be_loaded_is_a_note(tmp_path: Path) -> None:
    made = exported("CLIP", tmp_path)
    for path in made.source.folder.glob("*processor_config.json"):
        content = json.loads(path.read_text("utf-8"))
        for part in (content, content.get("image_processor", {})):
            part["image_processor_type"] = "NoSuchProcessor"
        path.write_text(json.dumps(content), encoding="utf-8")
    found, [note] = made.compare()
    assert found == ()
    assert note.startswith("Images: not compared with a processor: transformers cannot load it (")
