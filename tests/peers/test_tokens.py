"""CNCF Distribution 2.8 behind our token server: it holds our authority, and never hears of our keys."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from authproxy.access import pull, push
from authproxy.principal import Principal
from authproxy.token.issuer import Issuer
from authproxy.token.jose_header import HeaderStyle
from authproxy.token.keyfiles import make_key
from authproxy.token.keyring import KeyRing
from authproxy.token.rotation import retire
from tests.support.peers import running_docker_registry
from tests.support.program import environment, succeed
from tests.support.server import ADMIN, ADMIN_PASSWORD, AUTHPROXY, Server, running_server
from tests.support.tokens import read

# A running server sees a change of its keys within two seconds; this is that with a margin.
SEEN_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Pair:
    """Our server and the registry that was told of it once."""

    server: Server
    registry: str

    @property
    def keys(self) -> Path:
        """The folder of the ring."""
        return self.server.folder / "data" / "keys"

    def token(self, *scopes: str) -> str:
        """One of the admin's."""
        with self.server.client() as client:
            answer = client.get("/token", params={"scope": list(scopes)}, auth=(ADMIN, ADMIN_PASSWORD))
        token: str = answer.json()["token"]
        return token

    def wait_until_signed_by(self, kid: str) -> None:
        """Until the server has seen a key."""
        deadline = time.monotonic() + SEEN_WITHIN_S
        while read(self.token(), 0)["kid"] != kid:
            assert time.monotonic() < deadline, f"{kid} does not sign after {SEEN_WITHIN_S} s"
            time.sleep(0.1)

    def open_upload(self, token: str | None) -> httpx.Response:
        """What the registry says to the beginning of a push."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.post(f"{self.registry}/v2/team/app/blobs/uploads/", headers=headers, trust_env=False)


@contextmanager
def running_pair(folder: Path, settings: Mapping[str, str]) -> Iterator[Pair]:
    """The registry's configuration is the very text that the command prints, with the bundle where it lies here."""
    with running_server(folder / "authproxy", settings) as server:
        env = environment(server.folder, **settings, REGISTRY_HTTP_HOST=server.url)
        said = succeed(AUTHPROXY, "key", "export", "--for", "distribution", env=env, cwd=server.folder).out
        lines = said.partition("# CNCF Distribution 2.8, config.yml\n")[2].partition("# ")[0]
        lines = lines.replace("/etc/docker/registry/", f"{server.folder}/")
        with running_docker_registry(folder / "registry", lines) as registry:
            yield Pair(server, registry)


@pytest.fixture(scope="module", params=["leaf", "chain"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A registry that holds the authority, with both forms of tokens that it can take."""
    with running_pair(tmp_path_factory.mktemp("tokens"), {"REGISTRY_TOKEN_X5C": request.param}) as pair:
        yield pair


def test_the_challenge_sends_clients_to_our_token_server(pair: Pair) -> None:
    answer = pair.open_upload(None)
    assert answer.status_code == 401
    assert f'Bearer realm="{pair.server.url}/token",service="authproxy"' in answer.headers["www-authenticate"]


def test_a_token_is_good_for_what_it_grants_and_no_more(pair: Pair) -> None:
    assert pair.open_upload(pair.token("repository:team/app:pull,push")).status_code == 202
    assert pair.open_upload(pair.token("repository:team/app:pull")).status_code == 401
    assert pair.open_upload(pair.token("repository:team/other:pull,push")).status_code == 401


def test_a_stranger_who_says_all_that_we_say_is_refused(pair: Pair, tmp_path: Path) -> None:
    style = HeaderStyle(x5c="chain")
    for keys, status in ((pair.keys, 202), (tmp_path / "keys", 401)):
        issuer = Issuer(KeyRing.open(keys, style=style), "authproxy", "authproxy", 300, style=style)
        token = issuer.issue(Principal(ADMIN), [pull("team/app"), push("team/app")]).token
        assert pair.open_upload(token).status_code == status


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "ES512"])
def test_a_key_that_the_registry_never_heard_of_is_believed(pair: Pair, algorithm: str) -> None:
    old = KeyRing.open(pair.keys).signing().kid
    before = pair.token("repository:team/app:pull,push")
    now = time.time()
    new = make_key(pair.keys, algorithm, created=now, signs_from=now + 1).kid  # what `rotate` does, without the wait
    pair.wait_until_signed_by(new)
    retire(pair.keys, old, now=time.time(), after_s=600)
    after = pair.token("repository:team/app:pull,push")
    assert (read(before, 0)["kid"], read(after, 0)["kid"]) == (old, new)
    assert [pair.open_upload(token).status_code for token in (before, after)] == [202, 202]


def test_without_certificates_a_key_is_known_by_the_name_that_libtrust_gave_it(tmp_path: Path) -> None:
    with running_pair(tmp_path, {"REGISTRY_TOKEN_KID": "libtrust"}) as pair:
        assert pair.open_upload(pair.token("repository:team/app:pull,push")).status_code == 202
        assert pair.open_upload(pair.token("repository:team/app:pull")).status_code == 401
