"""What several commands show the same way: progress, tables, differences with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from .console import stderr

if TYPE_CHECKING:
    from ..evaluation import Interval

__all__ = ["airy_table", "progress_bar", "signed", "verdict"]


def progress_bar() -> Progress:
    """Return a bar with the task's description, its count and the time that is left; gone when it ends."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal)


def airy_table(title: str) -> Table:
    """Return an empty table without lines but below its head."""
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def signed(difference: Interval) -> str:
    """Return a difference with its interval, such as ``+0.012 (+0.003 – +0.021)``."""
    return f"{difference.mean:+.3f} ({difference.low:+.3f} – {difference.high:+.3f})"


def verdict(difference: Interval) -> str:
    """Return whether a difference is more than chance, as rich's markup."""
    style = {"unclear": "dim", "better": "green", "worse": "red"}[difference.verdict]
    return f"[{style}]{difference.verdict}[/]"
