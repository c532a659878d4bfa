"""Redirects to the upstream's storage: where one may go, what is said there, and what comes back."""

import ssl
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from authproxy.digest import Digest
from authproxy.errors import GatewayFailed
from authproxy.http.client.address import Address
from authproxy.http.client.connection import Timeouts
from authproxy.http.client.tls import TlsFiles
from authproxy.proxy.redirect import MAX_HOPS, MAX_POOLS, RedirectFollower, RedirectHop, find_hop
from authproxy.proxy.upstream import Upstream
from tests.support.upstream import Connection, answering, fake_upstream, front_door

CONTENT = bytes(range(250)) * 400
DIGEST = str(Digest.of(CONTENT))
BLOB = f"/v2/a/blobs/{DIGEST}"
ASKED = RedirectHop(Address("https", "registry", 443), b"/v2/a/blobs/x")

HOPS = [
    ("absolute", "https://s3/b/x?Sig=%2f%3D", ("https", "s3", 443), b"/b/x?Sig=%2f%3D"),
    ("with a port", "https://s3:9000/x", ("https", "s3", 9000), b"/x"),
    ("an IPv6 address", "https://[::1]:9000/x", ("https", "::1", 9000), b"/x"),
    ("no path", "https://s3", ("https", "s3", 443), b"/"),
    ("the same scheme", "//s3/x", ("https", "s3", 443), b"/x"),
    ("a path of the upstream", "/storage/x", ("https", "registry", 443), b"/storage/x"),
    ("beside it", "y", ("https", "registry", 443), b"/v2/a/blobs/y"),
    ("with a fragment", "https://s3/x#y", ("https", "s3", 443), b"/x"),
    ("bytes that no target may hold", "https://s3/a b\xe9", ("https", "s3", 443), b"/a%20b%E9"),
]
NO_HOPS = {
    "http after https": "http://s3/x",
    "a file": "file:///etc/passwd",
    "another scheme": "gopher://s3/x",
    "no port": "https://s3:x/",
    "a user": "https://user@s3/x",
    "a backslash": "https://s3\\@evil/x",
    "broken brackets": "https://[::1/x",
}


@pytest.mark.parametrize(("location", "place", "target"), [row[1:] for row in HOPS], ids=[row[0] for row in HOPS])
def test_hop(location: str, place: tuple[str, str, int], target: bytes) -> None:
    hop = find_hop(307, [(b"Location", location.encode("latin-1"))], ASKED)
    assert hop is not None
    assert (hop.address, hop.target) == (Address(*place), target)


def test_host_is_as_the_address_writes_it() -> None:
    hosts = [find_hop(307, [(b"location", url)], ASKED) for url in (b"https://B.s3:443/x", b"https://b.s3/x")]
    assert [hop and hop.host for hop in hosts] == ["B.s3:443", "b.s3"]


@pytest.mark.parametrize("location", NO_HOPS.values(), ids=NO_HOPS)
def test_hop_that_is_refused(location: str) -> None:
    with pytest.raises(GatewayFailed):
        find_hop(302, [(b"location", location.encode())], ASKED)


@pytest.mark.parametrize(("status", "headers"), [(200, [(b"Location", b"https://s3/")]), (307, []), (304, [])])
def test_answer_that_is_no_redirect(status: int, headers: list[tuple[bytes, bytes]]) -> None:
    assert find_hop(status, headers, ASKED) is None


@given(st.text(st.characters(max_codepoint=255)))
def test_any_location_is_a_hop_or_an_error_of_ours(location: str) -> None:
    try:
        hop = find_hop(307, [(b"location", location.encode("latin-1"))], ASKED)
    except GatewayFailed:
        return
    assert hop is not None
    assert hop.address.scheme == "https"
    assert not set(hop.target) & set(b" \r\n")


class S3:
    """A storage that answers all alike, and keeps what was asked."""

    def __init__(self, answer: bytes = b"") -> None:
        self.heads: list[bytes] = []
        self.answer = answer or (
            b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: "e"\r\nx-amz-id-2: secret\r\nServer: s3\r\n\r\n'
            % len(CONTENT)
        )
        self.body = b"" if answer else CONTENT

    async def __call__(self, connection: Connection) -> None:
        while True:
            head, _ = await connection.read_request()
            self.heads.append(head)
            await connection.send(self.answer, b"" if head.startswith(b"HEAD") else self.body)


def redirect(url: str) -> bytes:
    return f"HTTP/1.1 307 T\r\nLocation: {url}\r\nContent-Length: 4\r\n\r\ngone".encode()


