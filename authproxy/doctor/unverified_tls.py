"""TLS that verifies no certificate: to ask the server on this machine, and to report on one that does not verify."""

import ssl


def unverified_tls() -> ssl.SSLContext:
    """The context for a client that sends no secrets."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    return tls
