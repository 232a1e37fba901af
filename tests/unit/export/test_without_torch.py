"""Without the extra ``export``, everything but the export itself works, and the export says what it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HIDDEN = (
    "import sys\n"
    "for name in ('torch', 'transformers', 'onnx', 'onnxscript'):\n"
    "    sys.modules[name] = None\n"  # as Python itself marks a module that must not be imported
)
COMMAND = "from opensearch_multimodal.cli import main\nmain()"


def python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )


def test_export_names_the_extra(tmp_path: Path) -> None:
    done = python(HIDDEN + COMMAND, "models", "export", str(tmp_path), "--name", "x", "--kind", "dense")
    assert done.returncode == 2
    sentence = "error: exporting a model needs an extra: pip install 'opensearch-multimodal[export]'\n"
    assert done.stderr == sentence
    assert done.stdout == ""


def test_help_needs_no_extra() -> None:
    for arguments in (("models", "--help"), ("models", "export", "--help")):
        done = python(HIDDEN + COMMAND, *arguments)
        assert done.returncode == 0, done.stderr
        assert "export" in done.stdout


def test_nothing_imports_torch_before_it_is_used() -> None:
    """Not the commands, and not the registry of architectures."""
    program = (
        "import sys\n"
        "import opensearch_multimodal.cli.models, opensearch_multimodal.export\n"
        "from opensearch_multimodal.export.architectures import architectures, supported\n"
        "assert len(architectures()) >= 3 and 'bert' in supported()\n"
        "heavy = {name for name in sys.modules if name.partition('.')[0] in\n"
        "         ('torch', 'transformers', 'onnx', 'onnxscript', 'safetensors', 'huggingface_hub')}\n"
        "print(*sorted(heavy), end='')\n"
    )
    done = python(program)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_command_line_starts_without_the_export() -> None:
    program = (
        "import sys, opensearch_multimodal.cli\n"
        "print(*(name for name in sys.modules if 'multimodal.export' in name), end='')\n"
    )
    done = python(program)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
