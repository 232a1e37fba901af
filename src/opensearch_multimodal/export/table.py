"""The parity report as text."""

from __future__ import annotations

from collections.abc import Mapping

from .parity import Parity, PreprocessingParity

__all__ = ["markdown", "summary"]


def markdown(parity: Parity, *, name: str, facts: Mapping[str, str]) -> str:
    """Return the report as a page of Markdown.

    Args:
        parity: the report.
        name: of the model.
        facts: further lines: what it was exported from, by which versions.
    """
    lines = [f"# {name}: {parity.precision} beside the original", ""]
    lines += [f"- {key}: {value}" for key, value in facts.items()]
    lines += [
        "",
        "| file | inputs | batches | max difference | mean | cosine min | mean | error / spread | padding |",
    ]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    for graph in parity.graphs:
        lines.append(
            f"| {graph.file} | {graph.examples} of {graph.sizes} | 1, {', '.join(map(str, graph.batches))} "
            f"| {graph.max_difference:.2g} | {graph.mean_difference:.2g} | {graph.cosine_min:.7f} "
            f"| {graph.cosine_mean:.7f} | {graph.relative_error:.2g} | {graph.padding_difference:.2g} |"
        )
    ranking = parity.ranking
    lines += [
        "",
        f"Ranking by {ranking.score}, {ranking.queries} × {ranking.passages} generated inputs: scores differ "
        f"by at most {ranking.max_difference:.2g}, Kendall's tau {ranking.kendall_tau:.4f}, "
        f"{ranking.decided_kept:.2%} of the pairs that differ keep their order, {ranking.identical:.2%} of "
        "the rankings are the same.",
        "",
        "Differences are of components of unit vectors (of logits as they are), alone and in batches; error "
        "/ spread is their root mean square by that of the vectors around their mean; padding is the largest "
        "change of a component by batch-mates or more padding.",
        "",
        f"Required of {parity.precision}: {_limits(parity)}.",
    ]
    lines += ["", *(f"Read: {_read(one)}." for one in parity.preprocessing)] if parity.preprocessing else []
    if parity.notes:
        lines += ["", *(f"- {note}" for note in parity.notes)]
    return "\n".join(lines) + "\n"


def summary(parity: Parity) -> list[tuple[str, str]]:
    """Return the report as a few (label, value) pairs for a terminal."""
    rows = [
        (
            graph.file,
            f"{'correlation' if graph.logits else 'cosine'} ≥ {graph.cosine_min:.7f}, "
            f"differs by at most {graph.max_difference:.2g}, "
            f"in a batch by {graph.padding_difference:.2g} ({graph.examples} inputs, {graph.sizes})",
        )
        for graph in parity.graphs
    ]
    ranking = parity.ranking
    rows.append(
        (
            "ranking",
            f"by {ranking.score}: tau {ranking.kendall_tau:.4f}, {ranking.decided_kept:.2%} of pairs kept",
        )
    )
    if parity.preprocessing:
        rows.append(("read", "; ".join(_read(one) for one in parity.preprocessing)))
    return rows


def _read(one: PreprocessingParity) -> str:
    if one.what == "queries":
        return f"{one.examples} queries give the tokens of the folder's {one.processor}"
    return (
        f"{one.examples} pages as by the folder's {one.processor}, pixels differ by at most "
        f"{one.max_difference:.2g}{', tokens of the prompt are the same' if one.prompt else ''}"
    )


def _limits(parity: Parity) -> str:
    limits = parity.tolerance
    logits = any(graph.logits for graph in parity.graphs)
    parts = [f"correlation ≥ {limits.correlation}" if logits else f"cosine ≥ {limits.cosine}"]
    if limits.difference is not None:
        parts.append(f"difference ≤ {limits.difference:g}")
    if limits.padding is not None:
        parts.append(f"padding ≤ {limits.padding:g}")
    if limits.order is not None:
        parts.append(f"{limits.order:.0%} of pairs in order")
    return ", ".join(parts)
