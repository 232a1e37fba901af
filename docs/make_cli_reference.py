"""Write docs/cli.md from the commands' own help: python docs/make_cli_reference.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from opensearch_multimodal.cli import main

TARGET = Path(__file__).with_name("cli.md")
HEAD = "# Command reference\n\nWritten by `make docs` from the commands' own help; do not edit.\n"


Command = tuple[tuple[str, ...], click.Context]


def commands(
    command: click.Command, path: tuple[str, ...], parent: click.Context | None = None
) -> Iterator[Command]:
    """Yield every command below one, itself first, each in the context that a user's call gives it."""
    width: dict[str, Any] = {"terminal_width": 100, "max_content_width": 100}
    context = click.Context(
        command, parent=parent, info_name=path[-1], **{**command.context_settings, **width}
    )
    yield path, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from commands(child, (*path, name), context)


def reference() -> str:
    """Return the whole page."""
    sections = [
        f"\n{'#' * (1 + len(path))} {' '.join(path)}\n\n```text\n{context.command.get_help(context)}\n```\n"
        for path, context in commands(main, ("osmm",))
    ]
    return HEAD + "".join(sections)


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
