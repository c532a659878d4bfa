import errno
import socket
import ssl

import pytest

from authproxy.http.client.errors import Unreachable
from authproxy.http.client.unreachable import why_unreachable

SEVERAL = "Multiple exceptions: [Errno 111] Connect call failed ('127.0.0.1', 1), [Errno 113] Connect call failed"

CAUSES: list[tuple[Exception, str]] = [
    (socket.gaierror(-2, "Name or service not known"), "the name does not resolve"),
    (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)"), "nothing listens there"),
    (OSError(errno.EHOSTUNREACH, "Connect call failed"), "there is no route to it"),
    (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "it broke the connection off"),
    (FileNotFoundError(errno.ENOENT, "No such file or directory"), "there is no such socket"),
    (PermissionError(errno.EACCES, "Permission denied"), "permission denied"),
    (OSError(SEVERAL), "nothing listens there or there is no route to it"),
    (OSError("a sentence"), "a sentence"),
    (OSError(), "OSError"),
    (
        ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"),
        "[SSL: WRONG_VERSION_NUMBER] wrong version number",
    ),
    (TimeoutError("timed out"), "timed out"),
    (Unreachable("no system's error"), "no system's error"),
]


@pytest.mark.parametrize(("error", "words"), CAUSES, ids=[words for _, words in CAUSES])
def test_a_failure_to_connect_is_told_in_words(error: Exception, words: str) -> None:
    assert why_unreachable(error) == words


def test_an_error_that_wraps_one_of_the_system_is_explained_by_that_one() -> None:
    wrapped = Unreachable("[Errno 111] Connect call failed")
    wrapped.__cause__ = ConnectionRefusedError(errno.ECONNREFUSED, "x")
    assert why_unreachable(wrapped) == "nothing listens there"
