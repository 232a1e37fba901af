"""``osmm server``: start, stop and look at the embedded OpenSearch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from .. import server as servers
from .console import stderr

__all__ = ["server"]

_data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Data folder of the server. Default: 'server' in the folder $OSMM_HOME (the XDG data folder), "
    "or below /var/lib/opensearch-multimodal for root.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object for programs.")


@click.group()
def server() -> None:
    """Run an OpenSearch of your own on this machine.

    It is fetched once (180 MB, by Maven), answers on 127.0.0.1 only, and runs as an ordinary user even
    when root starts it. It needs Java 21 or newer: 'osmm doctor' looks for one. For a cluster that
    exists already, set OPENSEARCH_URL instead; these commands never touch it.

    \b
      osmm server start                          on a free port, data in the usual folder
      osmm server start --data /srv/search --heap 4g --port 9200
      osmm server status --json
      osmm server stop                           the data stays
    """


@server.command("start")
@_data_option
@click.option("--heap", default="1g", show_default=True, help="Memory of the JVM's heap, such as 512m or 4g.")
@click.option("--port", type=int, help="HTTP port on 127.0.0.1. Default: a free one.")
@click.option(
    "--stock", is_flag=True, help="Without the project's own plugin, as on a cluster that cannot have it."
)
@_json_option
def _start(data: Path | None, heap: str, port: int | None, stock: bool, as_json: bool) -> None:
    """Start the server and leave it running; use the one that runs on the data folder already.

    The project's own plugin is installed where it was built ('make plugin' in a checkout). Returns when the
    server is ready, 15 to 30 seconds later. Ctrl-C before that stops everything.
    """
    with _spinner() as report:
        running = servers.EmbeddedServer(data, heap=heap, http_port=port, plugin=not stock, report=report)
        status = running.start()
        running.detach()
    if as_json:
        _print_json(asdict(status))
        return
    option = f" --data '{status.data}'" if data else ""
    click.echo(f"OpenSearch {status.version} is ready at {status.url}")
    click.echo(f"  data  {status.data}")
    click.echo(f"  stop  osmm server stop{option}")


@server.command("stop")
@_data_option
def _stop(data: Path | None) -> None:
    """Stop the server with every process it started; its data stays."""
    folder = _folder(data)
    with _spinner() as report:
        report("stopping OpenSearch")
        stopped = servers.stop(folder)
    click.echo(f"stopped the server on {folder}" if stopped else f"no server was running on {folder}")


@server.command("status")
@_data_option
@_json_option
@click.pass_context
def _status(ctx: click.Context, data: Path | None, as_json: bool) -> None:
    """Say whether the server is running and where; exit code 1 where it is not.

    With --json: {"url", "pid", "version", "data"}, pid being the JVM's; all but data are null where
    no server is running.
    """
    folder = _folder(data)
    current = servers.status(folder)
    if as_json:
        nothing = {"url": None, "pid": None, "version": None, "data": str(folder)}
        _print_json(asdict(current) if current else nothing)
    elif current:
        click.echo(f"OpenSearch {current.version} is running at {current.url}")
        click.echo(f"  data     {current.data}")
        click.echo(f"  process  {current.pid}")
    else:
        click.echo(f"no server is running on {folder}: start one with 'osmm server start'")
    ctx.exit(0 if current else 1)


def _folder(data: Path | None) -> Path:
    return data.resolve() if data else servers.default_data_folder()


def _print_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value))


@contextmanager
def _spinner() -> Iterator[Callable[[str], None]]:
    """Show what is going on: a live line in a terminal, one line per step elsewhere."""
    if stderr.is_terminal:
        with stderr.status("looking around") as line:
            yield lambda message: line.update(escape(message))
        return
    shown = ""

    def report(message: str) -> None:
        nonlocal shown
        step = message.partition(" (")[0].partition(":")[0]
        if step != shown:
            shown = step
            stderr.print(message.partition(" (")[0], highlight=False, markup=False, soft_wrap=True)

    yield report
