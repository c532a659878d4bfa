"""What kind of registry it is, by what it shows; no registry says so itself, so each guess names what it rests on.

A row of SIGNS is one thing that can be seen in the answer to `/v2/` without credentials. The first that fits counts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from authproxy.doctor.response import OK, VERSION, Answer
from authproxy.doctor.tokens.challenge import Wanted

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
class Sign:
    """`shown` is what is looked at: `service` or `realm` of the challenge, or the name of a header."""

    product: str
    shown: str
    pattern: str


SIGNS = (
    Sign("Docker Hub", "service", r"registry\.docker\.io"),
    Sign("GitHub Container Registry", "service", r"(.*\.)?ghcr\.io|containers\..*"),
    Sign("Quay", "realm", r"https?://[^/]+/v2/auth"),
    Sign("GitLab", "realm", r"https?://[^/]+/jwt/auth"),
    Sign("Harbor", "service", r"harbor-registry"),
    Sign("Gitea or Forgejo", "service", r"container_registry"),
    Sign("Amazon ECR", "service", r"ecr(-public)?\.amazonaws\.com|public\.ecr\.aws"),
    Sign("Amazon ECR", "basic realm", r"https://[^/]+\.amazonaws\.com(\.cn)?/?"),
    Sign("Azure Container Registry", "service", r".+\.azurecr\.(io|us|cn)"),
    Sign("Google Artifact Registry", "service", r"(.+\.)?(pkg\.dev|gcr\.io)"),
    Sign("Sonatype Nexus", "Server", r"Nexus/.*"),
    Sign("Sonatype Nexus", "basic realm", r"Sonatype Nexus Repository Manager"),
    Sign("JFrog Artifactory", "Server", r"Artifactory.*"),
    Sign("JFrog Artifactory", "X-JFrog-Version", r".*"),
    Sign("authproxy", "service", r"authproxy"),
    # Our requests' ids are twenty hexadecimal digits.
    Sign("authproxy", "X-Request-ID", r"[0-9a-f]{20}"),
    # Go's own spelling of the header, and the type that Distribution writes; registries made from it do the same.
    Sign("CNCF Distribution, or a registry made from it", "Content-Type", r"application/json; charset=utf-8"),
)


def guess(answer: Answer, wanted: Wanted | None) -> Product | None:
    """What answered so to `/v2/`."""
    shown = dict(_shown(answer, wanted))
    if VERSION not in answer.headers:
        shown.pop("Content-Type", None)  # by itself it says nothing
    for sign in SIGNS:
        value = shown.get(sign.shown)
        if value is not None and re.fullmatch(sign.pattern, value, re.IGNORECASE):
            return Product(sign.product, f"its {sign.shown} {value[:100]!r}")
    return None


def judge_zot(answer: Answer) -> Product | None:
    """What the answer to ZOT_PATH says."""
    if answer.status == OK and "distSpecVersion" in answer.fields:
        return Product("zot", f"its answer to {ZOT_PATH}")
    return None


def _shown(answer: Answer, wanted: Wanted | None) -> Iterator[tuple[str, str]]:
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
