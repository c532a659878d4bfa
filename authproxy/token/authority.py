"""The CA that certifies signing keys, for registries that verify tokens by a bundle of certificates.

    keys/
      ca.pem      its certificate: a registry gets it once, as its `rootcertbundle`
      ca.key      its private key, mode 0600
      <kid>.crt   the certificate of one signing key

A registry that has `ca.pem` trusts every key whose certificate (`x5c`) this CA signed, so keys change without a change
at the registry. The files are made when they are first needed; an operator's own CA (EC or RSA, both files in PEM) is
used if it is already there.
"""

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from authproxy.certificates import BACKDATED_BY, certify_authority, has_issued, key_usage
from authproxy.errors import StartError
from authproxy.files.atomic import read_private, write_private
from authproxy.token.jwk import PublicKey

CA = "ca.pem"
CA_KEY = "ca.key"


def find_chain(folder: Path, kid: str, public: PublicKey) -> tuple[bytes, ...]:
    """The certificates of a key and of the authority, in DER; empty if one is missing or they don't belong together.

    Raises StartError if a file is not a certificate, and OSError.
    """
    leaf, authority = _find_certificate(folder / f"{kid}.crt"), _find_certificate(folder / CA)
    if leaf is None or authority is None or leaf.public_key() != public:
        return ()
    if not has_issued(authority, leaf):  # an earlier authority may have
        return ()
    return leaf.public_bytes(Encoding.DER), authority.public_bytes(Encoding.DER)


def has_authority(folder: Path) -> bool:
    """Whether new keys get a certificate."""
    return (folder / CA).exists()


def make_authority(folder: Path, now: float) -> None:
    """Make the authority if there is none. Raises OSError. The caller holds the ring's lock."""
    if has_authority(folder):
        return
    key = ec.generate_private_key(ec.SECP256R1())  # whatever the kind of the signing keys: every verifier accepts it
    certificate = certify_authority(key, "authproxy token CA", dt.datetime.fromtimestamp(now, dt.UTC))
    write_private(folder / CA_KEY, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    write_private(folder / CA, certificate.public_bytes(Encoding.PEM))  # last: where it exists, both do


def certify_key(folder: Path, kid: str, public: PublicKey, now: float) -> None:
    """Write a key's certificate, valid until the authority's own certificate expires.

    Raises StartError if the authority cannot be used, and OSError. The caller holds the ring's lock.
    """
    authority, authority_key = _find_certificate(folder / CA), _read_authority_key(folder)
    if authority is None or authority.public_key() != authority_key.public_key():
        raise StartError(f"token.keys: {folder / CA} does not match {CA_KEY} beside it; put back the right ones")
    if authority.not_valid_after_utc <= dt.datetime.fromtimestamp(now, dt.UTC):
        raise StartError(
            f"token.keys: {folder / CA} expired on {authority.not_valid_after_utc.date()}; remove it and {CA_KEY} to"
            " get a new authority, and install that in every registry"
        )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authproxy token key {kid}"[:64])]))
        .issuer_name(authority.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(dt.datetime.fromtimestamp(now, dt.UTC) - BACKDATED_BY, authority.not_valid_before_utc))
        .not_valid_after(authority.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(sign_certificates=False), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    write_private(folder / f"{kid}.crt", certificate.public_bytes(Encoding.PEM))


def _find_certificate(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(read_private(path))
    except FileNotFoundError:
        return None
    except ValueError as exc:
        raise StartError(f"token.keys: {path} is not a certificate in PEM: {exc}; put it back or remove it") from exc


def _read_authority_key(folder: Path) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    path = folder / CA_KEY
    try:
        key = load_pem_private_key(read_private(path), password=None)
    except FileNotFoundError as exc:
        raise StartError(
            f"token.keys: {folder / CA} has no {CA_KEY} beside it, so no key can get a certificate; put it back,"
            f" or remove {CA} to get a new authority, and install that in every registry"
        ) from exc
    except (ValueError, TypeError) as exc:
        raise StartError(f"token.keys: {path} is not an unencrypted private key in PEM: {exc}") from exc
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise StartError(f"token.keys: {path} is a kind of key that older registries don't know; use EC or RSA")
    return key
