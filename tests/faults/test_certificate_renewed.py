"""The certificate is renewed under a running server: the next handshakes show it, and nothing else changes."""

import datetime as dt
import os
import re
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from authproxy.digest import Digest
from tests.support.certificates import Made, make, make_chain, shown_by, unverifying
from tests.support.server import ADMIN, ADMIN_PASSWORD, Server, free_port, running_server, speaks_tls

PROMISED_S = 2.0
MARGIN_S = 8.0  # for a busy machine; what was promised is 2 s
ERROR_WITHIN_S = 15.0  # files may settle for 5 s
STARTED_WITHIN_S = 120.0  # all workers, on a busy machine
REPLACED_WITHIN_S = 90.0  # a worker that died
LOOKS_S = 2.5  # in which every worker has looked at the files
# Handshakes by which every one of two workers has been asked, but for one time in a thousand.
ENOUGH_TIMES = 10
REPOSITORY = "admin/app"
# The operator's own: authproxy writes to none of these.
PAIR = {"REGISTRY_HTTP_TLS_CERTIFICATE": "tls/server.pem", "REGISTRY_HTTP_TLS_KEY": "tls/server.key"}


@pytest.fixture(scope="module", params=["1", "2"], ids=["one worker", "two workers"])
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of one or two workers, and its metrics on a port of their own. Each test leaves a sound pair behind."""
    folder = tmp_path_factory.mktemp("server")
    make(folder / "tls")
    settings = {
        **PAIR,
        "REGISTRY_HTTP_WORKERS": request.param,
        "REGISTRY_HTTP_DEBUG_ADDR": f"127.0.0.1:{free_port()}",
        "REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED": "true",
    }
    with running_server(folder, settings) as running:
        running.wait_until(lambda: f"\nauthproxy_workers {request.param}.0\n" in metrics(running), STARTED_WITHIN_S)
        yield running


def certs(server: Server) -> Path:
    return server.folder / "tls"


def shows(server: Server, made: Made) -> bool:
    """Whether every worker shows this certificate."""
    return all(shown_by(server.port).serial_number == made.serial for _ in range(ENOUGH_TIMES))


def wait_until_shown(server: Server, made: Made, loaded_before: int) -> None:
    """Each worker has to say so as well: on a busy machine one of them may take all the handshakes."""

    def is_shown() -> bool:
        return loaded(server) >= loaded_before + workers(server) and shows(server, made)

    server.wait_until(is_shown, PROMISED_S + MARGIN_S)


def renew(server: Server, made: Made) -> None:
    """Write a pair, and wait until every worker shows it."""
    before = loaded(server)
    made.install(certs(server))
    wait_until_shown(server, made, before)


def current(server: Server) -> Made:
    return Made(*((certs(server) / name).read_bytes() for name in ("server.pem", "server.key", "ca.pem")))


def workers(server: Server) -> int:
    return int(server.settings.get("REGISTRY_HTTP_WORKERS", "1"))


def loaded(server: Server) -> int:
    return server.output.count("certificate reloaded")


def errors(server: Server) -> list[str]:
    """What the log has said about files that can't serve."""
    told = "not reloaded, the old content stays in force"
    return [line for line in server.output.splitlines() if told in line and "part=certificate" in line]


def metrics(server: Server) -> str:
    return httpx.get(f"http://{server.settings['REGISTRY_HTTP_DEBUG_ADDR']}/metrics", trust_env=False).text


def shown_expiry(server: Server) -> float:
    found = re.findall(
        r"(?m)^authproxy_certificate_expiration_timestamp_seconds\{path=\"\S+\"\} (\S+)$", metrics(server)
    )
    assert len(found) == 1
    return float(found[0])


def test_a_renewed_certificate_serves_from_the_next_handshake_on_in_every_worker(
    server: Server, tmp_path: Path
) -> None:
    renewed = make(tmp_path / "new", made_ago=dt.timedelta(days=100))
    before, loaded_before, errors_before = shown_expiry(server), loaded(server), errors(server)
    renew(server, renewed)
    server.wait_until(lambda: loaded(server) == loaded_before + workers(server), MARGIN_S)
    server.wait_until(lambda: shown_expiry(server) < before - 86400 * 99, PROMISED_S + MARGIN_S)
    assert errors(server) == errors_before


def test_the_chain_behind_it_is_renewed_with_it(server: Server, tmp_path: Path) -> None:
    renewed = make_chain()
    renew(server, renewed)
    (tmp_path / "root.pem").write_bytes(renewed.authority)
    shown_by(server.port, context=ssl.create_default_context(cafile=str(tmp_path / "root.pem")))  # verifies


def test_a_certificate_that_comes_before_its_key_waits_for_it(server: Server, tmp_path: Path) -> None:
    old, renewed, errors_before = current(server), make(tmp_path / "new"), errors(server)
    (certs(server) / "server.pem").write_bytes(renewed.certificate)
    time.sleep(LOOKS_S)
    assert shows(server, old)
    before = loaded(server)
    (certs(server) / "server.key").write_bytes(renewed.key)
    wait_until_shown(server, renewed, before)
    assert errors(server) == errors_before, "a moment in which the files don't fit is no error"


