"""How differences and their intervals are shown in tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..evaluation import Interval

__all__ = ["signed", "verdict"]


def signed(difference: Interval) -> str:
    """Return a difference with its interval, such as ``+0.012 (+0.003 – +0.021)``."""
    return f"{difference.mean:+.3f} ({difference.low:+.3f} – {difference.high:+.3f})"


def verdict(difference: Interval) -> str:
    """Return whether a difference is more than chance, as rich's markup."""
    if not difference.excludes_zero:
        return "[dim]unclear[/]"
    return "[green]better[/]" if difference.low > 0 else "[red]worse[/]"
