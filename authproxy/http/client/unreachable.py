"""A failure to connect, in words: errors of the system have a number and an address, which help few readers."""

import errno
import os
import re
import socket
import ssl

# asyncio's error if a name has several addresses that fail in different ways: "Multiple exceptions: [Errno 111] …".
_NUMBER = re.compile(r"\[Errno (-?\d+)\]")

NO_NAME = "the name does not resolve"
_WORDS = {
    errno.ECONNREFUSED: "nothing listens there",
    errno.ETIMEDOUT: "there is no response",
    errno.EHOSTUNREACH: "there is no route to it",
    errno.ENETUNREACH: "there is no route to it",
    errno.ECONNRESET: "it broke the connection off",
    errno.ENOENT: "there is no such socket",
}


def why_unreachable(error: BaseException) -> str:
    """Why there is no connection. An error that wraps one of the system is explained by that one."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__
    if cause is None or isinstance(cause, ssl.SSLError | TimeoutError):
        return str(error) or type(error).__name__
    if isinstance(cause, socket.gaierror):
        return NO_NAME
    numbers = [cause.errno] if cause.errno is not None else [int(one) for one in _NUMBER.findall(str(cause))]
    if not numbers:
        return str(cause) or type(cause).__name__
    return " or ".join(dict.fromkeys(_WORDS.get(number) or os.strerror(number).lower() for number in numbers))
