"""Another commit in place of the peer."""

from pathlib import Path

import pytest

from benchmarks.__main__ import main


def test_a_folder_without_a_checkout_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", "--before", str(tmp_path)])
    assert ended.value.code == 2
    assert f"{tmp_path} is no checkout of authproxy" in capsys.readouterr().err
