"""What the audit log is told of requests for tokens. Neither the token nor what proved the caller has a place in it."""

from dataclasses import dataclass

from authproxy.asgi import ORIGIN, Scope, find_header
from authproxy.audit.event import Event, Kind, Record
from authproxy.origin import Origin
from authproxy.principal import Principal
from authproxy.token.grant import TokenAnswer
from authproxy.token.request import TokenRequest


@dataclass(frozen=True, slots=True)
class TokenAudit:
    """Makes an event of each answer."""

    record: Record

    def answered(self, scope: Scope, request: TokenRequest, answer: TokenAnswer) -> None:
        """A token was issued, for all that was asked or for less."""
        is_whole = all(verdict.allowed for verdict in answer.verdicts)
        self.record(
            Event(
                Kind.TOKEN_ISSUED if is_whole else Kind.TOKEN_CUT_DOWN,
                answer.principal,
                client=client_of(scope),
                request_id=request_id_of(scope),
                asked=request.accesses,
                granted=answer.granted,
                token_id=answer.issued.id,
                lifetime_s=answer.issued.expires_in,
                verdicts=answer.verdicts,
            )
        )

    def refused(self, scope: Scope, request: TokenRequest | None, reason: str) -> None:
        """A login was refused; the name is only what was claimed. None: the request could not be read."""
        self.record(
            Event(
                Kind.LOGIN_REFUSED,
                Principal(request.user if request else ""),
                client=client_of(scope),
                request_id=request_id_of(scope),
                asked=request.accesses if request else (),
                reason=reason,
            )
        )


def client_of(scope: Scope) -> str:
    """The client's address; "" where nothing decided it."""
    origin = scope.get(ORIGIN)
    return origin.client if isinstance(origin, Origin) else ""


def request_id_of(scope: Scope) -> str:
    """The `X-Request-ID` that a balancer in front of us or the client gave to the request; "" without one."""
    return find_header(scope["headers"], b"x-request-id") or ""
