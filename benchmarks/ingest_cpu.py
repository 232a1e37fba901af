"""What an ingest costs beside the models: CPU share, wall ratio to a bare ONNX Runtime loop, memory, OCR.

Texts are runs of whole sentences of scifact abstracts, at most 600 characters each.

1. The same texts, three times in a row: a bare loop over ONNX Runtime, ``osmm ingest``, the bare loop again.
   The bare loop tokenises, sorts by length and runs the index's models in batches; it reads no files, derives
   no fields and writes nothing. With the embedded server, client and server share the processors.
2. ``osmm ingest`` of many more texts, its resident memory read while it runs: the first quarter of the
   records against the last. These texts have at most 200 characters, so that ten thousand do not take long.
3. PDFs without a text layer, read by OCR: a figure per page of its own.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import common
import numpy as np
import onnxruntime
import psutil
import pypdfium2
from tokenizers import Tokenizer

from opensearch_multimodal.client import Cluster
from opensearch_multimodal.errors import ClusterError
from opensearch_multimodal.mappings import SourceField, describe
from opensearch_multimodal.models import ModelSpec, load_spec, locate

INDEX = "benchmark-ingest"
BATCH = 64
MEBIBYTE = 1 << 20


@dataclass
class Ingest:
    """One ``osmm ingest``: its own report, and what was seen from outside.

    Attributes:
        report: what the command printed.
        seconds: wall time of the process, start included.
        cpu_seconds: CPU time of the process, start and loading of models included.
        memory: (records written so far, resident bytes), one sample a second.
    """

    report: dict
    seconds: float
    cpu_seconds: float
    memory: list[tuple[int, int]] = field(default_factory=list)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--texts", type=int, default=1000, help="for the comparison (default: %(default)s)")
    parser.add_argument("--many", type=int, default=10_000, help="for the memory (default: %(default)s)")
    parser.add_argument(
        "--part", action="append", choices=["cpu", "memory", "ocr"], help="default: all three"
    )
    arguments = parser.parse_args()
    parts = arguments.part or ["cpu", "memory", "ocr"]
    with common.cluster(arguments.url, arguments.heap) as used, tempfile.TemporaryDirectory() as folder:
        print(common.machine(used))
        corpus = arguments.data / "scifact" / "corpus.jsonl"
        if "cpu" in parts:
            print(compare(used, list(islice(texts(corpus), arguments.texts)), Path(folder)), flush=True)
        if "memory" in parts:
            print(memory(used, list(islice(texts(corpus, 200), arguments.many)), Path(folder)), flush=True)
        if "ocr" in parts:
            print(ocr(used, arguments.data / "pages" / "pdf"), flush=True)


def compare(used: Cluster, passages: Sequence[str], folder: Path) -> str:
    common.create_index(used, INDEX, "passages")
    fields = describe(INDEX, used.get_index(INDEX)).meta.fields.values()
    models = {one.model: load_spec(one.model) for one in fields if isinstance(one, SourceField)}
    common.say(f"bare loop over {len(passages)} texts …")
    bare = [bare_loop(list(models.values()), passages)]
    common.say("osmm ingest of the same texts …")
    done = ingest(used, write(folder, passages))
    common.say("bare loop again …")
    bare.append(bare_loop(list(models.values()), passages))
    wall, cpu = (float(np.mean([one[part] for one in bare])) for part in (0, 1))
    report = done.report
    encoding = report["encode_cpu_seconds"]
    rows = [
        ["bare ONNX Runtime loop", f"{wall:.1f}", f"{cpu:.1f}", "", ""],
        [
            "osmm ingest, from the first record read to the last one written",
            f"{report['seconds']:.1f}",
            f"{report['cpu_seconds']:.1f}",
            f"{encoding:.1f}",
            f"**{encoding / report['cpu_seconds']:.1%}**",
        ],
        [
            "osmm ingest, the whole process (start and loading of models included)",
            f"{done.seconds:.1f}",
            f"{done.cpu_seconds:.1f}",
            f"{encoding:.1f}",
            f"{encoding / done.cpu_seconds:.1%}",
        ],
    ]
    header = ["", "wall s", "CPU s", "encoding CPU s", "share of encoding"]
    spread = abs(bare[0][0] - bare[1][0]) / wall
    return (
        f"\n### {report['written']} texts through {' and '.join(models)}\n\n{common.table(header, rows)}\n\n"
        f"Wall ratio to the bare loop: **{report['seconds'] / wall:.2f}** "
        f"(the two bare loops differ by {spread:.0%}).\n"
        f"Check from outside: the bare loop's CPU is {cpu / report['cpu_seconds']:.1%} of the ingest's."
    )


def memory(used: Cluster, passages: Sequence[str], folder: Path) -> str:
    common.create_index(used, INDEX, "passages")
    common.say(f"osmm ingest of {len(passages)} texts, memory watched …")
    done = ingest(used, write(folder, passages))
    written = done.report["written"]
    quarters = {
        "first quarter": [size for count, size in done.memory if 0 < count <= written / 4],
        "last quarter": [size for count, size in done.memory if count > written * 3 / 4],
    }
    if not all(quarters.values()):
        raise SystemExit("too few samples of the memory: ingest more texts")
    rows = [
        [name, len(sizes), f"{np.median(sizes) / MEBIBYTE:.0f}", f"{max(sizes) / MEBIBYTE:.0f}"]
        for name, sizes in quarters.items()
    ]
    growth = np.median(quarters["last quarter"]) / np.median(quarters["first quarter"]) - 1
    rate = written / done.report["seconds"]
    return (
        f"\n### Memory over {written} texts ({rate:.1f} per second)\n\n"
        + common.table(["records", "samples", "median RSS MiB", "highest RSS MiB"], rows)
        + f"\n\nGrowth of the median from the first to the last quarter: **{growth:+.1%}**."
    )


def ocr(used: Cluster, folder: Path) -> str:
    rows = []
    for pdf in sorted(folder.glob("*.pdf")):
        pages = pages_without_text(pdf)
        if pages is None:
            continue
        common.create_index(used, INDEX, "pages")
        common.say(f"reading {pdf.name} by OCR …")
        done = ingest(used, pdf)
        report = done.report
        rows.append(
            [
                pdf.stem[:12],
                pages,
                report["written"],
                report["without_text"],
                f"{report['seconds'] / pages:.2f}",
                f"{report['cpu_seconds'] / pages:.2f}",
            ]
        )
    if not rows:
        raise SystemExit(f"{folder.name}: no PDF without a text layer")
    header = ["PDF", "pages", "written", "left without text", "wall s per page", "CPU s per page"]
    return "\n### Pages read by OCR (rendering, OCR, encoding, writing)\n\n" + common.table(header, rows)


def pages_without_text(pdf: Path) -> int | None:
    """Return the number of pages if none of them has a text layer, else None."""
    with pypdfium2.PdfDocument(pdf) as document:
        for page in document:
            if page.get_textpage().get_text_bounded().strip():
                return None
        return len(document)


def texts(corpus: Path, limit: int = 600) -> Iterator[str]:
    """Yield runs of whole sentences of at most ``limit`` characters (a longer sentence is cut)."""
    with corpus.open(encoding="utf-8") as lines:
        for line in lines:
            run = ""
            for sentence in re.split(r"(?<=[.!?])\s+", json.loads(line)["text"].strip()):
                if run and len(run) + 1 + len(sentence) > limit:
                    yield run
                    run = ""
                run = f"{run} {sentence}".strip()[:limit]
            if run:
                yield run


def write(folder: Path, passages: Sequence[str]) -> Path:
    path = folder / "texts.jsonl"
    lines = (json.dumps({"_id": str(number), "text": text}) for number, text in enumerate(passages))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def ingest(used: Cluster, path: Path) -> Ingest:
    """Run ``osmm ingest`` in a process of its own and watch it from outside."""
    command = common.ingest_command(used, path, INDEX)
    started, cpu_started = time.monotonic(), _children_cpu()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watch = _Watch(used, psutil.Process(process.pid))
        watch.start()
        output, _ = process.communicate()
        seconds = time.monotonic() - started
        watch.stop()
    if process.returncode not in (0, 1) or not output.strip():
        raise SystemExit(f"ingest ended with exit code {process.returncode}")
    return Ingest(json.loads(output), seconds, _children_cpu() - cpu_started, watch.memory)


def _children_cpu() -> float:
    """Return the CPU seconds of the processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class _Watch:
    """Samples a process's memory from a thread, once a second."""

    def __init__(self, used: Cluster, process: psutil.Process) -> None:
        self._cluster = used
        self._process = process
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.memory: list[tuple[int, int]] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(1):
            with suppress(psutil.Error):
                self.memory.append((self._written(), self._process.memory_info().rss))

    def _written(self) -> int:
        try:
            answer = self._cluster.call("GET", f"/{INDEX}/_stats/indexing")
        except ClusterError:
            return 0
        return int(answer["_all"]["primaries"]["indexing"]["index_total"])


