"""What the command line says where a command doesn't say more itself."""

import pytest

from authproxy import cli
from authproxy.errors import StartError, Unavailable


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (StartError("one\ntwo"), "authproxy: one\nauthproxy: two\n"),
        (Unavailable("the record x is damaged"), "authproxy: the record x is damaged\n"),
        (
            PermissionError(13, "Permission denied", "/srv/a\x1b[31m\udcff"),
            "/srv/a\\x1b[31m\\udcff: Permission denied\n",
        ),
    ],
)
def test_a_fault_is_a_line_and_no_traceback(
    fault: Exception, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> None:
        raise fault

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.endswith(expected)


def test_an_error_without_a_file_is_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(OSError, match="Invalid"):
        cli.main()
