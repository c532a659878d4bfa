"""The authority that vouches for signing keys, for registries that verify by a bundle of certificates.

    keys/
      ca.pem      what a registry is given once, as its `rootcertbundle`
      ca.key      what it signs with, mode 0600
      <kid>.crt   the certificate of one signing key

A registry that holds `ca.pem` believes every key that brings a certificate of it (`x5c`), so keys change without the
registry being told. The files are made when they are first asked for; an authority of the operator's own (EC or RSA,
both files in PEM) is used where it lies there already.
"""

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from authproxy.certificates import BACKDATED_BY, certify_authority, key_usage
from authproxy.errors import StartError
from authproxy.files.atomic import read_private, write_private
from authproxy.token.jwk import PublicKey

CA = "ca.pem"
CA_KEY = "ca.key"


def find_chain(folder: Path, kid: str, public: PublicKey) -> tuple[bytes, ...]:
    """The certificate of a key and the authority's, in DER; nothing where they are not there or don't belong together.

    Raises StartError where a file is no certificate, and OSError.
    """
    leaf, authority = _find_certificate(folder / f"{kid}.crt"), _find_certificate(folder / CA)
    if leaf is None or authority is None or leaf.public_key() != public:
        return ()
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):  # another name, kind of key, or key: of an earlier authority
        return ()
    return leaf.public_bytes(Encoding.DER), authority.public_bytes(Encoding.DER)


def has_authority(folder: Path) -> bool:
    """Whether new keys get a certificate."""
    return (folder / CA).exists()


def make_authority(folder: Path, now: float) -> None:
    """Make the authority where there is none. Raises OSError. The caller holds the ring's lock."""
    if has_authority(folder):
        return
    key = ec.generate_private_key(ec.SECP256R1())  # whatever kind the signing keys are of: every verifier takes it
    certificate = certify_authority(key, "authproxy token CA", dt.datetime.fromtimestamp(now, dt.UTC))
    write_private(folder / CA_KEY, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    write_private(folder / CA, certificate.public_bytes(Encoding.PEM))  # last: it exists where both do


def certify_key(folder: Path, kid: str, public: PublicKey, now: float) -> None:
    """Write a key's certificate, good for as long as the authority's own.

    Raises StartError where the authority cannot be used, and OSError. The caller holds the ring's lock.
    """
    authority, authority_key = _find_certificate(folder / CA), _read_authority_key(folder)
    if authority is None or authority.public_key() != authority_key.public_key():
        raise StartError(f"token.keys: {folder / CA} does not fit {CA_KEY} beside it; put back the right ones")
    if authority.not_valid_after_utc <= dt.datetime.fromtimestamp(now, dt.UTC):
        raise StartError(
            f"token.keys: {folder / CA} is good no more since {authority.not_valid_after_utc.date()}; remove it and"
            f" {CA_KEY} for another authority, which every registry then has to be given"
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
            f" or remove {CA} for another authority, which every registry then has to be given"
        ) from exc
    except (ValueError, TypeError) as exc:
        raise StartError(f"token.keys: {path} is not an unencrypted private key in PEM: {exc}") from exc
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise StartError(f"token.keys: {path} is of a kind that older registries don't know; use EC or RSA")
    return key