async def test_bytes_come_from_the_storage_and_credentials_do_not_go_there() -> None:
    s3 = S3()
    async with (
        fake_upstream(s3) as storage,
        fake_upstream(answering(redirect(f"{storage.url}/bucket/x?Signature=%2fabc%3D"))) as upstream,
        front_door(
            Upstream(upstream.url, pass_authorization=True, follows_redirects=True, storages=[storage.url])
        ) as front,
        front.client() as client,
    ):
        sent = {"Authorization": "Bearer clients", "Range": "bytes=0-", "Cookie": "a=b", "User-Agent": "docker/1"}
        for _ in range(2):
            assert (await client.get(BLOB, headers=sent)).content == CONTENT
        answer = await client.get(BLOB, headers=sent)
        assert (answer.status_code, answer.content) == (200, CONTENT)
        assert len(storage.connections) == len(upstream.connections) == 1
        assert answer.headers["docker-content-digest"] == DIGEST
        assert answer.headers["etag"] == '"e"'
        assert not {"x-amz-id-2", "location"} & set(answer.headers)
    lines = s3.heads[0].lower().split(b"\r\n")
    assert lines[:2] == [b"get /bucket/x?signature=%2fabc%3d http/1.1", f"host: 127.0.0.1:{storage.port}".encode()]
    assert b"range: bytes=0-" in lines
    assert not [line for line in lines if line.startswith((b"authorization", b"cookie", b"x-forwarded", b"forwarded"))]
    assert b"?Signature=%2fabc%3D " in s3.heads[0]


async def test_head_is_followed_too() -> None:
    async with (
        fake_upstream(S3()) as storage,
        fake_upstream(answering(b"HTTP/1.1 307 T\r\nLocation: %b/x\r\n\r\n" % storage.url.encode())) as upstream,
        front_door(Upstream(upstream.url, follows_redirects=True, storages=[storage.url])) as front,
        front.client() as client,
    ):
        answer = await client.head(BLOB)
        assert (answer.status_code, answer.headers["content-length"]) == (200, str(len(CONTENT)))
        assert "docker-content-digest" not in answer.headers  # nobody has looked


@pytest.mark.parametrize("status", ["206 Partial", "416 Not"])
async def test_part_is_told_as_the_storage_tells_it(status: str) -> None:
    s3 = S3(f"HTTP/1.1 {status}\r\nContent-Range: bytes 0-1/5\r\nContent-Length: 2\r\n\r\nab".encode())
    async with (
        fake_upstream(s3) as storage,
        fake_upstream(answering(redirect(f"{storage.url}/x"))) as upstream,
        front_door(Upstream(upstream.url, follows_redirects=True, storages=[storage.url])) as front,
        front.client() as client,
    ):
        answer = await client.get(BLOB, headers={"Range": "bytes=0-1"})
        assert (answer.status_code, answer.headers["content-range"]) == (int(status[:3]), "bytes 0-1/5")
        assert "docker-content-digest" not in answer.headers


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found", "500 Oops", "503 Slow", "401 No"])
async def test_storage_that_refuses_is_a_gateway_error(status: str) -> None:
    s3 = S3(f"HTTP/1.1 {status}\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 2\r\n\r\nno".encode())
    async with (
        fake_upstream(s3) as storage,
        fake_upstream(answering(redirect(f"{storage.url}/x"))) as upstream,
        front_door(Upstream(upstream.url, follows_redirects=True, storages=[storage.url])) as front,
        front.client() as client,
    ):
        answer = await client.get(BLOB)
        assert (answer.status_code, "storage behind the upstream" in answer.text) == (502, True)
        assert str(storage.port) not in answer.text


async def test_a_small_blob_that_is_another_one_is_a_gateway_error() -> None:
    s3 = S3(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother")
    async with (
        fake_upstream(s3) as storage,
        fake_upstream(answering(redirect(f"{storage.url}/x"))) as upstream,
        front_door(Upstream(upstream.url, follows_redirects=True, storages=[storage.url])) as front,
        front.client() as client,
    ):
        answer = await client.get(BLOB)
        assert (answer.status_code, "other content than the blob" in answer.text) == (502, True)


LARGE = bytes(range(256)) * 16 * 1024


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_a_large_blob_is_whole_when_it_is_the_right_one_alone(framing: str, algorithm: str) -> None:
    bodies = {"right": LARGE, "wrong": LARGE[:-1] + b"x"}

    async def send(connection: Connection) -> None:
        while True:
            head, _ = await connection.read_request()
            body = bodies[head.split(b"/")[1].split(b" ")[0].decode()]
            if framing == "length":
                await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body)
            else:
                await connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                await connection.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))

    async with fake_upstream(send) as storage:
        for kind in ("right", "wrong"):
            async with (
                fake_upstream(answering(redirect(f"{storage.url}/{kind}"))) as upstream,
                front_door(Upstream(upstream.url, follows_redirects=True, storages=[storage.url])) as front,
            ):
                digest = Digest.of(LARGE, algorithm)
                client = await front.connect(b"GET /v2/a/blobs/%b HTTP/1.1\r\nHost: a\r\n" % str(digest).encode())
                client.writer.write(b"Connection: close\r\n\r\n")
                received = await client.reader.read()
                client.writer.close()
                assert received.startswith(b"HTTP/1.1 200 ")
                assert (len(received) > len(LARGE)) == (kind == "right")
                assert framing == "length" or received.endswith(b"\r\n0\r\n\r\n") == (kind == "right")


