"""What a CNCF Distribution registry needs to accept our tokens: a bundle, and lines of its configuration.

If tokens contain their key's certificate (`token.x5c`), the bundle is the authority alone, and stays right when keys
change. Otherwise the bundle has a certificate for each key; which version finds it there depends on the key's name in
tokens (`token.kid`) and on its kind: by name, 3.0 finds only RSA keys (distribution#4683), and no 3.x finds Ed25519
keys.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from authproxy.token.jose_header import HeaderStyle
from authproxy.token.keyfiles import RingKey

# The folder of the configuration in each version's image.
FOLDERS = {"2.8": "/etc/docker/registry", "3.x": "/etc/distribution"}
# The key names by which each version finds a key if the token has no certificate.
KIDS = {"2.8": "libtrust", "3.x": "rfc7638"}
# The library of 2.8 knows EC and RSA keys only; with another kind in the bundle, it does not start.
UNKNOWN_TO_2_8 = "EdDSA"


@dataclass(frozen=True, slots=True)
class Verification:
    """What a registry has to check tokens against. `algorithms`: those of all present and future keys."""

    realm: str
    service: str
    issuer: str
    algorithms: Collection[str]
    style: HeaderStyle


def make_bundle(keys: Iterable[RingKey], style: HeaderStyle) -> bytes:
    """The certificates in PEM, each once. Every key must have certificates."""
    if style.has_certificates:
        chosen = [key.certificates[1] for key in keys]
    else:
        chosen = [key.certificates[0] for key in keys if style.kid != "libtrust" or key.algorithm != UNKNOWN_TO_2_8]
    certificates = map(x509.load_der_x509_certificate, dict.fromkeys(chosen))
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def lasting(style: HeaderStyle) -> str:
    """When a registry needs a new bundle, as a sentence."""
    if style.has_certificates:
        return "a registry needs it once, even if keys change"
    return (
        "after a key is added, and before that key signs, a registry needs the new bundle and a restart;"
        " with token.x5c: leaf it needs the bundle once"
    )


def configuration_lines(verification: Verification, bundle_name: str) -> str:
    """The section `auth` for each version, in YAML, under a comment with the version; or why there is none."""
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
        # From 3.x on the accepted algorithms can be set; by default they are more than our keys use.
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
