"""What operators do with curl and jq, in the very words of their scripts."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from authproxy.digest import Digest
from tests.support.binaries import binary
from tests.support.image import MANIFEST_TYPE, Image, make_image, push_image
from tests.support.people import ALICE, BOB, OPERATOR, User
from tests.support.program import environment, succeed
from tests.support.server import Server

CHALLENGE = re.compile(r'Bearer (\w+="[^"]*")(,\w+="[^"]*")*')


@dataclass(frozen=True, slots=True)
class Answer:
    """What curl got: names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def challenge(self) -> dict[str, str]:
        """The parameters of `WWW-Authenticate: Bearer …`."""
        value = self.headers["www-authenticate"]
        assert CHALLENGE.fullmatch(value), value
        return dict(re.findall(r'(\w+)="([^"]*)"', value))


@dataclass(frozen=True, slots=True)
class Curl:
    """The curl command with the server's CA, in a folder of its own for what it writes."""

    server: Server
    folder: Path
    env: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "env", environment(self.folder))

    def __call__(self, path: str, *options: str, token: str = "", user: User | None = None) -> Answer:
        """Ask for a path with `options`, a token or a user's password."""
        head, body = self.folder / "head", self.folder / "body"
        body.unlink(missing_ok=True)
        credentials = ["-H", f"Authorization: Bearer {token}"] if token else []
        credentials += ["-u", f"{user.name}:{user.password}"] if user else []
        common = ("-sS", "--cacert", str(self.server.ca), "-D", str(head), "-o", str(body))
        succeed(binary("curl"), *common, *credentials, *options, self.server.url + path, env=self.env)
        # "100 Continue" stands in front of the answer where a body was sent.
        status, *fields = head.read_text().strip().split("\r\n\r\n")[-1].split("\n")
        pairs = (line.strip().partition(": ") for line in fields)
        content = body.read_bytes() if body.exists() else b""
        return Answer(int(status.split()[1]), {name.lower(): value for name, _, value in pairs}, content)

    def token(self, user: User | None, *scopes: str) -> str:
        """A token as a script gets it: `curl -u … | jq -r .token`."""
        answer = self("/token?" + "&".join(f"scope={scope}" for scope in scopes), user=user)
        assert answer.status == httpx.codes.OK, answer
        return self.jq("-r", ".token", document=answer.body).strip()

    def jq(self, *arguments: str, document: bytes) -> str:
        """What jq makes of a JSON document."""
        return succeed(binary("jq"), *arguments, env=self.env, stdin=document.decode()).out


@pytest.fixture
def curl(server: Server, tmp_path: Path) -> Curl:
    """curl in a folder of this test's own."""
    return Curl(server, tmp_path)


@pytest.fixture
def image(server: Server, repository: str) -> Image:
    """An image in alice's repository under the tag v1, pushed call by call."""
    image = make_image(repository)
    with server.client_for(ALICE.name, ALICE.password, f"repository:{repository}:pull,push") as client:
        push_image(client, repository, "v1", image)
    return image


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/v2/", None),
        ("/v2/alice/app/manifests/v1", "repository:alice/app:pull"),
        ("/v2/alice/app/tags/list", "repository:alice/app:pull"),
        ("/v2/_catalog", "registry:catalog:*"),
    ],
)
def test_probe_without_credentials_is_challenged(curl: Curl, path: str, scope: str | None) -> None:
    answer = curl(path)
    assert answer.status == httpx.codes.UNAUTHORIZED
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
    assert answer.challenge["realm"] == f"{curl.server.url}/token"
    assert answer.challenge["service"] == "authproxy"
    assert answer.challenge.get("scope") == scope
    assert "error" not in answer.challenge
    assert json.loads(answer.body)["errors"][0]["code"] == "UNAUTHORIZED"


def test_token_opens_the_manifest_whose_header_is_the_digest_of_its_body(
    curl: Curl, repository: str, image: Image
) -> None:
    token = curl.token(ALICE, f"repository:{repository}:pull")
    answer = curl(f"/v2/{repository}/manifests/v1", "-H", f"Accept: {MANIFEST_TYPE}", token=token)
    assert (answer.status, answer.body) == (httpx.codes.OK, image.manifest)
    assert answer.headers["docker-content-digest"] == str(Digest.of(answer.body))
    assert answer.headers["content-type"] == MANIFEST_TYPE


def test_password_sent_straight_to_the_registry_works_too(curl: Curl, repository: str, image: Image) -> None:
    path = f"/v2/{repository}/manifests/v1"
    accept = ("-H", f"Accept: {MANIFEST_TYPE}")
    assert curl(path, *accept, user=ALICE).body == image.manifest
    assert curl(path, *accept, user=BOB).status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
    assert curl(path, *accept, user=User(ALICE.name, "wrong")).status == httpx.codes.UNAUTHORIZED


