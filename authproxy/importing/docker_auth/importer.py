"""docker_auth's configuration → rules: its `acl`, and the parts of its `users` that the rules need.

Interpreted as cesanta/docker_auth does: the ACL in `acl.py`, its patterns in `pattern.py`, its order in
`first_match.py`. docker_auth evaluates anonymous callers only if `users` has an entry ""; otherwise no rule is about
them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from authproxy.config.document.tree import DocumentError, MapNode, Node, TextNode
from authproxy.config.document.tree import Entry as Value
from authproxy.config.kubernetes_wrapper import check_not_wrapped
from authproxy.importing.docker_auth.acl import Written, read_acl
from authproxy.importing.docker_auth.cases import Caller, make_cases
from authproxy.importing.docker_auth.dangers import dangers_in, nothings_in
from authproxy.importing.docker_auth.entry import CATALOG, REPOSITORIES, Entry, Reader, World, labels_in
from authproxy.importing.docker_auth.labels import Labels
from authproxy.importing.first_match import List, TranslatedEntry
from authproxy.importing.imported import Imported, ImportedRule, ImportedUser, one_line
from authproxy.importing.nodes import entries_of, read_foreign, text_of, texts_of, value_of
from authproxy.importing.report import Kind, Remark, place

SYSTEM = "docker_auth"

_AUTHORIZERS = {
    "acl_mongo": "the entries in MongoDB: export them into a list below acl",
    "acl_xorm": "the entries in a database: export them into a list below acl",
    "ext_authz": "a program that can allow more where no entry of the list matches",
    "plugin_authz": "a plugin that can allow more where no entry of the list matches",
    "casbin_authz": "a Casbin model that can allow more where no entry of the list matches",
}
_AUTHENTICATORS = (
    *("ext_auth", "google_auth", "github_auth", "gitlab_auth", "oidc_auth"),
    *("ldap_auth", "mongo_auth", "xorm_auth", "plugin_authn"),
)


@dataclass(frozen=True, slots=True)
class _User:
    """An entry of `users`."""

    name: str  # "": anonymous callers
    line: int
    labels: Mapping[str, tuple[str, ...]]
    hashed: str | None


def import_docker_auth(path: Path, *, service: str | None = None) -> Imported:
    """Import a configuration; `service` is the service of the tokens, which entries may match. Raises DocumentError."""
    root = read_foreign(path).root
    top = entries_of(root, "the file")
    written = read_acl(value_of(top, "acl"))
    if not written:
        check_not_wrapped(root, ("acl",), str(path))
        raise DocumentError(f"{path}: has no acl, or an empty one: there is nothing to import; allowed: acl: [entries]")
    users = tuple(_users(value_of(top, "users")))
    has_anonymous = any(not user.name and not user.hashed for user in users)
    used = frozenset(_labels_of(written))
    others = [key for key in _AUTHENTICATORS if key in top]
    labels = Labels(
        used=used,
        known={label: frozenset(value for user in users for value in user.labels.get(label, ())) for label in used},
        are_all_known=not others,
        has_anonymous=any(not user.name and used & user.labels.keys() for user in users),
    )
    lists = {world: _entries(written, Reader(world, labels, service), path) for world in (REPOSITORIES, CATALOG)}
    translated: list[tuple[World, TranslatedEntry]] = []
    findings = [*_about_users(users), *_about_unknown(top), *_about_keys(top, used)]
    for one in written:
        findings += [
            Remark(one.line, Kind.LEFT, f"{key}: not a key of an entry: docker_auth ignores it; check what was meant")
            for key in one.beside
        ]
        findings += [Remark(one.line, Kind.DANGER, text) for text in dangers_in(one, has_anonymous=has_anonymous)]
        findings += [Remark(one.line, Kind.NOTHING, text) for text in nothings_in(one, has_anonymous=has_anonymous)]
    read = {entry.line for entries in lists.values() for entry in entries}
    findings += [
        Remark(one.line, Kind.NOTHING, "matches neither a repository nor the catalog: see its type, service and labels")
        for one in written
        if one.line not in read
    ]
    for world, entries in lists.items():
        for outcome in List(entries, labels, has_anonymous, is_catalog=world is CATALOG).translate():
            if isinstance(outcome, Remark):
                findings.append(outcome)
            else:
                translated.append((world, outcome))
    translated.sort(key=lambda one: one[1].entry.line)
    rules = tuple(_named(translated, str(path)))
    if not rules:
        raise DocumentError(
            f"{path}: nothing in its acl can be expressed in rules that allow anything:\n"
            + "\n".join(f"{place(str(path), finding.line)}: {finding.sentence}" for finding in sorted(set(findings)))
        )
    callers = [Caller(user.name, labels.groups_of(user.labels)) for user in users if user.name]
    ruled = [(one.entry, rule.name) for (_, one), rule in zip(translated, rules, strict=True)]
    return Imported(
        source=str(path),
        system=SYSTEM,
        rules=rules,
        cases=tuple(
            case
            for world, entries in lists.items()
            for case in make_cases(world, entries, ruled, callers, labels, has_anonymous=has_anonymous)
        ),
        users=tuple(
            ImportedUser(user.name, user.line, labels.groups_of(user.labels), user.hashed)
            for user in users
            if user.name
        ),
        findings=tuple(sorted(set(findings))),
    )


def _entries(written: Sequence[Written], reader: Reader, path: Path) -> list[Entry]:
    entries: list[Entry] = []
    for one in written:
        try:
            entries += reader.entries(one)
        except ValueError as exc:
            raise DocumentError(f"{place(str(path), one.line)}: {exc}; docker_auth refuses it: fix it there") from None
    return entries


def _named(translated: Sequence[tuple[World, TranslatedEntry]], source: str) -> Iterator[ImportedRule]:
    """The entries as rules with unique names."""
    taken: dict[str, int] = {}
    for world, one in translated:
        name = f"{one_line(Path(source).name)} line {one.entry.line}" + (" catalog" if world is CATALOG else "")
        taken[name] = taken.get(name, 0) + 1
        if taken[name] > 1:
            name = f"{name} ({taken[name]})"
        comment = one_line(one.entry.comment)
        description = (
            f"{comment} (acl, line {one.entry.line})" if comment else f"The entry of line {one.entry.line} of the acl."
        )
        yield ImportedRule(
            name,
            description,
            one.to,
            allow=tuple(map(str, one.allow)),
            repositories=one.repositories,
            when=one.when,
        )


def _users(node: Node | None) -> Iterator[_User]:
    for name, value in entries_of(node, "users").items():
        if isinstance(value.value, TextNode) and value.value.text is None:
            continue  # docker_auth has no such user
        fields = entries_of(value.value, f"users.{name}")
        password = value_of(fields, "password")
        hashed = None if password is None else text_of(password, "password")
        labels = entries_of(value_of(fields, "labels"), "labels")
        yield _User(
            name,
            value.place.line,
            {key: texts_of(label.value, f"labels.{key}") for key, label in labels.items()},
            hashed,
        )


def _labels_of(written: Sequence[Written]) -> Iterator[str]:
    for one in written:
        yield from one.labels
        for text in one.fields.values():
            yield from labels_in(text)


def _about_users(users: Sequence[_User]) -> Iterator[Remark]:
    for user in users:
        if user.name and user.hashed is None:
            yield Remark(
                user.line, Kind.DANGER, f"the user {user.name} has no password, so docker_auth accepts any password"
            )


def _about_unknown(top: Mapping[str, Value]) -> Iterator[Remark]:
    """Findings about keys unknown to docker_auth: they have no effect there or here."""
    known = {"server", "token", "users", "acl", *_AUTHORIZERS, *_AUTHENTICATORS}
    for key, value in top.items():
        if key not in known:
            yield Remark(value.place.line, Kind.LEFT, f"{key}: a key unknown to docker_auth; check what was meant")
    for name, user in entries_of(value_of(dict(top), "users"), "users").items():
        if isinstance(user.value, MapNode):
            for key, value in user.value.entries.items():
                if key not in ("password", "labels"):
                    what = f"users.{json.dumps(name, ensure_ascii=False)}.{key}"
                    yield Remark(
                        value.place.line, Kind.LEFT, f"{what}: a key unknown to docker_auth; check what was meant"
                    )


def _about_keys(top: Mapping[str, Value], used: frozenset[str]) -> Iterator[Remark]:
    for key, what in _AUTHORIZERS.items():
        if key in top:
            yield Remark(top[key].place.line, Kind.LEFT, f"{key}: {what}")
    for key in _AUTHENTICATORS:
        if key in top:
            labels = f", with groups in place of the labels {', '.join(sorted(used))}" if used else ""
            yield Remark(top[key].place.line, Kind.LEFT, f"{key}: its users need an identity source here{labels}")
