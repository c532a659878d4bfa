"""A configuration that is right in every part, for tests that break one and ask the doctor."""

import dataclasses
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import trustme

from authproxy.config.load import load
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.machine.installation import Installation
from authproxy.token.keyring import KeyRing
from tests.support.server import free_port

# A bcrypt hash of cost 4.
HASH = "$2y$04$S7L9jHYq.27e.I9AsF6k0uHDiBvHWtPQVOYL/9xy2GJnxVhKRnP6S"
POLICY = """\
version: 1
rules:
- {name: own, to: {groups: [team]}, on: {repositories: ["{user}/**"]}, allow: [pull, push]}
- {name: public, to: {everyone: true}, on: {repositories: [public/**]}, allow: [pull]}
tests:
- {who: {user: alice, groups: [team]}, what: "repository:alice/app:push", expected: allow}
"""
CONFIG = """\
version: 0.1
http:
  addr: "127.0.0.1:{port}"
  host: https://localhost:{port}
  tls:
    certificate: server.pem
    key: server.key
storage: {{filesystem: {{rootdirectory: data}}}}
token: {{keys: keys}}
identities:
- htpasswd: {{path: htpasswd}}
- users: {{path: users.yaml}}
policies: {{path: policies}}
audit: {{file: {{path: audit.log}}}}
"""


class Machine:
    """The folder, which has to be the current one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.authority = trustme.CA()
        self.configure()
        self.certify("localhost")
        for name in ("data", "policies"):
            (folder / name).mkdir()
        self.write("policies/rules.yaml", POLICY)
        self.write("htpasswd", f"alice:{HASH}\n")
        self.write("users.yaml", "users:\n  alice: {groups: [team]}\n")
        KeyRing.open(folder / "keys")
        self.now = time.time() + 1  # the key signs from then on

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def configure(self, *changes: tuple[str, str]) -> None:
        """Write config.yml with some words changed, which have to be there."""
        text = CONFIG.format(port=self.port)
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        self.write("config.yml", text)

    def certify(self, *names: str, **options: Any) -> None:
        """Write server.pem and server.key for these names."""
        issued = self.authority.issue_cert(*names, **options)
        (self.folder / "server.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        (self.folder / "server.key").write_bytes(issued.private_key_pem.bytes())
        (self.folder / "server.key").chmod(0o600)

    def installation(self, **options: Any) -> Installation:
        """What is examined; docker's certificates are in certs.d here."""
        made = Installation(load(Path("config.yml"), {}), self.now, certificates=self.folder / "certs.d")
        return dataclasses.replace(made, **options)


def amiss(findings: Iterator[Finding]) -> Mapping[str, Finding]:
    """Those that are no `ok`, by check."""
    return {finding.check: finding for finding in findings if finding.level is not Level.OK}
