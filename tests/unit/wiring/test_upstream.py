"""The section `upstream` → the backend that is another registry, and what looks after it."""

from pathlib import Path
from typing import Any

import pytest

from authproxy.access import pull
from authproxy.authorization import Bearer
from authproxy.config.sections.token import Token
from authproxy.config.sections.upstream import Upstream as Section
from authproxy.errors import StartError
from authproxy.health.checks import Checks
from authproxy.metrics.metrics import Metrics
from authproxy.token.verifier import own_verifier
from authproxy.wiring.lifespan import Parts
from authproxy.wiring.upstream import RingMinter, make_upstream
from tests.support.upstream import Connection, fake_upstream, front_door


def parts() -> Parts:
    return Parts(Metrics(), Checks(()))


async def test_addresses_are_looked_at_where_it_is_asked_for() -> None:
    plain, watched = parts(), parts()
    make_upstream(Section(url="http://a:1"), plain, None)
    upstream = make_upstream(
        Section.model_validate({"url": ["http://a:1", "http://b:1"], "health": {"interval": "1s"}}), watched, None
    )
    assert (len(plain.runners), len(watched.runners)) == (0, 1)
    assert repr(upstream) == "<Upstream http://a:1, http://b:1>"


async def test_each_upstream_is_looked_at() -> None:
    made = parts()
    for url in ("http://a:1", "http://a:1"):
        make_upstream(Section.model_validate({"url": url, "health": {}}), made, None)
    assert len(made.runners) == 2


async def test_all_are_closed() -> None:
    made = parts()
    make_upstream(Section(url="http://a:1"), made, None)
    assert len(made.closers) == 1


async def test_minted_token_is_for_the_upstream_and_verifies_with_our_keys(tmp_path: Path) -> None:
    minter = RingMinter.open(Token(keys=tmp_path / "keys", issuer="front"), "registry")
    minted = minter.mint([pull("team/app")])
    assert minted.lifetime_s == 300
    verifier = own_verifier(minter.keyring, issuer="front", service="registry")
    grant = verifier.verify(Bearer(minted.text))
    assert (grant.subject, grant.allowed) == ("authproxy", frozenset([pull("team/app")]))


async def test_mint_without_keys_stops_the_start() -> None:
    section = Section(url="http://a:1", authorization="mint", service="registry")
    with pytest.raises(StartError, match=r"upstream.authorization: mint signs with token.keys"):
        make_upstream(section, parts(), None)


async def test_each_kind_of_credentials_arrives(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret")
    heads: list[str] = []

    async def note(connection: Connection) -> None:
        while True:
            head, _ = await connection.read_request()
            heads.append(head.decode())
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    rows: list[tuple[dict[str, Any], list[str]]] = [
        ({"authorization": "strip"}, []),
        ({"authorization": "pass"}, ["Bearer clients"]),
        ({"authorization": "basic", "username": "me", "passwordfile": tmp_path / "password"}, ["Basic bWU6czNjcmV0"]),
        ({"authorization": "mint", "service": "registry"}, ["Bearer eyJ"]),
    ]
    async with fake_upstream(note) as fake:
        for keys, sent in rows:
            heads.clear()
            section = Section.model_validate({"url": fake.url, **keys})
            backend = make_upstream(section, parts(), Token(keys=tmp_path / "keys"))
            async with front_door(backend) as front, front.client() as client:
                assert (await client.get("/v2/", headers={"Authorization": "Bearer clients"})).status_code == 200
            found = [line.split(": ", 1)[1] for line in heads[0].split("\r\n") if line.startswith("authorization: ")]
            assert [value[: len(start)] for value, start in zip(found, sent, strict=True)] == sent


async def test_metrics_tell_of_each_address() -> None:
    made = parts()
    for url in (["http://a:1", "http://b:1"], "http://a:1"):  # two entries may stand for the same machine
        make_upstream(Section.model_validate({"url": url}), made, None)
    lines = (await made.metrics.expose()).decode().splitlines()
    assert [line for line in lines if line.startswith("authproxy_upstream_up{")] == [
        'authproxy_upstream_up{address="http://a:1"} 1.0',
        'authproxy_upstream_up{address="http://b:1"} 1.0',
    ]
    assert 'authproxy_upstream_failures_total{address="http://a:1"} 0.0' in lines
    assert 'authproxy_upstream_in_flight_requests{address="http://b:1"} 0.0' in lines
