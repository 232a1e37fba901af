"""The two consoles: results go to standard output, everything about the run to standard error."""

from __future__ import annotations

from rich.console import Console

__all__ = ["stderr", "stdout"]

stdout = Console()
stderr = Console(stderr=True)
