"""The two consoles: results go to standard output, everything about the run to standard error."""

from __future__ import annotations

from rich.console import Console

__all__ = ["say", "stderr", "stdout"]

stdout = Console()
stderr = Console(stderr=True)


def say(sentence: str) -> None:
    """Print a sentence about the run as it is: no markup, no line breaks of ours."""
    stderr.print(sentence, markup=False, highlight=False, soft_wrap=True)
