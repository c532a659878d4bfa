"""zot's `http.accessControl`, read.

"accessControl": {
  "groups": {"devs": {"users": ["ann"]}},
  "repositories": {
    "team/**": {
      "policies": [{"users": ["ann"], "groups": ["devs"], "actions": ["read", "create", "update"]}],
      "defaultPolicy": ["read"],
      "anonymousPolicy": []
    }
  },
  "adminPolicy": {"users": ["admin"], "actions": ["read", "create", "update", "delete"]}
}
"""

from collections.abc import Iterator
from dataclasses import dataclass

from authproxy.config.document import Document, DocumentError, Entry, Node
from authproxy.policy.importing.nodes import entries_of, items_of, text_of, texts_of, value_of
from authproxy.policy.importing.report import Finding, Kind

# Sections of `http.auth` that know users; an htpasswd file is an identity source here as it is.
_SOURCES = ("ldap", "openid", "bearer", "apikey", "mtls")


@dataclass(frozen=True, slots=True)
class Grant:
    """Some actions for some callers."""

    line: int
    actions: frozenset[str]
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    is_for_signed_in: bool = False  # defaultPolicy
    is_for_anonymous: bool = False  # anonymousPolicy
    conditions: tuple[str, ...] = ()  # in CEL over zot's `req`: all must hold


@dataclass(frozen=True, slots=True)
class Section:
    """What stands below one glob; of several that match a repository the one with the longest text counts."""

    text: str
    line: int
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class AccessControl:
    """All of it."""

    sections: tuple[Section, ...]
    admin: Grant | None
    groups: dict[str, tuple[int, tuple[str, ...]]]  # the line and the users of each
    findings: tuple[Finding, ...]


def read_access_control(document: Document) -> AccessControl:
    """Read a configuration. Raises DocumentError."""
    http = _keys(value_of(_keys(document.root, "the file"), "http"), "http")
    control = _keys(value_of(http, "accesscontrol"), "http.accessControl")
    if "repositories" not in control and "adminpolicy" not in control:
        raise DocumentError(
            f"{document.name}: has no http.accessControl with repositories or adminPolicy: there is nothing to import"
        )
    sections = tuple(
        Section(text, entry.place.line, tuple(_grants(entry.value)))
        for text, entry in entries_of(value_of(control, "repositories"), "repositories").items()
    )
    admin = _grant(control["adminpolicy"].value) if "adminpolicy" in control else None
    groups = {
        name: (entry.place.line, texts_of(value_of(_keys(entry.value, f"groups.{name}"), "users"), "users"))
        for name, entry in entries_of(value_of(control, "groups"), "groups").items()
    }
    return AccessControl(sections, admin, groups, tuple(_left(http, control)))


def _grants(node: Node) -> Iterator[Grant]:
    keys = _keys(node, "repositories")
    yield from map(_grant, items_of(value_of(keys, "policies"), "policies"))
    for key, for_anonymous in (("defaultpolicy", False), ("anonymouspolicy", True)):
        if key in keys and (actions := texts_of(keys[key].value, key)):
            yield Grant(
                keys[key].place.line,
                frozenset(actions),
                is_for_signed_in=not for_anonymous,
                is_for_anonymous=for_anonymous,
            )


def _grant(node: Node) -> Grant:
    keys = _keys(node, "policies")
    conditions: list[str] = []
    for item in items_of(value_of(keys, "conditions"), "conditions"):
        expression = value_of(_keys(item, "conditions"), "expression")
        if expression is None:
            raise DocumentError(f"{item.place}: conditions: this one has no expression; write it or take it out")
        conditions.append(text_of(expression, "expression"))
    return Grant(
        node.place.line,
        frozenset(texts_of(value_of(keys, "actions"), "actions")),
        texts_of(value_of(keys, "users"), "users"),
        texts_of(value_of(keys, "groups"), "groups"),
        conditions=tuple(conditions),
    )


def _left(http: dict[str, Entry], control: dict[str, Entry]) -> Iterator[Finding]:
    auth = _keys(value_of(http, "auth"), "auth")
    for key in _SOURCES:
        if key in auth:
            yield Finding(auth[key].place.line, Kind.LEFT, f"auth.{key}: its users need an identity source here")
    if "metrics" in control:
        yield Finding(
            control["metrics"].place.line, Kind.LEFT, "metrics: who may read them is no matter of policies here"
        )


def _keys(node: Node | None, key: str) -> dict[str, Entry]:
    """The entries of a map by key in small letters: zot passes over case."""
    return {name.lower(): entry for name, entry in entries_of(node, key).items()}
