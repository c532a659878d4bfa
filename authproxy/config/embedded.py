"""The embedded default's files, and its configuration. It loads nothing."""

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
        """The authority and the server's certificate."""
        return self.folder / "certs"

    @property
    def policies(self) -> Path:
        """The rules."""
        return self.folder / "policies"

    def values(self) -> dict[str, Any]:
        """The configuration as config.yml would have it."""
        return {
            "version": "0.1",
            "log": {"level": "info"},
            "http": {
                "addr": "localhost:5000",
                "tls": {"certificate": str(self.certs / "server.pem"), "key": str(self.certs / "server.key")},
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
