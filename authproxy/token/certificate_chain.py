"""Verifies the certificate chain of a key that signs tokens against a bundle (RFC 5280 §6).

Token certificates are made by hand, without host names and key usages for the web, so the web's profile does not fit.
What makes a chain safe is still required: every issuer must be a CA, allowed to sign certificates, and valid now.
"""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from authproxy.token.jws import UntrustedKey


def verify_chain(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now: datetime) -> float:
    """Verify a chain, and return until when (seconds since 1970) its first certificate is trusted. Raises UntrustedKey.

    A leaf that is in the bundle needs no issuer.
    """
    leaf = chain[0]
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        raise UntrustedKey("the certificate in x5c is expired or not yet valid")
    if leaf in roots:
        return leaf.not_valid_after_utc.timestamp()
    if not roots:
        raise UntrustedKey("the token has x5c, but there is no rootcertbundle to verify it with")
    builder = (
        PolicyBuilder().store(Store(list(roots))).time(now).extension_policies(ca_policy=_AUTHORITY, ee_policy=_LEAF)
    )
    try:
        verified = builder.build_client_verifier().verify(leaf, list(chain[1:]))
    except VerificationError as exc:
        raise UntrustedKey(f"x5c does not lead to the bundle: {exc}") from exc
    return min(certificate.not_valid_after_utc for certificate in verified.chain).timestamp()


def _require_signing_certificates(policy: Policy, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    del policy, certificate
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an issuer is not allowed to sign certificates")


_AUTHORITY = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)  # the library itself insists on cA in it
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _require_signing_certificates)
)
_LEAF = ExtensionPolicy.permit_all()
