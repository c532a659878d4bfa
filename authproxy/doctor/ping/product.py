"""Which product a registry is: a guess, since registries do not say, so each guess names its evidence.

Each row of SIGNS is a sign in the response to `/v2/` without credentials. The first that matches decides.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from authproxy.doctor.challenge import AuthRequirement
from authproxy.doctor.response import OK, VERSION, RegistryResponse

# The extension mgmt of zot, which answers without credentials; other registries answer 401 or 404.
ZOT_PATH = "/v2/_zot/ext/mgmt"


@dataclass(frozen=True, slots=True)
class Product:
    """A guess, and its evidence."""

    name: str
    because: str

    def __str__(self) -> str:
        return f"{self.name}, by {self.because}"


@dataclass(frozen=True, slots=True)
class ProductSign:
    """`shown` is where to look: `service` or `realm` of the challenge, or the name of a header."""

    product: str
    shown: str
    pattern: str


SIGNS = (
    ProductSign("Docker Hub", "service", r"registry\.docker\.io"),
    ProductSign("GitHub Container Registry", "service", r"(.*\.)?ghcr\.io|containers\..*"),
    ProductSign("Quay", "realm", r"https?://[^/]+/v2/auth"),
    ProductSign("GitLab", "realm", r"https?://[^/]+/jwt/auth"),
    ProductSign("Harbor", "service", r"harbor-registry"),
    ProductSign("Gitea or Forgejo", "service", r"container_registry"),
    ProductSign("Amazon ECR", "service", r"ecr(-public)?\.amazonaws\.com|public\.ecr\.aws"),
    ProductSign("Amazon ECR", "basic realm", r"https://[^/]+\.amazonaws\.com(\.cn)?/?"),
    ProductSign("Azure Container Registry", "service", r".+\.azurecr\.(io|us|cn)"),
    ProductSign("Google Artifact Registry", "service", r"(.+\.)?(pkg\.dev|gcr\.io)"),
    ProductSign("Sonatype Nexus", "Server", r"Nexus/.*"),
    ProductSign("Sonatype Nexus", "basic realm", r"Sonatype Nexus Repository Manager"),
    ProductSign("JFrog Artifactory", "Server", r"Artifactory.*"),
    ProductSign("JFrog Artifactory", "X-JFrog-Version", r".*"),
    ProductSign("authproxy", "service", r"authproxy"),
    # Our request ids are twenty hexadecimal digits.
    ProductSign("authproxy", "X-Request-ID", r"[0-9a-f]{20}"),
    # The media type as CNCF Distribution, and registries made from it, write it.
    ProductSign("CNCF Distribution, or a registry made from it", "Content-Type", r"application/json; charset=utf-8"),
)


def guess(answer: RegistryResponse, wanted: AuthRequirement | None) -> Product | None:
    """The product that sent this response to `/v2/`."""
    shown = dict(_shown(answer, wanted))
    if VERSION not in answer.headers:
        shown.pop("Content-Type", None)  # alone it is not evidence
    for sign in SIGNS:
        value = shown.get(sign.shown)
        if value is not None and re.fullmatch(sign.pattern, value, re.IGNORECASE):
            return Product(sign.product, f"its {sign.shown} {value[:100]!r}")
    return None


def judge_zot(answer: RegistryResponse) -> Product | None:
    """zot, if this is its response to ZOT_PATH."""
    if answer.status == OK and "distSpecVersion" in answer.fields:
        return Product("zot", f"its answer to {ZOT_PATH}")
    return None


def _shown(answer: RegistryResponse, wanted: AuthRequirement | None) -> Iterator[tuple[str, str]]:
    for sign in SIGNS:
        if (value := answer.headers.get(sign.shown)) is not None:
            yield sign.shown, value
    if wanted is not None and wanted.realm:
        yield "realm", wanted.realm
        yield "service", wanted.service or ""
    if basic := re.search(r'(?i)\bbasic\s+realm="([^"]*)"', answer.headers.get("WWW-Authenticate", "")):
        yield "basic realm", basic[1]
    if service := re.search(r'(?i)\bbasic\b.*service="([^"]*)"', answer.headers.get("WWW-Authenticate", "")):
        yield "service", service[1]
