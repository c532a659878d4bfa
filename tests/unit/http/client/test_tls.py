"""TLS towards the upstream: who we are, and the name that it has to prove."""

import ssl
from pathlib import Path

import pytest
import trustme

from authproxy.errors import StartError
from authproxy.http.client.tls import TlsFiles
from authproxy.proxy.upstream import Upstream
from tests.support.upstream import answering, fake_upstream, front_door

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Files:
    """An authority, the upstream's certificate for a name, and ours."""

    def __init__(self, folder: Path, name: str = "127.0.0.1") -> None:
        self.authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        ours = self.authority.issue_cert("front.door")
        self.certificate, self.key = folder / "ours.pem", folder / "ours.key"
        ours.cert_chain_pems[0].write_to_path(self.certificate)
        ours.private_key_pem.write_to_path(self.key)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name).configure_cert(self.server)


async def status(files: Files, asked: TlsFiles) -> int:
    """What a client gets through the proxy."""
    async with (
        fake_upstream(answering(OK), tls=files.server) as upstream,
        front_door(Upstream(f"https://127.0.0.1:{upstream.port}", tls=asked)) as front,
        front.client() as client,
    ):
        return (await client.get("/v2/")).status_code


async def test_certificate_of_ours_is_shown(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.authority.configure_trust(files.server)
    files.server.verify_mode = ssl.CERT_REQUIRED
    assert await status(files, TlsFiles(ca=files.ca, certificate=files.certificate, key=files.key)) == 200
    assert await status(files, TlsFiles(ca=files.ca)) == 502


async def test_name_in_the_certificate_may_be_another_than_the_host(tmp_path: Path) -> None:
    files = Files(tmp_path, "registry.internal")
    asked: list[str | None] = []
    files.server.sni_callback = lambda _, name, __: asked.append(name)
    assert await status(files, TlsFiles(ca=files.ca, server_name="registry.internal")) == 200
    assert asked == ["registry.internal"]
    assert await status(files, TlsFiles(ca=files.ca)) == 502


def test_certificate_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    files = Files(tmp_path)
    (tmp_path / "other").mkdir()
    other = Files(tmp_path / "other")
    rows = [
        (TlsFiles(certificate=tmp_path / "none.pem", key=files.key), r"upstream.certificate: cannot read .*none.pem"),
        (TlsFiles(certificate=files.certificate, key=tmp_path / "none.key"), r"upstream.key: cannot read .*none.key"),
        (TlsFiles(certificate=files.certificate, key=other.key), r"are not a pair in PEM form"),
    ]
    for given, message in rows:
        with pytest.raises(StartError, match=message):
            Upstream("https://registry", tls=given)
