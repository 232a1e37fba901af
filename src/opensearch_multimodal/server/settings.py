"""The configuration of one server: what goes into its ``config`` folder, and why."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InvalidInput

__all__ = ["Layout", "check_heap", "write_configuration"]

_CLUSTER_NAME = "opensearch-multimodal"


class Layout:
    """Where things are in a server's data folder. The sub-folders belong to the user who runs it."""

    def __init__(self, data: Path) -> None:
        """Lay out ``data``."""
        self.root = data
        self.config = data / "config"
        self.indices = data / "data"
        self.logs = data / "logs"
        self.snapshots = data / "snapshots"
        self.temporary = data / "tmp"
        self.log = self.logs / f"{_CLUSTER_NAME}.log"
        self.console = data / "console.log"
        self.http_ports = self.logs / "http.ports"

    @property
    def folders(self) -> tuple[Path, ...]:
        """All that the server writes to."""
        return self.config, self.indices, self.logs, self.snapshots, self.temporary

    @property
    def scratch(self) -> Path:
        """The JVM's temporary folder; the start script splits options at blanks, so a path has none."""
        blank = re.search(r"\s", str(self.temporary))
        return Path(tempfile.gettempdir()) if blank else self.temporary


def check_heap(heap: str) -> str:
    """Return a heap size such as ``1g`` or ``512m``.

    Raises:
        InvalidInput: not a size, under 256 MB, with which the server does not start, or more than the
            machine has.
    """
    match = re.fullmatch(r"(\d+)([mMgG])", heap)
    if not match:
        raise InvalidInput(f"heap: '{heap}' is not a size such as 1g or 768m")
    size = int(match[1]) * (1024 if match[2] in "gG" else 1)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    if not 256 <= size <= memory:
        raise InvalidInput(f"heap: {heap} is outside 256m and this machine's memory, {memory}m")
    return heap.lower()


def write_configuration(
    distribution: Path, layout: Layout, http_port: int | None, more: Mapping[str, Any] | None = None
) -> None:
    """Write the ``config`` folder anew; the keystore in it stays.

    Ports are chosen by the server itself unless given, which leaves no gap in which another process
    could take them; it writes them to ``logs/http.ports``. Disk watermarks are absolute: the usual 95%
    makes indices read-only on a large disk that still has much room. ``more`` settings take precedence.
    """
    shutil.copytree(distribution / "config", layout.config, dirs_exist_ok=True)
    settings = {
        "cluster.name": _CLUSTER_NAME,
        "node.name": "embedded",
        "discovery.type": "single-node",
        "network.host": "127.0.0.1",
        "http.port": http_port or 0,
        "transport.port": 0,
        "node.portsfile": True,
        "path.data": str(layout.indices),
        "path.logs": str(layout.logs),
        "path.repo": [str(layout.snapshots)],
        "cluster.routing.allocation.disk.watermark.low": "1gb",
        "cluster.routing.allocation.disk.watermark.high": "768mb",
        "cluster.routing.allocation.disk.watermark.flood_stage": "512mb",
        **(more or {}),
    }
    (layout.config / "opensearch.yml").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    stock = (distribution / "config" / "jvm.options").read_text(encoding="utf-8").splitlines()
    # Those that write below the distribution, which belongs to somebody else, and the heap.
    kept = [line for line in stock if not re.search(r"logs/|HeapDump|GCLog|^-Xm[sx]", line)]
    (layout.config / "jvm.options").write_text("\n".join(kept) + "\n", encoding="utf-8")
    (layout.config / "log4j2.properties").write_text(_LOGGING, encoding="utf-8")


_LOGGING = """\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = ${sys:opensearch.logs.base_path}/${sys:opensearch.logs.cluster_name}.log
appender.file.filePattern = ${sys:opensearch.logs.base_path}/${sys:opensearch.logs.cluster_name}-%i.log
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %marker%m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 20MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 2
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""
