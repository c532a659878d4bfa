"""What kind of registry it is, by what it shows; no registry says so itself, so each guess names what it rests on.

A row of SIGNS is one thing that can be seen in the answer to `/v2/` without credentials. The first that fits counts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from authproxy.doctor.response import OK, VERSION, RegistryResponse
from authproxy.doctor.tokens.challenge import AuthRequirement

# Answers to everybody with what zot is (its extension mgmt); others answer 401 or 404.
ZOT_PATH = "/v2/_zot/ext/mgmt"


@dataclass(frozen=True, slots=True)
class Product:
    """A guess, and what was seen."""

    name: str
    because: str

    def __str__(self) -> str:
        return f"{self.name}, by {self.because}"


@dataclass(frozen=True, slots=True)
class ProductSign:
    """`shown` is what is looked at: `service` or `realm` of the challenge, or the name of a header."""

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
    # Our requests' ids are twenty hexadecimal digits.
    ProductSign("authproxy", "X-Request-ID", r"[0-9a-f]{20}"),
    # Go's own spelling of the header, and the type that Distribution writes; registries made from it do the same.
    ProductSign("CNCF Distribution, or a registry made from it", "Content-Type", r"application/json; charset=utf-8"),
)


def guess(answer: RegistryResponse, wanted: AuthRequirement | None) -> Product | None:
    """What answered so to `/v2/`."""
    shown = dict(_shown(answer, wanted))
    if VERSION not in answer.headers:
        shown.pop("Content-Type", None)  # by itself it says nothing
    for sign in SIGNS:
        value = shown.get(sign.shown)
        if value is not None and re.fullmatch(sign.pattern, value, re.IGNORECASE):
            return Product(sign.product, f"its {sign.shown} {value[:100]!r}")
    return None


def judge_zot(answer: RegistryResponse) -> Product | None:
    """What the answer to ZOT_PATH says."""
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
