"""Put the HTML report together from what the cluster holds of the records that it shows."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from PIL import Image

from .. import __version__
from ..client import Cluster
from ..errors import ClusterError
from ..mappings import IndexDescription
from ..search import Hit, look_up
from ..search.rerank import fetch_contents
from ..types import Candidate
from .comparison import QueryView, choose_duels, shown_records, view_query
from .html import HtmlReport, ShownRecord, Thumbnail
from .judgements import Topics
from .measure import Measured
from .report import Report

__all__ = ["IMAGES_LIMIT", "build_html_report", "read_thumbnails", "thumbnail"]

IMAGES_LIMIT = 20_000_000
"""The most bytes of a report that page images take."""

_WIDTH, _HEIGHT, _QUALITY = 240, 480, 70
_IMAGES_AT_ONCE = 4


def build_html_report(
    cluster: Cluster,
    index: IndexDescription,
    *,
    topics: Topics,
    measured: Mapping[str, Measured],
    report: Report,
    k: int,
    most: int,
    notes: Sequence[tuple[str, str]],
    progress: Callable[[int, int], None] | None = None,
) -> HtmlReport:
    """Return what the report shows, after looking up the records that it shows and no others.

    Args:
        cluster: the cluster.
        index: the index that was searched.
        topics: the queries and their judgements.
        measured: profile → its searches.
        report: the numbers made of them.
        k: hits per search.
        most: how many wins and losses per profile are shown with their hits.
        notes: pairs of ``note`` or ``warning`` and a sentence.
        progress: called with how many page images were read, and of how many.

    Raises:
        ClusterError: the cluster failed.
    """
    metric = next(iter(report.profiles[report.baseline].metrics))
    runs = {name: one.run for name, one in measured.items()}
    duels = choose_duels(report, metric, most)
    views: dict[tuple[str, str], QueryView] = {}
    for duel in duels:
        profiles = list(dict.fromkeys([report.baseline, duel.profile]))
        for query in (*duel.gains, *duel.losses):
            views[duel.profile, query] = view_query(
                query,
                profiles,
                runs=runs,
                qrels=topics.qrels,
                report=report,
                metric=metric,
            )
    hits = _read_records(cluster, index, topics.texts, views)
    shown = [
        hits[query][one.record]
        for (_, query), view in views.items()
        for column in view.columns
        for one in column.hits
        if one.record in hits[query]
    ]
    thumbnails, complete = read_thumbnails(cluster, index, shown, limit=IMAGES_LIMIT, progress=progress)
    if not complete:
        room = f"{IMAGES_LIMIT / 1e6:g} MB"
        sentence = f"page images of the first {len(thumbnails)} records only: they take {room} at most"
        notes = [*notes, ("note", sentence)]
    return HtmlReport(
        index=index.name,
        k=k,
        made=datetime.now(UTC),
        versions=_versions(cluster),
        notes=notes,
        report=report,
        measured=measured,
        metric=metric,
        texts=topics.texts,
        duels=duels,
        views=views,
        records={query: {key: _shown(hit) for key, hit in found.items()} for query, found in hits.items()},
        thumbnails=thumbnails,
    )


def read_thumbnails(
    cluster: Cluster,
    index: IndexDescription,
    hits: Sequence[Hit],
    *,
    limit: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Thumbnail], bool]:
    """Return the page images that the index keeps, made small, and whether all had room.

    Args:
        cluster: the cluster.
        index: the index.
        hits: the records; one that is named twice is read once.
        limit: how many bytes they may take in the report.
        progress: called with how many records were read, and of how many.
    """
    if "image" not in index.properties:
        return {}, True
    wanted = list({hit.id: Candidate(hit.id, hit.index) for hit in hits}.values())
    found: dict[str, Thumbnail] = {}
    taken = 0
    for start in range(0, len(wanted), _IMAGES_AT_ONCE):
        some = wanted[start : start + _IMAGES_AT_ONCE]
        # A reader of page images that is there already; of the text it would read, the title is the shortest.
        contents = fetch_contents(
            cluster, index, some, inputs=["image"], field="title", preference=uuid.uuid4().hex
        )
        for candidate in some:
            content = contents.get((candidate.index, candidate.id))
            if content is None or content.image is None:
                continue
            small = thumbnail(content.image)
            taken += len(small.uri)
            if taken > limit:
                return found, False
            found[candidate.id] = small
        if progress is not None:
            progress(start + len(some), len(wanted))
    return found, True


def thumbnail(image: Image.Image) -> Thumbnail:
    """Return an RGB image as a small JPEG; the image itself is left as it is."""
    small = image.copy()
    small.thumbnail((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return Thumbnail(file.getvalue(), small.width, small.height)


def _read_records(
    cluster: Cluster,
    index: IndexDescription,
    texts: Mapping[str, str],
    views: Mapping[tuple[str, str], QueryView],
) -> dict[str, dict[str, Hit]]:
    """Return query id → record id → what the cluster holds, each query looked up once."""
    wanted: dict[str, set[str]] = {}
    for (_, query), view in views.items():
        wanted.setdefault(query, set()).update(shown_records(view))
    found = look_up(cluster, index, [(texts[query], records) for query, records in wanted.items()])
    return dict(zip(wanted, found, strict=True))


def _shown(hit: Hit) -> ShownRecord:
    title = hit.source.get("title")
    return ShownRecord(title if isinstance(title, str) else "", hit.snippet, hit.link)


def _versions(cluster: Cluster) -> list[str]:
    """Return what ran; a cluster may keep its version from those who only search."""
    ours = f"opensearch-multimodal {__version__}"
    try:
        return [f"OpenSearch {cluster.info()['version']['number']}", ours]
    except ClusterError:
        return [ours]
