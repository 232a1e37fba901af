"""An index of tiny models: everything real but the weights, so that tests of ingest and search are quick."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import tiny_models
from recorder import Recorder

from opensearch_multimodal.client import Cluster
from opensearch_multimodal.encoder import IndexEncoders
from opensearch_multimodal.ingest import Report, ingest
from opensearch_multimodal.mappings import IndexDescription, build_body, describe, load_template
from opensearch_multimodal.models import DraftOptions, draft_spec, load_spec, save_spec
from opensearch_multimodal.sources import SourceOptions

DENSE, TOKENS, RERANKER, TOWERS = "tiny-dense", "tiny-tokens", "tiny-reranker", "tiny-towers"
FDE = {"repetitions": 8, "simhash_bits": 2, "projection": 4}


def write_models(folder: Path) -> None:
    """Add a dense and a multi-vector text model to $OSMM_HOME."""
    folder.mkdir(parents=True, exist_ok=True)
    tiny_models.write_text_model(folder / "model.onnx")
    tiny_models.write_tokenizer(folder / "tokenizer.json")
    save_spec(draft_spec(folder, DENSE, DraftOptions(kind="dense", pooling="mean")), folder)
    save_spec(draft_spec(folder, TOKENS, DraftOptions(kind="multi_vector", pooling="none")), folder)


def write_towers(folder: Path) -> None:
    """Add a model with a tower for texts and one for page images to $OSMM_HOME."""
    folder.mkdir(parents=True, exist_ok=True)
    tiny_models.write_text_model(folder / "text_model.onnx")
    tiny_models.write_image_model(folder / "vision_model.onnx")
    tiny_models.write_tokenizer(folder / "tokenizer.json")
    options = DraftOptions(kind="dense", pooling="mean", inputs=("image",))
    save_spec(draft_spec(folder, TOWERS, options), folder)


def write_reranker(folder: Path) -> None:
    """Add a cross-encoder to $OSMM_HOME."""
    folder.mkdir(parents=True, exist_ok=True)
    tiny_models.write_cross_encoder(folder / "model.onnx")
    tiny_models.write_tokenizer(folder / "tokenizer.json")
    save_spec(draft_spec(folder, RERANKER, DraftOptions(kind="reranker")), folder)


def body(*, encoding: str = "int8", **options: Any) -> dict[str, Any]:
    """Return the shipped body of pages, for the tiny models and with encodings of a size that fits them."""
    template = load_template("pages")
    fields = template["mappings"]["_meta"]["multimodal"]["fields"]
    fields["fde"] |= FDE
    fields["multi_vector"]["encoding"] = encoding
    return build_body(template, load_spec, models={"dense": DENSE, "multi_vector": TOKENS}, **options)


def create(cluster: Cluster, name: str, **options: Any) -> IndexDescription:
    """Create an index for the tiny models and describe it."""
    cluster.create_index(name, body(**options))
    return describe(name, cluster.get_index(name))


def ingest_files(cluster: Cluster, index: IndexDescription, folder: Path) -> Report:
    """Ingest the files of a folder and make the records visible; dead letters go beside the folder."""
    report = ingest(
        cluster,
        index,
        [folder],
        IndexEncoders(index),
        options=SourceOptions(ocr="off"),
        dead_letters=folder.parent / f"{index.name}-dead.jsonl",
        listener=Recorder(),
    )
    cluster.refresh(index.name)
    return report


def texts(count: int) -> list[str]:
    """Return texts of which no two have the same words in the same order."""
    words = ("alpha", "beta", "gamma", "query", "passage")
    length = 1
    while len(words) ** length < count:
        length += 1
    return [" ".join(choice) for choice in itertools.islice(itertools.product(words, repeat=length), count)]


def write_jsonl(path: Path, count: int) -> None:
    """Write that many records, each its own document."""
    lines = [json.dumps({"_id": f"r{i}", "title": "", "text": text}) for i, text in enumerate(texts(count))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def stored(cluster: Cluster, name: str) -> dict[str, dict[str, Any]]:
    """Return id → source of everything in an index; an id that is there twice fails."""
    cluster.refresh(name)
    hits = list(cluster.scan(name, {"query": {"match_all": {}}}))
    found = {hit["_id"]: hit["_source"] for hit in hits}
    assert len(found) == len(hits)
    return found
