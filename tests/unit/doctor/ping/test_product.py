import httpx
import pytest

from authproxy.doctor.challenge import find_wanted
from authproxy.doctor.ping.product import guess, judge_zot
from authproxy.doctor.response import RegistryResponse

VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}
DISTRIBUTION = "CNCF Distribution, or a registry made from it"


def bearer(realm: str, service: str) -> dict[str, str]:
    return VERSION | {"WWW-Authenticate": f'Bearer realm="{realm}",service="{service}"'}


# As each answers to /v2/ without credentials.
SHOWN = {
    "Docker Hub": bearer("https://auth.docker.io/token", "registry.docker.io"),
    "GitHub Container Registry": bearer("https://ghcr.io/token", "ghcr.io"),
    "Quay": bearer("https://quay.io/v2/auth", "quay.io"),
    "GitLab": bearer("https://gitlab.com/jwt/auth", "container_registry"),
    "Gitea or Forgejo": bearer("https://codeberg.org/v2/token", "container_registry"),
    "Harbor": bearer("https://harbor.example.org/service/token", "harbor-registry"),
    "Azure Container Registry": bearer("https://x.azurecr.io/oauth2/token", "x.azurecr.io"),
    "Google Artifact Registry": bearer("https://europe-docker.pkg.dev/v2/token", "europe-docker.pkg.dev"),
    "Amazon ECR": {
        "WWW-Authenticate": 'Basic realm="https://1.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com"'
    },
    "Sonatype Nexus": VERSION | {"WWW-Authenticate": 'BASIC realm="Sonatype Nexus Repository Manager"'},
    "JFrog Artifactory": VERSION | {"X-JFrog-Version": "Artifactory/7.77.5"},
    "authproxy": VERSION | {"X-Request-ID": "7d3e12ff1c94c0f12ee9", "Content-Type": "application/json"},
    DISTRIBUTION: VERSION | {"Content-Type": "application/json; charset=utf-8"},
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_registry_is_known_by_what_it_shows(name: str) -> None:
    headers = httpx.Headers(SHOWN[name])
    product = guess(RegistryResponse(401, headers), find_wanted(headers.get_list("WWW-Authenticate")))
    assert product is not None
    assert product.name == name
    assert product.because.startswith("its ")


@pytest.mark.parametrize(
    "headers",
    [{}, VERSION, {"Content-Type": "application/json; charset=utf-8"}, bearer("https://x.example/token", "x")],
    ids=["nothing", "the version", "a type that many send", "a service of its own"],
)
def test_what_shows_nothing_is_not_guessed_at(headers: dict[str, str]) -> None:
    answer = RegistryResponse(401, httpx.Headers(headers))
    assert guess(answer, find_wanted(answer.headers.get_list("WWW-Authenticate"))) is None


def test_zot_says_what_it_is() -> None:
    assert judge_zot(RegistryResponse(200, httpx.Headers(), b'{"distSpecVersion":"1.1.1"}')) is not None


@pytest.mark.parametrize(("status", "body"), [(200, b"{}"), (200, b"[]"), (200, b"<"), (404, b"")])
def test_who_does_not_say_so_is_not_zot(status: int, body: bytes) -> None:
    assert judge_zot(RegistryResponse(status, httpx.Headers(), body)) is None
