"""Reads zot's `http.accessControl`.

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

zot 1.x has the globs directly below `accessControl`, beside `adminPolicy`. Unread keys are reported with their lines.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from authproxy.config.document.tree import Document, DocumentError, Entry, MapNode, Node
from authproxy.config.kubernetes_wrapper import check_not_wrapped
from authproxy.importing.nodes import entries_of, items_of, text_of, texts_of, value_of
from authproxy.importing.report import Kind, Remark

# Sections of `http.auth` with users; an htpasswd file works here as an identity source unchanged.
_SOURCES = ("ldap", "openid", "bearer", "apikey", "mtls")
# Keys by section, in lower case. Of those without an equivalent in rules, only the last three of `http` concern access.
_OF_ACCESS_CONTROL = ("repositories", "groups", "adminpolicy", "metrics")
_OF_SECTION = ("policies", "defaultpolicy", "anonymouspolicy")
_OF_GRANT = ("users", "groups", "actions", "conditions")
_OF_FILE = (
    *("distspecversion", "goversion", "commit", "releasetag", "binarytype", "storage", "http", "log", "extensions"),
    *("scheduler", "cluster"),
)
_OF_HTTP = (
    "address",
    "port",
    "externalurl",
    "tls",
    "auth",
    "accesscontrol",
    "realm",
    "ratelimit",
    "compat",
    "alloworigin",
)
_OF_AUTH = (
    "htpasswd",
    "faildelay",
    "sessionkeysfile",
    "sessiondriver",
    "sessionhashkey",
    "sessionencryptkey",
    *_SOURCES,
)


@dataclass(frozen=True, slots=True)
class Grant:
    """Actions for callers."""

    line: int
    actions: frozenset[str]
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    is_for_signed_in: bool = False  # defaultPolicy
    is_for_anonymous: bool = False  # anonymousPolicy
    conditions: tuple[str, ...] = ()  # CEL over zot's `req`; all must be true


@dataclass(frozen=True, slots=True)
class Section:
    """The section of one glob; of several that match a repository, the longest one decides."""

    text: str
    line: int
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class AccessControl:
    """The whole section."""

    sections: tuple[Section, ...]
    admin: Grant | None
    groups: dict[str, tuple[int, tuple[str, ...]]]  # line and users of each group
    findings: tuple[Remark, ...]


def read_access_control(document: Document) -> AccessControl:
    """Read a configuration. Raises DocumentError."""
    unread: list[Remark] = []
    file = _keys(document.root, "the file")
    http = _keys(value_of(file, "http"), "http")
    node = value_of(http, "accesscontrol")
    control = _keys(node, "http.accessControl")
    globs = entries_of(value_of(control, "repositories"), "repositories")
    if "repositories" not in control:
        globs = {
            text: entry
            for text, entry in entries_of(node, "http.accessControl").items()
            if text.lower() not in _OF_ACCESS_CONTROL and isinstance(entry.value, MapNode)
        }
    if not globs and "repositories" not in control and "adminpolicy" not in control:
        if not http:
            check_not_wrapped(document.root, ("http",), document.name)
        raise DocumentError(
            f"{document.name}: has no http.accessControl with repositories or adminPolicy: there is nothing to import"
        )
    sections = tuple(
        Section(text, entry.place.line, tuple(_grants(entry.value, unread))) for text, entry in globs.items()
    )
    admin = _grant(control["adminpolicy"].value, unread) if "adminpolicy" in control else None
    groups = {
        name: (entry.place.line, texts_of(value_of(_keys(entry.value, f"groups.{name}"), "users"), "users"))
        for name, entry in entries_of(value_of(control, "groups"), "groups").items()
    }
    for name, entry in entries_of(value_of(control, "groups"), "groups").items():
        unread += _unread(_keys(entry.value, f"groups.{name}"), ("users",), f"groups.{name}")
    read = () if "repositories" in control else {text.lower() for text in globs}
    in_control = {key: entry for key, entry in control.items() if key not in read}
    for keys, known, where in (
        (file, _OF_FILE, ""),
        (http, _OF_HTTP, "http"),
        (_keys(value_of(http, "auth"), "auth"), _OF_AUTH, "http.auth"),
        (in_control, _OF_ACCESS_CONTROL, "accessControl"),
    ):
        unread += _unread(keys, known, where)
    return AccessControl(sections, admin, groups, (*_left(http, control), *unread))


def has_access_control(document: Document) -> bool:
    """Whether a configuration has the section at all."""
    http = _keys(value_of(_keys(document.root, "the file"), "http"), "http")
    return "accesscontrol" in http


def _unread(keys: Mapping[str, Entry], known: Collection[str], where: str) -> Iterator[Remark]:
    """A finding for each unread key, so that nothing about access is lost silently."""
    for key, entry in keys.items():
        if key not in known:
            what = f"{where}.{key}" if where else key
            yield Remark(
                entry.place.line, Kind.LEFT, f"{what}: a key that is ignored here: check what it means for access"
            )


def _grants(node: Node, unread: list[Remark]) -> Iterator[Grant]:
    keys = _keys(node, "repositories")
    unread += _unread(keys, _OF_SECTION, "repositories")
    yield from (_grant(item, unread) for item in items_of(value_of(keys, "policies"), "policies"))
    for key, for_anonymous in (("defaultpolicy", False), ("anonymouspolicy", True)):
        if key in keys and (actions := texts_of(keys[key].value, key)):
            yield Grant(
                keys[key].place.line,
                frozenset(actions),
                is_for_signed_in=not for_anonymous,
                is_for_anonymous=for_anonymous,
            )


def _grant(node: Node, unread: list[Remark]) -> Grant:
    keys = _keys(node, "policies")
    unread += _unread(keys, _OF_GRANT, "policies")
    conditions: list[str] = []
    for item in items_of(value_of(keys, "conditions"), "conditions"):
        unread += _unread(_keys(item, "conditions"), ("expression", "message"), "conditions")
        expression = value_of(_keys(item, "conditions"), "expression")
        if expression is None:
            raise DocumentError(
                f"{item.place}: conditions: this one has no expression; write it or remove the condition"
            )
        conditions.append(text_of(expression, "expression"))
    return Grant(
        node.place.line,
        frozenset(texts_of(value_of(keys, "actions"), "actions")),
        texts_of(value_of(keys, "users"), "users"),
        texts_of(value_of(keys, "groups"), "groups"),
        conditions=tuple(conditions),
    )


def _left(http: dict[str, Entry], control: dict[str, Entry]) -> Iterator[Remark]:
    auth = _keys(value_of(http, "auth"), "auth")
    for key in _SOURCES:
        if key in auth:
            yield Remark(auth[key].place.line, Kind.LEFT, f"auth.{key}: its users need an identity source here")
    if "metrics" in control:
        yield Remark(
            control["metrics"].place.line, Kind.LEFT, "metrics: access to them is not a matter of policies here"
        )


def _keys(node: Node | None, key: str) -> dict[str, Entry]:
    """The entries of a map by lower-case key: zot ignores case."""
    return {name.lower(): entry for name, entry in entries_of(node, key).items()}
