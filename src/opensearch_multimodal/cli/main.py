"""The command group, its lazily imported commands, and the one place that turns errors into exit codes."""

from __future__ import annotations

import importlib
import sys
import warnings
from typing import Any

import click
from rich.markup import escape

from .. import __version__
from ..errors import MultimodalError
from .console import stderr

__all__ = ["main"]

_COMMANDS = {
    "delete": ".delete",
    "demo": ".demo",
    "doctor": ".doctor",
    "evaluate": ".evaluate",
    "index": ".index",
    "ingest": ".ingest",
    "models": ".models",
    "search": ".search",
    "serve": ".serve",
    "server": ".server",
    "tune": ".tune",
}
"""Command name → module below this package that holds a click command of the same name.

Imported only when called, so that ``osmm --help`` answers at once.
"""


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(_COMMANDS[cmd_name], __package__), cmd_name)
        return command

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                return super().main(*args, **kwargs)
        except MultimodalError as error:
            if "--debug" in sys.argv:
                raise
            stderr.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
            sys.exit(error.exit_code)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning as a sentence for the user, not as a line of code."""
    stderr.print(f"[yellow]warning:[/] {escape(str(message))}", highlight=False, soft_wrap=True)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="osmm")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Search page images and text together on OpenSearch 3.x.

    \b
    A first session:
      osmm server start                      start a local OpenSearch
      osmm models pull                       fetch the default models
      osmm index create manuals              an index for pages
      osmm ingest ~/manuals --index manuals  read, encode and write
      osmm search manuals "how do I reset it?"

    Exit codes: 0 done, 1 something in the input was wrong, 2 something in the environment was.
    """
