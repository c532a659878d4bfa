"""Would the registry start, and have a key to verify tokens with? CNCF Distribution, `accesscontroller.go`."""

from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.tokens.registry import RegistryConfig, UnreadableFile
from authproxy.doctor.tokens.version import Version
from authproxy.program import command
from authproxy.token.jwk import ALGORITHMS

# 3.x allows these in signingalgorithms too; with public keys only, it cannot verify them.
HMAC = ("HS256", "HS384", "HS512")


def export() -> str:
    """The command that hands our keys to a registry."""
    return command("key export --for distribution")


def check_start(registry: RegistryConfig, version: Version) -> Iterator[Finding]:
    """What prevents a registry of this version from starting, or leaves it without a key."""
    if registry.kind != "token":
        yield _other_kind(registry)
        return
    for key in ("realm", "service", "issuer"):
        if registry.texts[key] is None:
            yield Finding(
                Level.FAILED,
                key,
                "it is missing, or a number or `yes` without quotes, so the registry does not start",
                f"{registry.place(key)}: write it as text; `{export()}` prints the section",
            )
    if registry.is_redirecting is None:
        place = registry.place("autoredirect")
        what = "it is neither true nor false, so the registry does not start"
        yield Finding(Level.FAILED, "autoredirect", what, f"{place}: true or false, without quotes")
    yield from _check_files(registry, version)
    if version.is_3:
        yield from _check_algorithms(registry)


def _other_kind(registry: RegistryConfig) -> Finding:
    place = registry.document.place_of(("auth",))
    if registry.kind is None:
        what = "the registry has no section auth.token: it asks for no token, and serves everyone"
    else:
        what = f"the registry has auth.{registry.kind}, which accepts no tokens, and it can have one kind only"
    return Finding(Level.FAILED, "auth", what, f"{place}: auth: {{token: …}}; `{export()}` prints the section")


def _check_files(registry: RegistryConfig, version: Version) -> Iterator[Finding]:
    if isinstance(registry.certificates, UnreadableFile):
        yield _unreadable(registry.certificates, "rootcertbundle", registry)
    elif registry.bundle is None and not version.is_3:
        yield Finding(
            Level.FAILED,
            "rootcertbundle",
            "it is missing, so a registry of 2.8 does not start: it reads no jwks",
            f"{registry.place('rootcertbundle')}: the file that `{export()}` writes",
        )
    elif registry.bundle is not None and not registry.certificates and (not version.is_3 or registry.jwks is None):
        yield Finding(
            Level.FAILED,
            "rootcertbundle",
            f"{registry.bundle} has no certificate, so the registry does not start",
            f"{registry.bundle}: put the file there that `{export()}` writes",
        )
    elif not version.is_3 and any(not _is_known_to_2_8(item.public_key()) for item in registry.certificates):
        yield Finding(
            Level.FAILED,
            "rootcertbundle",
            f"{registry.bundle} has a key that is neither EC nor RSA, so a registry of 2.8 does not start",
            f"{registry.bundle}: remove that certificate",
        )
    if not version.is_3:
        return
    if isinstance(registry.named_keys, UnreadableFile):
        yield _unreadable(registry.named_keys, "jwks", registry)
    elif registry.bundle is None and not registry.named_keys:
        yield Finding(
            Level.FAILED,
            "jwks",
            "there is no key to verify tokens with, so the registry does not start",
            f"{registry.place('jwks')}: a file with the output of `{command('key export')}`",
        )


def _unreadable(file: UnreadableFile, key: str, registry: RegistryConfig) -> Finding:
    if not file.is_absent:
        return Finding(Level.FAILED, key, f"{file.why}, so the registry does not start", f"{registry.place(key)}")
    option = "--bundle" if key == "rootcertbundle" else "--jwks"
    return Finding(
        Level.UNKNOWN,
        key,
        file.why,
        f"run this where the registry runs, or name a copy: {option} FILE; {registry.place(key)}",
    )


def _check_algorithms(registry: RegistryConfig) -> Iterator[Finding]:
    for name in registry.algorithms or ():
        if name not in (*ALGORITHMS, *HMAC):
            yield Finding(
                Level.FAILED,
                "signingalgorithms",
                f"{name!r} is not an algorithm, so the registry does not start",
                f"{registry.place('signingalgorithms')}: a list of {', '.join(ALGORITHMS)}",
            )


def _is_known_to_2_8(key: object) -> bool:
    match key:
        case ec.EllipticCurvePublicKey():
            return key.curve.name in ("secp256r1", "secp384r1", "secp521r1")
        case _:
            return isinstance(key, rsa.RSAPublicKey)
