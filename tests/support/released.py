"""What `make release-image` built: the artefacts that the tests take."""

from pathlib import Path

from tests.support.binaries import ROOT

FOLDER = ROOT / "build" / "release"


def released(pattern: str) -> Path:
    """The one artefact whose name matches. Raises AssertionError that says how to make it."""
    found = list(FOLDER.glob(pattern))
    assert len(found) == 1, f"build/release has {len(found)} files {pattern}: run `make release-image`"
    return found[0]
