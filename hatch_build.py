"""Takes the server plugin's zip into the wheel, where it was built before ('make plugin')."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PluginZip(BuildHookInterface):
    """Adds the newest zip in ``plugin/target`` to the package's data folder."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add it; an editable install finds it where it is."""
        built = sorted(Path(self.root, "plugin/target").glob("*.zip"), key=lambda path: path.stat().st_mtime)
        if built and version != "editable":
            build_data["force_include"][str(built[-1])] = (
                f"opensearch_multimodal/_data/plugin/{built[-1].name}"
            )
