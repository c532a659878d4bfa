"""Audit events of requests for tokens. They hold neither the token nor the caller's credentials."""

from dataclasses import dataclass

from authproxy.asgi import Scope
from authproxy.audit.event import Event, EventKind, Record, came_from
from authproxy.principal import Principal
from authproxy.token.grant import TokenAnswer
from authproxy.token.request import TokenRequest


@dataclass(frozen=True, slots=True)
class TokenAudit:
    """Records an event for each answer."""

    record: Record

    def answered(self, scope: Scope, request: TokenRequest, answer: TokenAnswer) -> None:
        """A token was issued, for all requested accesses or for some of them."""
        is_whole = all(verdict.allowed for verdict in answer.verdicts)
        self.record(
            Event(
                EventKind.TOKEN_ISSUED if is_whole else EventKind.TOKEN_CUT_DOWN,
                answer.principal,
                **came_from(scope),
                asked=request.accesses,
                granted=answer.granted,
                token_id=answer.issued.id,
                lifetime_s=answer.issued.expires_in,
                verdicts=answer.verdicts,
            )
        )

    def refused(self, scope: Scope, request: TokenRequest | None, user: str, reason: str) -> None:
        """A login was refused. `request` None: it could not be parsed."""
        self.record(
            Event(
                EventKind.LOGIN_REFUSED,
                Principal(user),
                **came_from(scope),
                asked=request.accesses if request else (),
                reason=reason,
            )
        )
