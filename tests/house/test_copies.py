"""Files that have to be in two places are the same in both."""

import pytest

from tests.support.binaries import ROOT

# A chart contains only files of its own folder, and Helm remarks on a link in it at every command.
COPIES = [("policies/default.yaml", "deploy/chart/files/default.yaml")]


@pytest.mark.parametrize(("original", "copy"), COPIES)
def test_a_copy_is_like_its_original(original: str, copy: str) -> None:
    assert (ROOT / copy).read_bytes() == (ROOT / original).read_bytes(), f"cp {original} {copy}"
    assert not (ROOT / copy).is_symlink()
