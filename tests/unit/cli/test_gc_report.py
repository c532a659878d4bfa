"""The words of `authproxy gc`."""

import pytest

from authproxy.cli.gc_report import line_of
from authproxy.maintenance.gc.findings import RepositoryFindings


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((1, 1, 1), "1 untagged manifest, 1 layer of untagged manifests, 1 layer that no manifest names"),
        ((2, 3, 4), "2 untagged manifests, 4 layers of untagged manifests, 3 layers that no manifest names"),
        ((0, 2, 0), "2 layers that no manifest names"),
    ],
)
def test_one_and_several(counts: tuple[int, int, int], words: str) -> None:
    row = RepositoryFindings("team/app", *counts, own_bytes=0, shared_bytes=0, kept_whole=None)
    assert line_of(row) == f"team/app: {words}; frees 0B"