def test_catalog_and_tags_flatten_to_repository_and_tag(curl: Curl, repository: str, image: Image) -> None:
    catalog = curl("/v2/_catalog?n=1000", token=curl.token(OPERATOR, "registry:catalog:*"))
    assert catalog.status == httpx.codes.OK
    names = curl.jq("-r", ".repositories[]", document=catalog.body).split()
    assert names == sorted(names)
    flat = []
    for name in names:
        tags = curl(f"/v2/{name}/tags/list", token=curl.token(OPERATOR, f"repository:{name}:pull"))
        assert tags.status == httpx.codes.OK, name
        flat += curl.jq("-r", r'.name as $name | .tags // [] | .[] | "\($name):\(.)"', document=tags.body).split()
    assert f"{repository}:v1" in flat


def test_catalog_is_the_operators_alone(curl: Curl) -> None:
    answer = curl("/v2/_catalog", token=curl.token(ALICE, "registry:catalog:*"))
    assert answer.status == httpx.codes.UNAUTHORIZED
    assert (answer.challenge["scope"], answer.challenge["error"]) == ("registry:catalog:*", "insufficient_scope")


def test_image_is_gone_after_its_digest_was_looked_up_and_deleted(curl: Curl, repository: str, image: Image) -> None:
    token = curl.token(ALICE, f"repository:{repository}:pull,push,delete")
    accept = ("-H", f"Accept: {MANIFEST_TYPE}")
    looked_up = curl(f"/v2/{repository}/manifests/v1", "-I", *accept, token=token)
    assert looked_up.status == httpx.codes.OK
    digest = looked_up.headers["docker-content-digest"]
    assert digest == str(image.digest)
    assert looked_up.headers["content-length"] == str(len(image.manifest))

    assert curl(f"/v2/{repository}/manifests/{digest}", "-X", "DELETE", token=token).status == httpx.codes.ACCEPTED

    for reference in ("v1", digest):
        gone = curl(f"/v2/{repository}/manifests/{reference}", *accept, token=token)
        assert gone.status == httpx.codes.NOT_FOUND, reference
        assert json.loads(gone.body)["errors"][0]["code"] == "MANIFEST_UNKNOWN", reference
    again = curl(f"/v2/{repository}/manifests/{digest}", "-X", "DELETE", token=token)
    assert again.status == httpx.codes.NOT_FOUND


def test_delete_takes_more_than_push(curl: Curl, repository: str, image: Image) -> None:
    token = curl.token(ALICE, f"repository:{repository}:pull,push")
    answer = curl(f"/v2/{repository}/manifests/{image.digest}", "-X", "DELETE", token=token)
    assert answer.status == httpx.codes.UNAUTHORIZED
    assert answer.challenge["scope"] == f"repository:{repository}:delete"
    accept = ("-H", f"Accept: {MANIFEST_TYPE}")
    assert curl(f"/v2/{repository}/manifests/v1", "-I", *accept, token=token).status == httpx.codes.OK


def test_head_with_a_wrong_token_shows_no_digest(curl: Curl, repository: str, image: Image) -> None:
    other = curl.token(BOB, f"repository:{repository}:pull")
    for token in ("not-a-token", other, curl.token(None, f"repository:{repository}:pull")):
        answer = curl(f"/v2/{repository}/manifests/v1", "-I", token=token)
        assert answer.status == httpx.codes.UNAUTHORIZED
        assert "docker-content-digest" not in answer.headers
        assert str(image.digest) not in str(answer)


def test_head_for_an_unknown_tag_shows_no_digest(curl: Curl, repository: str, image: Image) -> None:
    token = curl.token(ALICE, f"repository:{repository}:pull")
    answer = curl(f"/v2/{repository}/manifests/unknown", "-I", token=token)
    assert answer.status == httpx.codes.NOT_FOUND
    assert "docker-content-digest" not in answer.headers
    assert "etag" not in answer.headers


@pytest.mark.parametrize("accept", ["Accept:", "Accept: */*", "Accept: application/json"])
def test_digest_of_a_head_is_that_of_the_bytes_whatever_is_accepted(
    curl: Curl, repository: str, image: Image, accept: str
) -> None:
    token = curl.token(ALICE, f"repository:{repository}:pull")
    path = f"/v2/{repository}/manifests/v1"
    head, got = curl(path, "-I", "-H", accept, token=token), curl(path, "-H", accept, token=token)
    assert head.status == got.status
    # A registry that serves OCI manifests only to those who accept them (Distribution 2.8) says 404, and no digest.
    real = str(Digest.of(got.body)) if got.status == httpx.codes.OK else None
    assert head.headers.get("docker-content-digest") == real
    assert got.headers.get("docker-content-digest") == real
    assert real in (str(image.digest), None)
