"""The whole examination: a token as our token server would issue it, judged as each version would."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from authproxy.access import Access, pull
from authproxy.doctor.finding import Finding, Level, conclude
from authproxy.doctor.tokens.registry import RegistryConfig
from authproxy.doctor.tokens.start import check_start
from authproxy.doctor.tokens.token import check_token
from authproxy.doctor.tokens.version import VERSIONS, Version
from authproxy.principal import ANONYMOUS
from authproxy.program import command
from authproxy.token.issuer import MIN_LIFETIME_S, Issuer
from authproxy.token.jose_header import HeaderStyle
from authproxy.token.keyfiles import RingKey, format_moment
from authproxy.token.keyring import find_signing

# What the sample grants: a pull from this repository.
SAMPLE = (pull("authproxy-doctor/sample"),)


@dataclass(frozen=True, slots=True)
class Ours:
    """Our token server's keys and claims. `realm` is None if it depends on the host of a request."""

    issuer: str
    service: str
    realm: str | None
    style: HeaderStyle
    keys: Mapping[str, RingKey]

    def can_sign(self, now: float) -> bool:
        """Whether the signing key has the certificate that tokens must contain, if they must. `now`: since 1970."""
        return signing_now(self, now) is not None


@dataclass(frozen=True, slots=True)
class VersionVerdict:
    """The findings for one version."""

    version: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Level:
        """Whether it would accept our tokens."""
        return conclude(self.findings)


@dataclass(frozen=True, slots=True)
class _OneKey:
    """`SigningKeys` with a single key."""

    key: RingKey

    def signing(self) -> RingKey:
        """The key."""
        return self.key


def versions_of(registry: RegistryConfig) -> tuple[Version, ...]:
    """The versions that this configuration may be for."""
    return tuple(version for version in VERSIONS if version.is_3 or not registry.is_3)


def examine(ours: Ours, registry: RegistryConfig, versions: Sequence[Version], now: float) -> list[VersionVerdict]:
    """The findings for each version. `now`: seconds since 1970."""
    return [VersionVerdict(version.name, tuple(_examine(ours, registry, version, now))) for version in versions]


def overall(verdicts: Sequence[VersionVerdict]) -> Level:
    """The verdict if the version is unknown."""
    levels = {one.verdict for one in verdicts}
    return levels.pop() if len(levels) == 1 else Level.UNKNOWN


def sample_token(ours: Ours, key: RingKey, now: float, accesses: Collection[Access] = SAMPLE) -> str:
    """A token that this key signs, for the anonymous caller."""
    issuer = Issuer(_OneKey(key), ours.issuer, ours.service, MIN_LIFETIME_S, lambda: now, style=ours.style)
    return issuer.issue(ANONYMOUS, accesses).token


def signing_now(ours: Ours, now: float, accesses: Collection[Access] = SAMPLE) -> str | None:
    """A sample token of the key that signs now; None if it lacks the certificate that tokens must contain."""
    signing = find_signing(ours.keys, now)
    assert signing is not None, "read_ring refuses a ring without one"
    if ours.style.has_certificates and not signing.certificates:
        return None
    return sample_token(ours, signing, now, accesses)


def _examine(ours: Ours, registry: RegistryConfig, version: Version, now: float) -> Iterator[Finding]:
    yield from (faults := list(check_start(registry, version)))
    if registry.kind != "token":
        return
    signing = find_signing(ours.keys, now)
    assert signing is not None, "read_ring refuses a ring without one"
    judged = list(_check_key(ours, signing, registry, version, now))
    reported = {finding.check for finding in faults}  # the reason why it does not start is reported once
    yield from (finding for finding in judged if finding.check not in reported)
    if conclude([*faults, *judged]) is Level.OK:
        others = [key for key in ours.keys.values() if key is not signing and key.signs_from > now]
        yield from _check_others(ours, others, registry, version, now)
    yield from _check_realm(ours, registry)


def _check_key(ours: Ours, key: RingKey, registry: RegistryConfig, version: Version, now: float) -> Iterator[Finding]:
    if ours.style.has_certificates and not key.certificates:
        yield Finding(
            Level.FAILED,
            "key",
            f"the key that signs, {key.kid}, has no certificate yet, and token.x5c requires one in each token",
            f"`{command('key export --for distribution')}` creates it, and so does the next start of authproxy",
        )
        return
    yield from check_token(sample_token(ours, key, now), registry, version, now)


def _check_others(
    ours: Ours, keys: Sequence[RingKey], registry: RegistryConfig, version: Version, now: float
) -> Iterator[Finding]:
    """Keys that wait: if the registry does not know one when it starts to sign, it refuses all tokens."""
    for key in keys:
        if key.is_retired(now) or conclude(_check_key(ours, key, registry, version, now)) is Level.OK:
            continue
        yield Finding(
            Level.WARNING,
            "next key",
            f"{key.kid} signs from {format_moment(key.signs_from)} on, and the registry would refuse its tokens",
            f"give the registry the keys again, and restart it before then: `{command('key export')}`",
        )


def _check_realm(ours: Ours, registry: RegistryConfig) -> Iterator[Finding]:
    """Where clients are sent. It does not affect the verdict, since one host may have several names."""
    theirs = registry.texts["realm"]
    if registry.is_redirecting:
        yield Finding(
            Level.WARNING,
            "realm",
            "autoredirect sends clients to the registry's own host instead of the realm",
            f"{registry.place('autoredirect')}: false; or let that host's path lead to our /token",
        )
    elif theirs is not None and ours.realm is not None:
        if theirs == ours.realm:
            yield Finding(Level.OK, "realm", f"{theirs}, the address of our token server")
        else:
            yield Finding(
                Level.WARNING,
                "realm",
                f"clients are sent to {theirs} for tokens, and ours is {ours.realm}",
                f"{registry.place('realm')}: {ours.realm}",
            )
