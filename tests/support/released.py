"""What `make release-image` built: the artefacts that the tests take."""

from pathlib import Path

from tests.support.binaries import ROOT

FOLDER = ROOT / "build" / "release"


def released(pattern: str) -> Path:
    """The one artefact whose name matches. Raises AssertionError that says how to make it."""
    found = list(FOLDER.glob(pattern))
    assert len(found) == 1, f"build/release has {len(found)} files {pattern}: run `make release-image`"
    return found[0]


def make_clone(root: Path, version: str) -> Path:
    """As much of a clone of a version as `make publish` and `make publish-pypi` read, with an empty dist/."""
    (root / "authproxy").mkdir(parents=True)
    (root / "authproxy/__init__.py").write_text(f'__version__ = "{version}"\n')
    (root / "dist").mkdir()
    return root
