"""The embedded default's files, and its configuration. It loads nothing."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the embedded default keeps its things, below one folder."""

    folder: Path

    @property
    def data(self) -> Path:
        """Everything that must be kept."""
        return self.folder / "data"

    @property
    def htpasswd(self) -> Path:
        """Names and password hashes."""
        return self.data / "htpasswd"

    @property
    def users(self) -> Path:
        """Groups."""
        return self.data / "users.yaml"

    @property
    def audit_log(self) -> Path:
        """Every decision about tokens and logins."""
        return self.data / "audit.log"

    @property
    def certs(self) -> Path:
        """The certificates of the authority and of the server."""
        return self.folder / "certs"

    @property
    def authority(self) -> Path:
        """The certificate of our own CA."""
        return self.certs / "ca.pem"

    @property
    def authority_copy(self) -> Path:
        """The same, by the name that docker, podman and skopeo look for in a folder of certificates."""
        return self.certs / "ca.crt"

    @property
    def authority_key(self) -> Path:
        """The key of our own CA."""
        return self.data / "ca.key"

    @property
    def certificate(self) -> Path:
        """The server's certificate: ours, or one that the operator has put in its place."""
        return self.certs / "server.pem"

    @property
    def own_key(self) -> Path:
        """The key of a server's certificate that is ours."""
        return self.data / "server.key"

    @property
    def foreign_key(self) -> Path:
        """The key of one that is not ours, beside it; earlier versions had ours here."""
        return self.certs / "server.key"

    @property
    def policies(self) -> Path:
        """The rules."""
        return self.folder / "policies"

    @property
    def key(self) -> Path:
        """The key that belongs to `certificate`."""
        return self.foreign_key if os.path.lexists(self.foreign_key) else self.own_key

    def values(self, *, has_hosts: bool = False) -> dict[str, Any]:
        """The configuration as config.yml would have it; with `has_hosts` for other machines."""
        return {
            "version": "0.1",
            "log": {"level": "info"},
            "http": {
                "addr": ":5000" if has_hosts else "localhost:5000",
                "tls": {"certificate": str(self.certificate), "key": str(self.key)},
            },
            "storage": {
                "filesystem": {"rootdirectory": str(self.data / "registry")},
                "delete": {"enabled": "true"},
            },
            "token": {"service": "authproxy", "keys": str(self.data / "keys"), "state": str(self.data / "state")},
            "identities": [{"htpasswd": {"path": str(self.htpasswd)}}, {"users": {"path": str(self.users)}}],
            "policies": {"path": str(self.policies)},
            "audit": {"file": {"path": str(self.audit_log)}},
        }
