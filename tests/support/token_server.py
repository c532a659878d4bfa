"""One token server, with a real key ring and real files, whose clock is set by the test."""

from dataclasses import dataclass, field
from pathlib import Path

from authproxy.access import Access
from authproxy.audit.event import Verdict
from authproxy.client_view import ClientView
from authproxy.identity.bcrypt_hash import check_password, hash_password
from authproxy.identity.directory import Directory
from authproxy.identity.file_source import htpasswd_source, users_source
from authproxy.identity.passwords import Passwords
from authproxy.principal import Principal
from authproxy.token.grant import TokenDecision, TokenService, within
from authproxy.token.issuer import Issuer
from authproxy.token.keyring import KeyRing
from authproxy.token.misplaced_refresh_token import RefuseMisplacedRefreshTokens
from authproxy.token.refresh import RefreshTokens
from authproxy.token.revocations import RevocationFolder
from authproxy.token.verifier import Verifier, own_verifier
from tests.support.tokens import FakeClock

HASHES = {name: hash_password(password, 4) for name, password in (("alice", "wonderland"), ("bob", "builder"))}


class OwnSpace:
    """Policies: everybody their own name, signed-in users pull `public`, anonymous callers pull `open`."""

    def decide(self, principal: Principal, accesses: tuple[Access, ...], view: ClientView) -> TokenDecision:
        """Those of the wish that fit; nothing of the holder matters later but the name."""
        del view

        def fits(access: Access) -> bool:
            if access.type != "repository":
                return "admins" in principal.groups
            owner = access.name.partition("/")[0]
            if principal.name and owner == principal.name:
                return True
            return access.action == "pull" and (owner == "open" or (owner == "public" and not principal.is_anonymous))

        verdicts = tuple(Verdict(access, fits(access), rule="own space") for access in accesses)
        allowed = frozenset(verdict.access for verdict in verdicts if verdict.allowed)
        return TokenDecision(within(accesses, allowed), Principal(principal.name), verdicts=verdicts)


@dataclass
class World:
    """All parts, and the files below them."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    bcrypts: int = 0

    def __post_init__(self) -> None:
        self.htpasswd = self.folder / "htpasswd"
        self.users = self.folder / "users.yaml"
        self.htpasswd.write_text("".join(f"{name}:{hashed}\n" for name, hashed in HASHES.items()))
        self.users.write_text("users: {alice: {groups: [team]}}\n")
        self.keyring = KeyRing.open(self.folder / "keys", now=self.clock)
        self.passwords = Passwords(check=self._check)
        key = self.keyring.secret("stamps")
        self.directory = Directory(
            [
                htpasswd_source(self.htpasswd, passwords=self.passwords, key=key),
                users_source(self.users, passwords=self.passwords, key=key),
            ],
            passwords=self.passwords,
            key=key,
        )
        self.issuer = Issuer(self.keyring, "issuer", "registry", 300, self.clock)
        self.refresh = RefreshTokens(
            self.keyring.secret("refresh tokens"), issuer="issuer", service="registry", now=self.clock
        )
        self.state = self.folder / "state"
        self.revocations = RevocationFolder(self.state)
        identities = RefuseMisplacedRefreshTokens(self.directory, self.refresh)
        self.service = TokenService("registry", identities, OwnSpace(), self.issuer, self.refresh, self.revocations)

    def verifier(self) -> Verifier:
        """Another worker's, that remembers nothing yet."""
        return own_verifier(
            self.keyring, issuer="issuer", service="registry", revocations=self.revocations, now=self.clock
        )

    def _check(self, password: str, hashed: str) -> bool:
        self.bcrypts += 1
        return check_password(password, hashed)
