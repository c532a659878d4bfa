"""What a build adds to the files: the description on PyPI, and for a release the commit.

The description is README.md without its links to other files of the repository, which lead nowhere there.
"""

import os
import re
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

# [text](docs/page.md#part), but neither an address nor a part of the same page.
RELATIVE_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?![a-z]+:|#)[^)\s]+\)")

# pyproject.toml excludes it, so that it has the same place in every wheel.
REVISION = "authproxy/revision"


class CustomMetadataHook(MetadataHookInterface):
    """What hatchling asks for the fields that pyproject.toml calls dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the description."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": RELATIVE_LINK.sub(r"\1", text)}


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """What hatchling calls around each build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Add the file REVISION: the commit in the variable AUTHPROXY_REVISION, or what a source distribution has."""
        self.folder = tempfile.TemporaryDirectory()
        file = Path(self.root, REVISION)
        if revision := os.environ.get("AUTHPROXY_REVISION"):
            file = Path(self.folder.name, "revision")
            file.write_text(f"{revision}\n", encoding="ascii")
        if file.exists():
            build_data["force_include"][str(file)] = REVISION

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove the file's original."""
        self.folder.cleanup()
