"""A token request, parsed once: GET by Docker's token authentication, POST by its OAuth2 page."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn, TypeAlias
from urllib.parse import parse_qs

from authproxy.access import Access, parse_scopes
from authproxy.authorization import Basic, parse_authorization
from authproxy.budget import MAX_ACTIONS
from authproxy.errors import CredentialsRefused, GrantTypeUnsupported, TokenRequestInvalid

# Far more fields than any client sends.
MAX_FIELDS = 256
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Renewal:
    """A refresh token instead of a password, unverified."""

    token: str = field(repr=False)


Credentials: TypeAlias = Basic | Renewal | None


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """The requested accesses, and the caller's credentials (None: anonymous)."""

    accesses: tuple[Access, ...] = ()
    credentials: Credentials = None
    service: str | None = None  # None: whichever we serve
    offline: bool = False  # a refresh token is wanted too
    shows_scope: bool = False  # the answer names what was granted (RFC 6749 §5.1)

    @property
    def user(self) -> str:
        """The user name in the credentials, for the log; "" if there is none."""
        return self.credentials.user if isinstance(self.credentials, Basic) else ""


def parse_get(query: bytes, authorization: str | None) -> TokenRequest:
    """Read `GET /token?service=…&scope=…`. Raises TokenRequestInvalid, CredentialsRefused."""
    question = _parse_question(query) if len(query) > MAX_REMEMBERED else _parse_remembered(query)
    credentials = parse_authorization(authorization)
    if credentials is not None and not isinstance(credentials, Basic):
        raise CredentialsRefused("these credentials are not supported here: send a user name and password as Basic")
    if credentials is not None and question.account and question.account != credentials.user:
        raise CredentialsRefused("account is not the user of the credentials")
    return TokenRequest(
        accesses=question.accesses,
        credentials=credentials,
        service=question.service,
        offline=question.offline,
    )


class _Question(NamedTuple):
    """The query of a GET: a request without its credentials."""

    accesses: tuple[Access, ...]
    service: str | None
    account: str | None
    offline: bool


def _parse_question(query: bytes) -> _Question:
    fields = _Fields(query)
    return _Question(
        _parse_scopes(fields.every("scope")),
        fields.find("service"),
        fields.find("account"),
        fields.find("offline_token") == "true",
    )


# The longest query, in bytes, that is cached: clients ask for the same few repositories all day.
MAX_REMEMBERED = 512
_parse_remembered = functools.lru_cache(maxsize=4096)(_parse_question)


def parse_post(content_type: str | None, body: bytes) -> TokenRequest:
    """Read the form of `POST /token`. Raises TokenRequestInvalid, GrantTypeUnsupported, CredentialsRefused."""
    if (content_type or "").partition(";")[0].strip().lower() != FORM:
        raise TokenRequestInvalid(f"the content type must be {FORM}")
    fields = _Fields(body)
    return TokenRequest(
        accesses=_parse_scopes(fields.every("scope")),
        credentials=_parse_grant(fields),
        service=fields.find("service"),
        offline=fields.find("access_type") == "offline",
        shows_scope=True,
    )


def _parse_scopes(texts: Sequence[str]) -> tuple[Access, ...]:
    """Read scopes. Raises TokenRequestInvalid for too many of them, before the slow parsing of each."""
    actions = sum(len(text.split()) + text.count(",") for text in texts)
    if actions > MAX_ACTIONS:
        raise TokenRequestInvalid(
            f"the scopes hold {actions} actions, more than {MAX_ACTIONS}; ask for fewer at a time"
        )
    return parse_scopes(texts)


def _parse_grant(fields: "_Fields") -> Basic | Renewal:
    match fields.find("grant_type"):
        case "password":
            return Basic(fields.need("username"), fields.need("password"))
        case "refresh_token":
            return Renewal(fields.need("refresh_token"))
        case None:
            raise TokenRequestInvalid("grant_type is missing; allowed: password, refresh_token")
        case _:
            raise GrantTypeUnsupported("this grant_type is not supported; allowed: password, refresh_token")


class _Fields:
    """Decoded fields of a query or a form. Raises TokenRequestInvalid if it cannot be decoded."""

    def __init__(self, content: bytes) -> None:
        try:
            self._values: dict[str, list[str]] = parse_qs(
                content.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
            )
        except UnicodeDecodeError:
            _refuse("the fields must be UTF-8")
        except ValueError:
            _refuse(f"at most {MAX_FIELDS} fields are read")

    def every(self, name: str) -> Sequence[str]:
        """All values of a field that may be repeated."""
        return self._values.get(name, ())

    def find(self, name: str) -> str | None:
        """The value of a field, or None if it is missing or empty."""
        return self._single(name) or None

    def need(self, name: str) -> str:
        """The value of a field that must be there; it may be empty."""
        value = self._single(name)
        if value is None:
            raise TokenRequestInvalid(f"{name} is missing")
        return value

    def _single(self, name: str) -> str | None:
        values = self._values.get(name, [])
        # RFC 6749 §3.2: a parameter appears once. Two different values are two requests in one; equal ones do no harm.
        if len(set(values)) > 1:
            raise TokenRequestInvalid(f"{name} appears more than once, with different values")
        return values[0] if values else None


def _refuse(message: str) -> NoReturn:
    raise TokenRequestInvalid(message) from None
