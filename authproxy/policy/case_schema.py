"""The schema of a case in a policy file.

tests:
  - who: {user: alice, groups: [devs]}        # or {robot: ci}, or {anonymous: true}
    what: repository:team/app:pull,push       # a scope; each of its actions must get the expected decision
    expected: allow                           # or deny
    rule: team space                          # optional: the rule that decides
    why: Developers push to the team's space. # optional
    tag: v1                                   # optional, for rules about tags
    at: 2026-01-31T08:00:00Z                  # optional, for conditions about the time
    request: {address: 10.1.2.3, tls: true}   # optional, for conditions about the request
"""

import datetime as dt
from ipaddress import ip_address
from types import MappingProxyType
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator

from authproxy.access import parse_scopes
from authproxy.errors import TagInvalid
from authproxy.policy.cases import Case
from authproxy.policy.field_types import Entry, Flag, Line, Names, Prose
from authproxy.policy.model import Effect
from authproxy.policy.request import RequestFacts
from authproxy.principal import Principal
from authproxy.reference import parse_tag


def _one_scope(value: str) -> str:
    if len(value.split()) != 1 or not parse_scopes([value]):
        raise ValueError(
            f'"{value}" is not a scope; allowed: type:name:action[,action…], such as repository:team/app:pull,push'
        )
    return value


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Values: TypeAlias = Annotated[tuple[Line, ...], BeforeValidator(_as_list, json_schema_input_type=str | list[str])]


def parse_time(value: object) -> dt.datetime:
    """An RFC 3339 time with its offset from UTC. Raises ValueError."""
    try:
        time = dt.datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ValueError(f'"{value}" is not a time; allowed: date, time and offset, such as 2026-01-31T08:00:00Z')
    return time


Time: TypeAlias = Annotated[dt.datetime, PlainValidator(parse_time, json_schema_input_type=str)]


def _one_tag(value: str) -> str:
    try:
        return parse_tag(value)
    except TagInvalid as exc:
        raise ValueError(f'"{value}" is not a tag: {exc}') from None


class CallerEntry(Entry):
    """The caller: a user or a robot with exactly these groups (those in the users file do not count), or anonymous."""

    user: Line | None = None
    """The name that the caller signed in with."""
    robot: Line | None = None
    """The same, for an account for a machine."""
    groups: Names = ()
    """All groups of the caller."""
    claims: dict[Line, Values] = Field(default_factory=dict)
    """All claims of the caller: each a value, or a list of them."""
    anonymous: Flag = False
    """A caller who sent no credentials."""

    @model_validator(mode="after")
    def _check_one_caller(self) -> Self:
        if (self.user is not None) + (self.robot is not None) + self.anonymous != 1:
            raise ValueError("a case is about one caller; allowed: exactly one of user, robot and anonymous")
        if self.anonymous and (self.groups or self.claims):
            raise ValueError("a caller without credentials has no groups and no claims; allowed: anonymous alone")
        return self

    def to_principal(self) -> Principal:
        """The principal of the case."""
        name = self.user or self.robot or ""
        claims = MappingProxyType(dict(self.claims))
        return Principal(name, frozenset(self.groups), claims, is_robot=self.robot is not None)


def parse_address(value: str) -> str:
    """An IP address, in its shortest form. Raises ValueError."""
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError(f'"{value}" is not an address; allowed: one such as 10.1.2.3 or 2001:db8::1') from None


class RequestEntry(Entry):
    """The facts of the request. Conditions about a missing fact are undecidable."""

    address: Annotated[str, AfterValidator(parse_address)] = ""
    """The address of the client."""
    tls: bool | None = None
    """Whether the client uses TLS."""

    def to_request(self) -> RequestFacts:
        """The frozen value for decisions."""
        return RequestFacts(self.address, self.tls)


class CaseEntry(Entry):
    """One case: who requests what, and the expected decision."""

    who: CallerEntry
    """The caller."""
    what: Annotated[str, AfterValidator(_one_scope)]
    """The requested scope, as a client writes it; its actions may be create and overwrite too."""
    tag: Annotated[str, AfterValidator(_one_tag)] | None = None
    """The requested tag. Without it the tag is unknown, as when a token is issued."""
    at: Time | None = None
    """The time of the request, for conditions about the time: date, time and offset from UTC, as in RFC 3339."""
    request: RequestEntry | None = None
    """The facts of the request, for conditions about it."""
    expected: Literal["allow", "deny"]
    """The expected decision for each action of the scope."""
    rule: Line | None = None
    """The name of a rule that must be among those that decide."""
    why: Prose = ""
    """The purpose of the case. A failure shows it."""

    @model_validator(mode="after")
    def _check_tag(self) -> Self:
        if self.tag is not None and parse_scopes([self.what])[0].type != "repository":
            raise ValueError("only a repository has tags; allowed: tag together with repository:NAME:ACTIONS")
        return self

    def to_case(self, file: str, line: int) -> Case:
        """The frozen value to run."""
        return Case(
            principal=self.who.to_principal(),
            scope=self.what,
            expected=Effect(self.expected),
            rule=self.rule,
            why=self.why,
            file=file,
            line=line,
            at=self.at.timestamp() if self.at else None,
            tag=self.tag,
            request=self.request.to_request() if self.request else None,
        )
