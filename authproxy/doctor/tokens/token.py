"""Would a registry accept this token? CNCF Distribution, `registry/auth/token/token.go`.

How versions differ is in `version.py`. A certificate in the token's header (`x5c`) is final: if it does not verify, the
key's name (`kid`) is not tried.
"""

import base64
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import jwt
from cryptography import x509

from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.tokens.registry import RegistryConfig, UnreadableFile
from authproxy.doctor.tokens.start import export
from authproxy.doctor.tokens.version import Version
from authproxy.program import command
from authproxy.token.certificate_chain import verify_chain
from authproxy.token.jwk import PUBLIC_KEYS, PublicKey
from authproxy.token.jws import Jws, UntrustedKey, parse_jws


@dataclass(frozen=True, slots=True)
class _Key:
    """The key that a registry verifies a token with, and the finding about how it is found."""

    public: PublicKey
    finding: Finding


def check_token(token: str, registry: RegistryConfig, version: Version, now: float) -> Iterator[Finding]:
    """One finding for each part of the token that the registry checks. `now`: seconds since 1970."""
    jws = parse_jws(token)
    yield _check_claim(jws, registry, claim="iss", key="issuer")
    yield _check_claim(jws, registry, claim="aud", key="service")
    yield _check_algorithm(str(jws.header["alg"]), registry, version)
    found = _find_key(jws, registry, version, now)
    if isinstance(found, Finding):
        yield found
        return
    yield found.finding
    if jwt.get_algorithm_by_name(jws.header["alg"]).verify(jws.signed, found.public, jws.signature):
        yield Finding(Level.OK, "signature", "the token's signature fits that key")
    else:
        yield Finding(
            Level.FAILED,
            "signature",
            "the token's signature does not fit that key: another key has the name of ours there",
            f"give the registry the keys again: `{export()}`",
        )


def _check_claim(jws: Jws, registry: RegistryConfig, *, claim: str, key: str) -> Finding:
    ours, theirs = jws.claims[claim], registry.texts[key]
    if theirs is None:
        return Finding(
            Level.FAILED, key, f"our tokens have {ours!r}, and the registry has no value", registry.place(key)
        )
    if ours == theirs:
        return Finding(Level.OK, key, f"{theirs!r}, as in our tokens ({claim})")
    return Finding(
        Level.FAILED,
        key,
        f"the registry requires {theirs!r}, and our tokens have {ours!r} ({claim})",
        f"{registry.place(key)}: {ours}; or token.{key}: {theirs} in our configuration",
    )


def _check_algorithm(name: str, registry: RegistryConfig, version: Version) -> Finding:
    if name not in version.algorithms:
        return Finding(
            Level.FAILED,
            "algorithm",
            f"tokens are signed with {name}, which {version.name} cannot verify",
            f"token.algorithm: ES256 in our configuration, then `{command('key rotate')}`, and retire the current key",
        )
    if version.is_3 and registry.algorithms and name not in registry.algorithms:
        return Finding(
            Level.FAILED,
            "algorithm",
            f"tokens are signed with {name}, and the registry accepts only {', '.join(registry.algorithms)}",
            f"{registry.place('signingalgorithms')}: add {name}",
        )
    return Finding(Level.OK, "algorithm", name)


def _find_key(jws: Jws, registry: RegistryConfig, version: Version, now: float) -> _Key | Finding:
    if "x5c" in jws.header:
        return _find_by_certificate(jws, registry, now)
    return _find_by_name(jws, registry, version)


def _find_by_certificate(jws: Jws, registry: RegistryConfig, now: float) -> _Key | Finding:
    if isinstance(registry.certificates, UnreadableFile):
        return Finding(Level.UNKNOWN, "key", "tokens contain a certificate (x5c), and the bundle cannot be read here")
    if not registry.certificates:
        return Finding(
            Level.FAILED,
            "key",
            "tokens contain a certificate (x5c), and the registry has no rootcertbundle to verify it with; then the"
            " name of the key is not tried",
            f"{registry.place('rootcertbundle')}: the file that `{export()}` writes; or token.x5c: none in our"
            " configuration",
        )
    chain = [x509.load_der_x509_certificate(base64.b64decode(item)) for item in jws.header["x5c"]]
    try:
        until = verify_chain(chain, registry.certificates, dt.datetime.fromtimestamp(now, dt.UTC))
    except UntrustedKey as exc:
        return Finding(
            Level.FAILED,
            "key",
            f"the certificate in tokens (x5c) is not trusted: {exc}",
            f"{registry.bundle}: put the file there that `{export()}` writes, and restart the registry",
        )
    public = chain[0].public_key()
    assert isinstance(public, PUBLIC_KEYS), "the ring issues certificates for keys that sign"
    if chain[0] in registry.certificates:
        return _Key(
            public,
            Finding(
                Level.WARNING,
                "key",
                "the bundle has the certificate of the key that signs now, and not that of our CA: after the next"
                " rotation tokens are refused",
                f"{registry.bundle}: put the file there that `{export()}` writes",
            ),
        )
    day = dt.datetime.fromtimestamp(until, dt.UTC).date()
    return _Key(
        public, Finding(Level.OK, "key", f"its certificate (x5c) leads to the bundle, and is valid until {day}")
    )


def _find_by_name(jws: Jws, registry: RegistryConfig, version: Version) -> _Key | Finding:
    kid = str(jws.header["kid"])
    files = (registry.certificates, registry.named_keys) if version.is_3 else (registry.certificates,)
    if any(isinstance(file, UnreadableFile) for file in files):
        return Finding(
            Level.UNKNOWN, "key", f"tokens name their key, {kid}, and the registry's keys cannot be read here"
        )
    known = _names(registry, version)
    if kid in known:
        # The newest 3.x read a key set again once an hour, and for an unknown name.
        where = "the key set" if version.is_3 and registry.jwks else "the bundle"
        finding = Finding(
            Level.WARNING,
            "key",
            f"{kid} is in {where} now; before a new key signs, the registry needs the new file, and usually a restart",
            "token.x5c: leaf in our configuration, with our CA as the bundle, avoids that",
        )
        return _Key(known[kid], finding)
    return Finding(Level.FAILED, "key", f"tokens name their key {kid}; {_why_unknown(registry, version)}", _certify())


def _certify() -> str:
    return (
        "token.x5c: leaf in our configuration, and restart authproxy; then"
        f" `{export()}`, and auth.token.rootcertbundle: that file"
    )


def _names(registry: RegistryConfig, version: Version) -> dict[str, PublicKey]:
    assert not isinstance(registry.certificates, UnreadableFile)
    found: dict[str, PublicKey] = {}
    for certificate in registry.certificates:
        key = certificate.public_key()
        if isinstance(key, PUBLIC_KEYS) and (name := version.name_in_bundle(key)):
            found[name] = key
    if version.is_3 and not isinstance(registry.named_keys, UnreadableFile):
        found |= registry.named_keys
    return found


def _why_unknown(registry: RegistryConfig, version: Version) -> str:
    known = sorted(_names(registry, version))
    if known:
        return f"the registry knows {', '.join(known)}"
    if registry.certificates:
        return f"{version.name} finds no key of this kind in a bundle by its name"
    return "the registry knows no key"
