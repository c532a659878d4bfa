"""What an operator has to mend before a start is said in one line; a second start makes nothing anew."""

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import trustme

from tests.support.binaries import binary
from tests.support.program import Outcome, environment, run
from tests.support.server import ADMIN_PASSWORD, AUTHPROXY, Server, contents, free_port, running_server

# root reads and writes whatever the modes say, unless it has no such capability.
LIKE_ANYBODY = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


def start(folder: Path, settings: Mapping[str, str] | None = None, wrapper: Sequence[str] = ()) -> Outcome:
    """`authproxy serve --embedded` to its end, which has to come by itself."""
    env = environment(
        folder, AUTHPROXY_ADMIN_PASSWORD=ADMIN_PASSWORD, REGISTRY_HTTP_ADDR=f"127.0.0.1:{free_port()}"
    ) | dict(settings or {})
    command = [binary(wrapper[0]), *wrapper[1:]] if wrapper else []
    return run(*command, AUTHPROXY, "serve", "--embedded", env=env, cwd=folder, timeout_s=60)


def assert_says(outcome: Outcome, *words: str) -> None:
    """Exit code 1 and one line, which has all the words."""
    assert outcome.code == 1, str(outcome)
    assert "Traceback" not in outcome.text
    lines = outcome.err.splitlines()
    assert len(lines) == 1, str(outcome)
    for word in words:
        assert word in lines[0], str(outcome)


@pytest.fixture
def authority() -> trustme.CA:
    """Somebody else's certificate authority."""
    return trustme.CA()


@pytest.fixture
def tls(tmp_path: Path, authority: trustme.CA) -> dict[str, str]:
    """A certificate of the operator's own and its key, as settings; `certificate.pem` and `key.pem` in the folder."""
    issued = authority.issue_cert("registry.example.org")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    return {
        "REGISTRY_HTTP_TLS_CERTIFICATE": str(tmp_path / "certificate.pem"),
        "REGISTRY_HTTP_TLS_KEY": str(tmp_path / "key.pem"),
    }


def test_busy_port_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        outcome = start(tmp_path, {"REGISTRY_HTTP_ADDR": f"127.0.0.1:{port}"})
    assert_says(outcome, f"127.0.0.1:{port}", "another program", "REGISTRY_HTTP_ADDR")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["certificate.pem", "key.pem"])
def test_missing_tls_file_is_named(tmp_path: Path, tls: dict[str, str], name: str) -> None:
    (tmp_path / name).unlink()
    assert_says(start(tmp_path, tls), str(tmp_path / name))


@pytest.mark.parametrize("name", ["certificate.pem", "key.pem"])
def test_tls_file_that_may_not_be_read_is_named(tmp_path: Path, tls: dict[str, str], name: str) -> None:
    (tmp_path / name).chmod(0)
    assert_says(start(tmp_path, tls, LIKE_ANYBODY), str(tmp_path / name))


@pytest.mark.parametrize("name", ["certificate.pem", "key.pem"])
def test_tls_file_that_is_none_is_named(tmp_path: Path, tls: dict[str, str], name: str) -> None:
    (tmp_path / name).write_text("-----BEGIN NOTHING-----\n")
    assert_says(start(tmp_path, tls), str(tmp_path / name))


def test_key_of_another_certificate_is_named_with_its_certificate(
    tmp_path: Path, tls: dict[str, str], authority: trustme.CA
) -> None:
    authority.issue_cert("registry.example.org").private_key_pem.write_to_path(tmp_path / "key.pem")
    assert_says(start(tmp_path, tls), str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem"))


@pytest.mark.parametrize("name", ["data", "certs"])
def test_file_where_a_folder_belongs_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("in the way")
    assert_says(start(tmp_path), name)


@pytest.mark.parametrize("name", ["data", "certs"])
def test_folder_that_may_not_be_written_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir(mode=0o500)
    assert_says(start(tmp_path, wrapper=LIKE_ANYBODY), name)


def test_storage_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir(mode=0o500)
    settings = {"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(tmp_path / "blobs")}
    assert_says(start(tmp_path, settings, LIKE_ANYBODY), str(tmp_path / "blobs"))


def test_second_start_makes_nothing_anew(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        server.stop()
        first = made(server)
        server.start()
        server.stop()
        assert made(server) == first


def made(server: Server) -> dict[str, tuple[str, int]]:
    """What the first start made, without what processes tell each other: contents and modes by path."""
    found = contents(*(server.folder / name for name in ("certs", "data", "policies")))
    return {path: content for path, content in found.items() if "/.authproxy/" not in path}


def test_keys_and_password_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0)  # the widest: the modes must not lean on the operator's
    try:
        with running_server(tmp_path) as server:
            modes = {path: mode for path, (_, mode) in made(server).items() if is_secret(Path(path))}
    finally:
        os.umask(old)
    assert {Path(path).name for path in modes} > {"htpasswd", "ca.key", "server.key"}, "and a key that signs tokens"
    assert {oct(mode) for mode in modes.values()} == {"0o600"}, modes


def is_secret(path: Path) -> bool:
    """Whether a file holds a private key or password hashes."""
    return path.name in ("htpasswd", "users.yaml") or b"PRIVATE KEY" in path.read_bytes()
