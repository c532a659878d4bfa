"""How the commands behave under a shell: pipes that break, Ctrl-C, terminals and files, proxies, certificates."""

import asyncio
import json
import os
import pty
import select
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from authproxy.cli.images.delete_whole import MAX_SHOWN
from authproxy.images.registries import Registries
from authproxy.registry_client.docker_config import Login
from authproxy.registry_client.errors import RegistryClientError
from authproxy.registry_client.trust import Trust
from tests.images.conftest import Images, Registry
from tests.support.fault_proxy import Fault, fault_proxy
from tests.support.image import make_image, write_layout

ENDS_WITHIN_S = 20


@pytest.fixture(scope="module")
def held(plain: Registry, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry that holds an image."""
    folder = tmp_path_factory.mktemp("held")
    images = Images(folder)
    write_layout(make_image("terminal"), folder / "layout", "v1")
    images.must("push", folder / "layout", f"{plain.host}/terminal/app")
    return plain


@pytest.fixture
def person(tmp_path: Path) -> Images:
    return Images(tmp_path)


def test_reader_that_has_seen_enough_ends_it_quietly(person: Images, held: Registry) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as out:
        done = subprocess.run(
            person.command("list", held.host), env=person.environment(), stdout=out, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=str)
async def test_copy_that_is_stopped_ends_at_once_and_leaves_nothing_half_done(
    person: Images, held: Registry, number: signal.Signals, code: int
) -> None:
    async with fault_proxy(held.port) as proxy:
        await proxy.become(Fault.DRIP)
        proxy.drip_bytes, proxy.drip_s = 64, 0.02
        command = person.command("pull", f"localhost:{proxy.port}/terminal/app:v1", "-o", "app.tar")
        process = await asyncio.create_subprocess_exec(
            *command, env=person.environment(), cwd=person.home, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(ENDS_WITHIN_S):
            while not list(person.home.glob(".authproxy-*/incoming-*")):  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.02)
            process.send_signal(number)
            _, err = await process.communicate()
    assert process.returncode == code
    assert b"Traceback" not in err
    assert list(person.home.glob(".authproxy-*")) == []
    assert not (person.home / "app.tar").exists()


def on_terminal(person: Images, *arguments: str, stdout_too: bool) -> tuple[str, str]:
    """Run a command whose standard error, and perhaps output, is a terminal: what came to the output, and to that."""
    ours, theirs = pty.openpty()
    with (
        subprocess.Popen(
            person.command(*arguments),
            env=person.environment(TERM="xterm"),
            cwd=person.home,
            stdin=subprocess.DEVNULL,
            stdout=theirs if stdout_too else subprocess.PIPE,
            stderr=theirs,
        ) as process,
        ExitStack() as ends,
    ):
        os.close(theirs)
        ends.callback(process.kill)
        shown = b"".join(read_all(ours))
        out = b"" if process.stdout is None else process.stdout.read()
        process.wait(ENDS_WITHIN_S)
    os.close(ours)
    assert process.returncode == 0, shown
    return out.decode(), shown.decode()


def answered(person: Images, answer: str | None, *arguments: str, prompt: bytes = b"[y/N] ") -> tuple[int, str, str]:
    """Answer what a command asks on a terminal; None interrupts it. Exit code, output, and what the terminal showed."""
    ours, theirs = pty.openpty()
    with (
        subprocess.Popen(
            person.command(*arguments),
            env=person.environment(TERM="xterm"),
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
            start_new_session=True,  # without a terminal of its own, so that getpass takes this one
        ) as process,
        ExitStack() as ends,
    ):
        os.close(theirs)
        ends.callback(process.kill)
        shown = b""
        while prompt not in shown:
            assert process.poll() is None, shown
            assert select.select([ours], [], [], ENDS_WITHIN_S)[0], shown
            shown += os.read(ours, 4096)
        if answer is None:
            process.send_signal(signal.SIGINT)
        else:
            os.write(ours, answer.encode())
        shown += b"".join(read_all(ours))
        assert process.stdout is not None
        out = process.stdout.read()
        process.wait(ENDS_WITHIN_S)
    os.close(ours)
    return process.returncode, out.decode(), shown.decode()


def test_delete_asks_and_deletes_only_where_somebody_says_yes(person: Images, held: Registry, tmp_path: Path) -> None:
    image = make_image("asked")
    write_layout(image, tmp_path / "layout", "v1")
    name = f"{held.host}/terminal/asked:v1"
    person.must("push", tmp_path / "layout", name)
    code, out, shown = answered(person, "n\n", "delete", name)
    assert (code, out) == (1, "")
    assert f"to delete {held.host}/terminal/asked: v1 ({image.digest})" in shown
    assert "nothing was deleted: not confirmed" in shown
    assert "terminal/asked:v1" in person.list(held)
    code, out, _ = answered(person, "y\n", "delete", name)
    assert (code, out) == (0, f"deleted {name} {image.digest}\n")
    assert "terminal/asked:v1" not in person.list(held)


def test_repository_is_shown_before_it_is_deleted(person: Images, held: Registry, tmp_path: Path) -> None:
    place = f"{held.host}/terminal/whole"
    for number in range(MAX_SHOWN + 2):
        write_layout(make_image(f"whole {number}"), tmp_path / str(number), f"v{number}")
        person.must("push", tmp_path / str(number), place)
    code, out, shown = answered(person, "\n", "delete", place)
    assert (code, out) == (1, "")
    lines = [line for line in shown.splitlines() if line.startswith(f"to delete {place}")]
    assert len(lines) == MAX_SHOWN + 2
    assert lines[-2] == f"to delete {place}: 2 more manifests, which --dry-run shows"
    assert f"to delete {place} as a whole: {MAX_SHOWN + 2} tags, {MAX_SHOWN + 2} manifests, " in lines[-1]
    assert f"Delete the repository {place}? [y/N] " in shown
    assert len(person.list(held, "--filter", "terminal/whole:*")) == MAX_SHOWN + 2
    code, out, _ = answered(person, "y\n", "delete", place)
    assert (code, len(out.splitlines())) == (0, MAX_SHOWN + 3)
    assert person.list(held, "--filter", "terminal/whole:*") == []


@pytest.mark.parametrize(
    ("prompt", "arguments"),
    [(b"[y/N] ", ("delete", "{host}/terminal/app:v1")), (b"Password: ", ("list", "--user", "alice", "{host}"))],
    ids=["delete", "password"],
)
def test_question_is_ended_by_one_ctrl_c(
    person: Images, held: Registry, prompt: bytes, arguments: tuple[str, ...]
) -> None:
    code, out, shown = answered(person, None, *(each.format(host=held.host) for each in arguments), prompt=prompt)
    assert (code, out) == (130, "")
    assert "Traceback" not in shown
    assert "terminal/app:v1" in person.list(held)


def read_all(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            assert select.select([descriptor], [], [], ENDS_WITHIN_S)[0], "it says nothing and does not end"
            piece = os.read(descriptor, 4096)
        except OSError:  # Linux: EIO where the other side is closed
            return
        if not piece:
            return
        yield piece


def test_bars_are_drawn_on_a_terminal_and_results_go_where_they_should(person: Images, held: Registry) -> None:
    name = f"{held.host}/terminal/app:v1"
    out, shown = on_terminal(person, "copy", "--json", name, f"{held.host}/terminal/one:v1", stdout_too=False)
    assert json.loads(out)["outcome"] == "copied"
    assert "━" in shown
    assert "outcome" not in shown
    out, shown = on_terminal(person, "pull", name, "-o", "app.tar", stdout_too=True)
    assert f"pulled {name}" in shown


def test_elsewhere_there_are_lines_alone(person: Images, held: Registry) -> None:
    done = person.process("copy", f"{held.host}/terminal/app:v1", f"{held.host}/terminal/two:v1", TERM="xterm")
    assert done.err == ""
    assert done.out.count("\n") == 1
    assert done.out.isprintable() or done.out[:-1].isprintable()


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_proxy_of_the_usual_variables_is_used(person: Images, held: Registry, variable: str) -> None:
    async with http_proxy(held.port) as (address, asked):
        settings = {variable: address, "HTTPS_PROXY": address}
        done = await asyncio.to_thread(
            lambda: person.process("list", "--plain-http", "registry.test/terminal/app", **settings)
        )
        assert (done.code, done.out) == (0, "terminal/app:v1\n"), str(done)
        assert "GET http://registry.test/v2/terminal/app/tags/list" in asked
        before = len(asked)
        here = await asyncio.to_thread(lambda: person.process("list", f"{held.host}/terminal/app", **settings))
        assert (here.code, len(asked)) == (0, before)


@asynccontextmanager
async def http_proxy(behind: int) -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy that finds every host at 127.0.0.1:`behind`, and makes no tunnels: its address, and what it was asked."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, _, rest = head.partition("\r\n")
        asked.append(line.removesuffix(" HTTP/1.1"))
        if line.startswith("CONNECT "):
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        else:
            method, url, version = line.split(" ")
            from_there, to_there = await asyncio.open_connection("127.0.0.1", behind)
            path = "/" + url.split("/", 3)[3]
            to_there.write(f"{method} {path} {version}\r\nConnection: close\r\n{rest}".encode())
            writer.write(await from_there.read())
            to_there.close()
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


def test_certificate_that_is_not_believed_is_told_with_what_to_do(person: Images, ours: Registry) -> None:
    done = person.process("list", ours.host)
    assert (done.code, done.out) == (1, "")
    assert f"{ours.host} has a certificate that is not trusted" in done.err
    assert "--ca FILE" in done.err


async def test_authority_in_dockers_folder_of_certificates_is_believed(ours: Registry, tmp_path: Path) -> None:
    assert ours.ca is not None
    assert ours.user is not None
    login = Login(ours.user, ours.password)
    for found in (False, True):
        if found:
            (tmp_path / ours.host).mkdir()
            (tmp_path / ours.host / "ca.crt").write_bytes(ours.ca.read_bytes())
        async with Registries(Trust(certificates=tmp_path), login, {}, ours.host) as registries:
            repository = await registries.repository(ours.host, "none")
            if found:
                assert await repository.find_digest("v1") is None
            else:
                with pytest.raises(RegistryClientError, match="is not trusted"):
                    await repository.find_digest("v1")


def test_registry_that_is_not_there_is_told(person: Images) -> None:
    done = person.process("list", "--json", "localhost:1")
    assert done.code == 1
    assert json.loads(done.out)["outcome"] == "failed"
    assert "localhost:1 cannot be reached" in done.err
    assert "Traceback" not in done.err


def test_ipv6_host_is_spoken_to(person: Images) -> None:
    done = person.process("list", "[::1]:1")
    assert done.code == 1
    assert "[::1]:1 cannot be reached" in done.err
