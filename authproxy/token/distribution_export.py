"""What a registry of CNCF Distribution needs so that it takes our tokens: a bundle, and lines of its configuration.

Where tokens bring their key's certificate (`token.x5c`), the bundle is the authority alone, and stays right when keys
change. Where they don't, the bundle holds a certificate for each key; which version finds it there is a matter of the
name that tokens call it by (`token.kid`), and of its kind: by a name 3.0 finds RSA keys alone (distribution#4683), and
no 3.x finds Ed25519 keys.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from authproxy.token.jose_header import HeaderStyle
from authproxy.token.keyfiles import RingKey

# Where each version's image has its configuration.
FOLDERS = {"2.8": "/etc/docker/registry", "3.x": "/etc/distribution"}
# How each version looks a key up without certificates in the token.
KIDS = {"2.8": "libtrust", "3.x": "rfc7638"}
# The library that 2.8 verifies with knows keys of the kinds EC and RSA; another kind in a bundle stops its start.
UNKNOWN_TO_2_8 = "EdDSA"


@dataclass(frozen=True, slots=True)
class Verification:
    """What a registry has to check tokens against. `algorithms` are those of all keys that there are or may come."""

    realm: str
    service: str
    issuer: str
    algorithms: Collection[str]
    style: HeaderStyle


def make_bundle(keys: Iterable[RingKey], style: HeaderStyle) -> bytes:
    """The certificates in PEM, each once. Every key must have its certificates."""
    if style.has_certificates:
        chosen = [key.certificates[1] for key in keys]
    else:
        chosen = [key.certificates[0] for key in keys if style.kid != "libtrust" or key.algorithm != UNKNOWN_TO_2_8]
    certificates = map(x509.load_der_x509_certificate, dict.fromkeys(chosen))
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def lasting(style: HeaderStyle) -> str:
    """How long a bundle is right, as a sentence."""
    if style.has_certificates:
        return "a registry needs it once, also when keys change"
    return (
        "after a key is added, and before that key signs, a registry needs the new bundle and a restart;"
        " with token.x5c: leaf it needs the bundle once"
    )


def configuration_lines(verification: Verification, bundle_name: str) -> str:
    """The section `auth` for each version, in YAML, under a comment that names the version; or why there is none."""
    return "\n".join(_lines(version, verification, bundle_name) for version in FOLDERS)


def _lines(version: str, verification: Verification, bundle_name: str) -> str:
    title = f"# CNCF Distribution {version}, config.yml"
    if why_not := _why_not(version, verification):
        return f"{title}: no, {why_not}\n"
    token: dict[str, object] = {
        "realm": verification.realm,
        "service": verification.service,
        "issuer": verification.issuer,
        "rootcertbundle": f"{FOLDERS[version]}/{bundle_name}",
    }
    note = ""
    if version != "2.8":
        # From 3.x on a registry can be told which algorithms it takes; without that it takes more than there can be.
        token = token | {"signingalgorithms": sorted(verification.algorithms)}
        if not verification.style.has_certificates and not all(name[:2] == "RS" for name in verification.algorithms):
            note = "# for 3.1 or later: 3.0 finds no EC key by its name, and needs token: {x5c: leaf}\n"
    return f"{title}\n{yaml.safe_dump({'auth': {'token': token}}, sort_keys=False, allow_unicode=True)}{note}"


def _why_not(version: str, verification: Verification) -> str | None:
    has_certificates = verification.style.has_certificates
    if not has_certificates and verification.style.kid != KIDS[version]:
        return f"it knows keys by another name; write token: {{x5c: leaf}}, or {{kid: {KIDS[version]}}}"
    if UNKNOWN_TO_2_8 not in verification.algorithms:
        return None
    if version == "2.8":
        return "it verifies no EdDSA; choose another token.algorithm, rotate, and retire that key"
    return None if has_certificates else "it finds no EdDSA key by its name; write token: {x5c: leaf}"
