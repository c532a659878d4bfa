"""Each kind of check against the real thing: files, listeners on loopback that stop."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from authproxy.health.check import Check, CheckFailed
from authproxy.health.check_kinds import file_check, look_at_folder, storage_check, tcp_check
from authproxy.health.http_check import http_check

# For what never comes, and for what comes at once where the machine is not busy.
SOON, LATE = timedelta(milliseconds=200), timedelta(seconds=30)


async def outcome(check: Check) -> str | None:
    try:
        await check.probe()
    except CheckFailed as exc:
        return str(exc)
    return None


@asynccontextmanager
async def listener(answer: bytes | None = b"") -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port of 127.0.0.1 and the requests that came. It answers each with `answer`; None: never."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer:
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
        elif answer is None:
            await reader.read()  # until the client gives up
        writer.close()
        await writer.wait_closed()

    serving: set[asyncio.Task[None]] = set()
    server = await asyncio.start_server(lambda *ends: serving.add(asyncio.create_task(serve(*ends))), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], requests
    finally:
        server.close()
        await asyncio.gather(*serving)


def answer(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "Content-Length: 0", "Connection: close", "", ""]).encode()


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


async def test_a_file_takes_the_registry_out_of_service_as_long_as_it_is_there(tmp_path: Path) -> None:
    switch = tmp_path / "down"
    check = file_check(switch)
    assert await outcome(check) is None
    switch.touch()
    assert (check.name, await outcome(check)) == (str(switch), "file exists")
    switch.unlink()
    assert await outcome(check) is None


async def test_a_file_that_nobody_can_look_at_is_no_sign_of_health(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    assert await outcome(file_check(tmp_path / "plain" / "down")) == (
        "whether the file exists is unknown: Not a directory"
    )


async def test_a_port_is_healthy_until_it_stops() -> None:
    async with listener() as (port, _):
        check = tcp_check("127.0.0.1", port, timeout=LATE)
        assert await outcome(check) is None
    assert (check.name, await outcome(check)) == (f"127.0.0.1:{port}", "connection failed: Connection refused")


async def test_a_port_without_a_host_is_of_this_machine() -> None:
    async with listener() as (port, _):
        check = tcp_check("", port, timeout=LATE)
        assert (check.name, await outcome(check)) == (f":{port}", None)


async def test_an_ipv6_address_is_named_as_the_configuration_writes_it() -> None:
    assert tcp_check("::1", 6379).name == "[::1]:6379"


async def test_a_port_that_does_not_take_the_connection_fails_in_time() -> None:
    """A listener whose queue is full leaves connections hanging."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with socket.create_connection(address):
            check = tcp_check(*address, timeout=SOON)
            assert await outcome(check) == "no connection within 0.2 s"


@pytest.mark.parametrize(
    ("said", "wanted", "failure"),
    [
        ("200 OK", 200, None),
        ("200 OK", 0, None),
        ("204 No Content", 200, "answered 204, not 200"),
        ("500 Internal Server Error", 200, "answered 500, not 200"),
        ("401 Unauthorized", 401, None),
    ],
)
async def test_an_http_server_has_to_answer_as_expected(said: str, wanted: int, failure: str | None) -> None:
    async with listener(answer(said)) as (port, requests):
        check = http_check(
            f"http://127.0.0.1:{port}/live?key=SECRET",
            status=wanted,
            headers=[("X-Who", "a"), ("X-Who", "b\u00e4")],
            timeout=LATE,
        )
        assert (check.name, await outcome(check)) == (f"http://127.0.0.1:{port}/live", failure)
    assert requests[0].startswith(b"HEAD /live?key=SECRET HTTP/1.1\r\n")
    assert b"x-who: a\r\nx-who: b\xe4\r\n" in requests[0]


async def test_redirects_are_followed() -> None:
    async with (
        listener(answer("200 OK")) as (end, _),
        listener(answer("302 Found", f"Location: http://127.0.0.1:{end}/there")) as (port, _),
    ):
        assert await outcome(http_check(f"http://127.0.0.1:{port}/", timeout=LATE)) is None


async def test_an_http_server_that_never_answers_fails_in_time() -> None:
    async with listener(None) as (port, _):
        assert await outcome(http_check(f"http://127.0.0.1:{port}/", timeout=SOON)) == "no answer within 0.2 s"


async def test_an_http_server_that_is_not_there_fails() -> None:
    failure = await outcome(http_check(f"http://127.0.0.1:{unused_port()}/", timeout=LATE))
    assert failure is not None
    assert failure.startswith("cannot be asked: ")


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_port()}")
    async with listener(answer("200 OK")) as (port, _):
        assert await outcome(http_check(f"http://127.0.0.1:{port}/", timeout=LATE)) is None


async def test_a_folder_is_a_storage_until_it_goes(tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    check = storage_check(partial(look_at_folder, folder, for_writing=True))
    assert (check.name, await outcome(check)) == ("storagedriver_filesystem", None)
    folder.rmdir()
    assert await outcome(check) == "the storage does not answer: No such file or directory"
    folder.write_text("not a folder")
    assert await outcome(check) == "the storage does not answer: Not a directory"


@pytest.mark.parametrize(
    ("flags", "for_writing", "failure"),
    [
        (os.ST_RDONLY, True, "the storage does not answer: Read-only file system"),
        (0, True, "the storage does not answer: Permission denied"),
        (os.ST_RDONLY, False, None),
    ],
)
async def test_a_folder_that_takes_nothing_is_no_storage_for_writing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: int,
    for_writing: bool,  # noqa: FBT001 - a row
    failure: str | None,
) -> None:
    """The tests run as root, whom no permission stops: what the system would say is put in its mouth."""
    status = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*status[:8], flags, status[9])))
    assert await outcome(storage_check(partial(look_at_folder, tmp_path, for_writing=for_writing))) == failure


async def fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("look", "failure"),
    [
        (partial(fail, OSError(5, "Input/output error", "/secret/place")), "Input/output error"),
        (partial(fail, OSError("no number")), "no number"),
        (partial(fail, RuntimeError("key=SECRET")), "RuntimeError"),
    ],
)
async def test_a_storage_that_fails_says_no_paths_and_no_secrets(
    look: Callable[[], Awaitable[None]], failure: str
) -> None:
    assert await outcome(storage_check(look)) == f"the storage does not answer: {failure}"
