"""Every command explains itself, and the reference page is what they say."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import click
import pytest

from opensearch_multimodal import resources
from opensearch_multimodal.cli import main

SCRIPT = Path(resources.find("mappings")).parent / "docs" / "make_cli_reference.py"
spec = importlib.util.spec_from_file_location("make_cli_reference", SCRIPT)
assert spec is not None
assert spec.loader is not None
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)

COMMANDS = list(reference.commands(main, ("osmm",)))


@pytest.mark.parametrize(("path", "context"), COMMANDS, ids=[" ".join(path) for path, _ in COMMANDS])
def test_command_and_options_have_help(path: tuple[str, ...], context: click.Context) -> None:
    assert context.command.help, f"{' '.join(path)} has no help"
    silent = [p.name for p in context.command.params if isinstance(p, click.Option) and not p.help]
    assert not silent, f"{' '.join(path)}: options without help: {silent}"


def test_reference_page_is_current() -> None:
    program = "import runpy, sys; sys.stdout.write(runpy.run_path(sys.argv[1])['reference']())"
    # A process of its own: click keeps the help option of a command as its first call in a process made it.
    written = subprocess.run(
        [sys.executable, "-c", program, SCRIPT], capture_output=True, text=True, check=True
    ).stdout
    assert reference.TARGET.read_text("utf-8") == written, "run: make docs"