async def test_a_storage_that_is_not_named_is_not_asked() -> None:
    s3 = S3()
    async with (
        fake_upstream(s3) as storage,
        fake_upstream(answering(redirect(f"{storage.url}/x"))) as upstream,
        front_door(Upstream(upstream.url, follows_redirects=True, storages=["https://other"])) as front,
        front.client() as client,
    ):
        answer = await client.get(BLOB)
        assert (answer.status_code, "redirecthosts" in answer.text) == (502, True)
    assert not s3.heads


# What the system's resolver makes 127.0.0.1 or 169.254.169.254 of too, beside the plain forms.
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "0", "[::ffff:7f00:1]"]
)
async def test_this_machine_is_no_storage_by_whatever_name(host: str) -> None:
    s3 = S3()
    async with (
        fake_upstream(s3) as storage,
        fake_upstream(answering(redirect(f"http://{host}:{storage.port}/metrics"))) as upstream,
        front_door(Upstream(upstream.url, follows_redirects=True)) as front,
        front.client() as client,
    ):
        answer = await client.get(BLOB)
        assert (answer.status_code, "an address that is not followed" in answer.text) == (502, True)
    assert not s3.heads


async def test_only_blobs_that_are_read_are_followed() -> None:
    s3 = S3()
    async with (
        fake_upstream(s3) as storage,
        fake_upstream(answering(redirect(f"{storage.url}/x"))) as upstream,
        front_door(Upstream(upstream.url, follows_redirects=True, storages=[storage.url])) as front,
        front.client() as client,
    ):
        for method, path in [("GET", "/v2/a/manifests/b"), ("DELETE", BLOB), ("POST", "/v2/a/blobs/uploads/")]:
            answer = await client.request(method, path)
            assert (answer.status_code, answer.headers["location"]) == (307, f"{storage.url}/x")
        assert s3.heads == []


async def test_redirect_to_the_upstream_itself_is_the_clients_to_follow() -> None:
    async with (
        fake_upstream(answering(redirect("/v2/b/blobs/x"))) as upstream,
        front_door(Upstream(upstream.url, follows_redirects=True)) as front,
        front.client() as client,
    ):
        answer = await client.get(BLOB)
        assert (answer.status_code, answer.headers["location"]) == (307, f"{front.url}/v2/b/blobs/x")


async def test_storage_that_redirects_for_ever_is_a_gateway_error() -> None:
    async def again(connection: Connection) -> None:
        while True:
            await connection.read_request()
            await connection.send(redirect("/again"))

    async with (
        fake_upstream(again) as storage,
        fake_upstream(answering(redirect(f"{storage.url}/x"))) as upstream,
        front_door(Upstream(upstream.url, follows_redirects=True, storages=[storage.url])) as front,
        front.client() as client,
    ):
        answer = await client.get(BLOB)
        assert (answer.status_code, f"more than {MAX_HOPS} times" in answer.text) == (502, True)


async def test_storage_is_verified_and_sees_no_certificate_of_ours(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with fake_upstream(S3(), tls=context) as storage:
        to_storage = answering(redirect(f"https://127.0.0.1:{storage.port}/x"))
        async with fake_upstream(to_storage, tls=context) as upstream:
            url = f"https://127.0.0.1:{upstream.port}"
            for ca, status in ((tmp_path / "ca.pem", 200), (None, 502)):
                named = [f"https://127.0.0.1:{storage.port}"]
                backend = Upstream(url, follows_redirects=True, storages=named, tls=TlsFiles(ca=ca))
                async with front_door(backend) as front, front.client() as client:
                    assert (await client.get(BLOB)).status_code == status


async def test_pools_of_many_storages_are_bounded() -> None:
    storage = RedirectFollower([], ssl.create_default_context(), Timeouts())
    first = storage._pool(Address("http", "0", 80))
    first.in_flight = 1
    for number in range(3 * MAX_POOLS):
        storage._pool(Address("http", str(number), 80))
    assert len(storage._pools) == MAX_POOLS
    assert storage._pools[Address("http", "0", 80)] is first
    storage.close()
