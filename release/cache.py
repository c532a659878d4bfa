"""The folder of downloads that builds share: below the user's cache, and safe to remove."""

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """The folder `name` in `$XDG_CACHE_HOME/authproxy`; created if it is missing."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "authproxy" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