def bare_loop(models: Sequence[ModelSpec], passages: Sequence[str]) -> tuple[float, float]:
    """Return wall and CPU seconds of running the models over the texts and nothing else."""
    prepared = [(spec, *load_bare(spec)) for spec in models]
    wall, cpu = time.monotonic(), time.process_time()
    for spec, tokenizer, session in prepared:
        names = {one.name for one in session.get_inputs()}
        for start in range(0, len(passages), BATCH):
            encoded = tokenizer.encode_batch(
                [spec.text.passage_prefix + text for text in passages[start : start + BATCH]]
            )
            encoded.sort(key=lambda one: len(one.ids))
            for group in groups(encoded):
                width = len(group[-1].ids)
                ids = np.zeros((len(group), width), dtype=np.int64)
                mask = np.zeros_like(ids)
                for row, one in enumerate(group):
                    ids[row, : len(one.ids)] = one.ids
                    mask[row, : len(one.ids)] = 1
                feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
                session.run(
                    [spec.text.output], {name: value for name, value in feeds.items() if name in names}
                )
    return time.monotonic() - wall, time.process_time() - cpu


def groups(encoded: Sequence, size: int = 32) -> Iterator[Sequence]:
    for start in range(0, len(encoded), size):
        yield encoded[start : start + size]


def load_bare(spec: ModelSpec) -> tuple[Tokenizer, onnxruntime.InferenceSession]:
    folder = locate(spec)
    tokenizer = Tokenizer.from_file(str(folder / spec.text.tokenizer))
    tokenizer.no_padding()
    tokenizer.enable_truncation(spec.text.max_passage_tokens)
    return tokenizer, onnxruntime.InferenceSession(
        folder / spec.text.onnx, providers=["CPUExecutionProvider"]
    )


if __name__ == "__main__":
    main()