def test_the_same_pair_written_again_changes_nothing(server: Server) -> None:
    time.sleep(LOOKS_S)  # until each worker has what the test before has left
    old, loaded_before, context = current(server), loaded(server), unverifying()
    sessions = sessions_of(server, context)
    old.install(certs(server))
    time.sleep(LOOKS_S)
    assert loaded(server) == loaded_before
    assert are_some_resumed(server, context, sessions)


def _cut(made: Made, folder: Path) -> None:
    (folder / "server.pem").write_bytes(made.certificate[: len(made.certificate) // 2])
    (folder / "server.key").write_bytes(made.key)


def _only_certificate(made: Made, folder: Path) -> None:
    (folder / "server.pem").write_bytes(made.certificate)


def _garbage(made: Made, folder: Path) -> None:
    del made
    (folder / "server.pem").write_bytes(b"hello")


def _delete(made: Made, folder: Path) -> None:
    del made
    (folder / "server.pem").unlink()
    (folder / "server.key").unlink()


def _key_garbage(made: Made, folder: Path) -> None:
    del made
    (folder / "server.key").write_text("-----BEGIN PRIVATE KEY-----\nnothing\n-----END PRIVATE KEY-----\n")


def _expired(made: Made, folder: Path) -> None:
    del made
    make(folder.parent / "expired", made_ago=dt.timedelta(days=900)).install(folder)


def _future(made: Made, folder: Path) -> None:
    del made
    make(folder.parent / "future", made_ago=dt.timedelta(days=-1)).install(folder)


BROKEN = [
    ("half of the certificate is written", _cut, "damaged or only half written"),
    ("the key stays the old one", _only_certificate, "does not match the certificate"),
    ("the certificate is garbage", _garbage, "contains neither PEM nor DER"),
    ("the key is garbage", _key_garbage, "must be a PEM certificate and its PEM key"),
    ("both are deleted", _delete, "cannot read"),
    ("it has expired", _expired, "expired on"),
    ("it is not valid yet", _future, "is not valid before"),
]


@pytest.mark.parametrize(("what", "spoil", "reason"), BROKEN, ids=[row[0] for row in BROKEN])
def test_files_that_cannot_serve_leave_the_old_pair_and_say_so(
    server: Server, tmp_path: Path, what: str, spoil: Callable[[Made, Path], None], reason: str
) -> None:
    del what
    old, renewed, said = current(server), make(tmp_path / "new"), len(errors(server))
    spoil(renewed, certs(server))
    server.wait_until(lambda: len(errors(server)) >= said + workers(server), ERROR_WITHIN_S)
    assert shows(server, old)
    time.sleep(LOOKS_S)
    assert len(errors(server)) == said + workers(server), "once for each fault and worker, not at each look"
    assert all(reason in line for line in errors(server)[said:])
    renew(server, renewed)


def test_a_worker_that_starts_later_serves_the_pair_of_now_or_the_last_good_one(tmp_path: Path) -> None:
    make(tmp_path / "server/tls")
    with running_server(tmp_path / "server", {**PAIR, "REGISTRY_HTTP_WORKERS": "2"}) as server:
        old = current(server)
        (certs(server) / "server.pem").write_bytes(os.urandom(3000))
        before = server.worker_ids()
        os.kill(min(before), signal.SIGKILL)
        server.wait_until(
            lambda: len(server.worker_ids() - before) == 1 and len(server.worker_ids()) == 2, REPLACED_WITHIN_S
        )
        server.wait_until(lambda: len(errors(server)) == 2, REPLACED_WITHIN_S)
        assert shows(server, old)
        renewed = make(tmp_path / "new")
        renew(server, renewed)
        before = server.worker_ids()
        for worker in before:
            os.kill(worker, signal.SIGKILL)
        server.wait_until(lambda: speaks_tls(server.port), REPLACED_WITHIN_S)
        assert shows(server, renewed), "from its first handshake on"


def test_the_symbolic_link_of_a_mounted_secret_is_swapped(tmp_path: Path) -> None:
    """As the kubelet does: `tls.crt` → `..data/tls.crt`, and `..data` is replaced in one step."""
    mounted = tmp_path / "mounted"
    _mount(mounted, "first", first := make(tmp_path / "one"))
    with running_server(tmp_path / "server", _files(mounted / "tls.crt", mounted / "tls.key")) as server:
        assert shows(server, first)
        _mount(mounted, "second", second := make(tmp_path / "two"))
        wait_until_shown(server, second, 0)
        assert errors(server) == []


def _mount(folder: Path, version: str, made: Made) -> None:
    (folder / version).mkdir(parents=True)
    made.install(folder / version, "tls.crt", "tls.key")
    (folder / "..new").symlink_to(version)
    (folder / "..new").replace(folder / "..data")
    for name in ("tls.crt", "tls.key"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")


def test_the_links_that_certbot_keeps_are_followed_one_after_the_other(tmp_path: Path) -> None:
    """`live/NAME/fullchain.pem` → `archive/NAME/fullchain1.pem`: certbot replaces each link by itself."""
    live, archive = tmp_path / "live", tmp_path / "archive"
    live.mkdir()
    archive.mkdir()
    first, second = make(tmp_path / "one"), make(tmp_path / "two")
    for number, made in ((1, first), (2, second)):
        made.install(archive, f"fullchain{number}.pem", f"privkey{number}.pem")
    for name in ("fullchain", "privkey"):
        (live / f"{name}.pem").symlink_to(archive / f"{name}1.pem")
    with running_server(tmp_path / "server", _files(live / "fullchain.pem", live / "privkey.pem")) as server:
        assert shows(server, first)
        for name in ("privkey", "fullchain"):
            (live / f"{name}.pem").unlink()
            (live / f"{name}.pem").symlink_to(archive / f"{name}2.pem")
        wait_until_shown(server, second, 0)


def _files(certificate: Path, key: Path) -> dict[str, str]:
    return {"REGISTRY_HTTP_TLS_CERTIFICATE": str(certificate), "REGISTRY_HTTP_TLS_KEY": str(key)}


def test_a_session_of_the_old_certificate_is_not_resumed(server: Server, tmp_path: Path) -> None:
    """Its client shakes hands in full and meets the new one; sessions of the new one are resumed again."""
    context = unverifying()
    assert are_some_resumed(server, context, sessions_of(server, context))
    of_the_old = sessions_of(server, context)
    renewed = make(tmp_path / "new")
    renew(server, renewed)
    assert not any(is_resumed(server.port, context, session) for session in of_the_old)
    assert are_some_resumed(server, context, sessions_of(server, context))


def sessions_of(server: Server, context: ssl.SSLContext) -> list[ssl.SSLSession]:
    """So many that with two workers one of them meets its own again."""
    return [session_of(server.port, context) for _ in range(ENOUGH_TIMES)]


def session_of(port: int, context: ssl.SSLContext) -> ssl.SSLSession:
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    with plain, context.wrap_socket(plain, server_hostname="localhost") as connection:
        connection.sendall(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        while connection.recv(65536):  # tickets come with the first bytes of TLS 1.3
            pass
        assert connection.session is not None
        return connection.session


def is_resumed(port: int, context: ssl.SSLContext, session: ssl.SSLSession) -> bool:
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    with plain, context.wrap_socket(plain, server_hostname="localhost", session=session) as connection:
        return bool(connection.session_reused)


def are_some_resumed(server: Server, context: ssl.SSLContext, sessions: list[ssl.SSLSession]) -> bool:
    """Two workers may take turns so evenly that each session meets the other one; the second time they are shifted."""
    again = [*sessions, sessions[0], *sessions]
    return any(is_resumed(server.port, context, session) for session in again)


def test_pulls_in_flight_go_on_and_no_handshake_fails_while_it_changes(server: Server, tmp_path: Path) -> None:
    blob = os.urandom(48 * 1024 * 1024)
    first, *pairs = [make(tmp_path / str(number)) for number in range(4)]
    server.ca.write_bytes(first.authority)
    renew(server, first)
    scope = f"repository:{REPOSITORY}:pull,push"
    with server.client_for(ADMIN, ADMIN_PASSWORD, scope) as client:
        digest = _push(client, blob)
        with client.stream("GET", f"/v2/{REPOSITORY}/blobs/{digest}") as answer:
            pieces = answer.iter_raw(64 * 1024)
            received = [next(pieces)]
            with _handshakes(server.port) as failures:
                for made in pairs:
                    renew(server, made)
                    received += [next(pieces) for _ in range(8)]
            received += pieces
        assert client.get("/v2/").status_code == httpx.codes.OK, "the connection of the old certificate is kept"
    assert Digest.of(b"".join(received)) == digest
    assert failures == []
    assert not shows(server, first)


def _push(client: httpx.Client, blob: bytes) -> Digest:
    digest = Digest.of(blob)
    location = client.post(f"/v2/{REPOSITORY}/blobs/uploads/").headers["Location"]
    answer = client.put(httpx.URL(location).copy_merge_params({"digest": str(digest)}), content=blob)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return digest


class _handshakes:  # noqa: N801 - used as a function
    """Handshakes one after the other from two threads, for the length of a block; the value is what failed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ended = threading.Event()
        self._failures: list[str] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(2)]

    def __enter__(self) -> list[str]:
        for thread in self._threads:
            thread.start()
        return self._failures

    def __exit__(self, *raised: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                shown_by(self._port)
            except OSError as exc:
                self._failures.append(repr(exc))
