"""zot's access control → rules; its retention: retention.py.

Of the globs that match a repository only the longest one decides, together with `adminPolicy`: so the section of a glob
becomes allow rules that exclude longer globs. zot's `create` is our push; a caller with `create` but not `update` may
not overwrite tags, which becomes a deny of overwrite. Nothing else denies.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from authproxy.config.document.tree import DocumentError
from authproxy.importing.docker_auth.pattern import Inexpressible
from authproxy.importing.expressions import GROUPS, NAME, REPOSITORY, is_any_of, literal
from authproxy.importing.imported import Imported, ImportedRule, ImportedUser, is_nameable, one_line
from authproxy.importing.nodes import read_foreign
from authproxy.importing.report import Kind, Remark
from authproxy.importing.zot.cases import make_cases
from authproxy.importing.zot.conditions import translate
from authproxy.importing.zot.config import AccessControl, Grant, Section, has_access_control, read_access_control
from authproxy.importing.zot.doublestar import ZotGlob, literal_head
from authproxy.importing.zot.retention import read_retention
from authproxy.policy.condition import MAX_LENGTH
from authproxy.policy.glob_containment import covers, may_meet

SYSTEM = "zot"

_ACTIONS = {"read": "pull", "create": "push", "delete": "delete"}
_KNOWN = {*_ACTIONS, "update"}


@dataclass(frozen=True, slots=True)
class _Where:
    """The repositories of one section: globs, minus what conditions exclude."""

    repositories: tuple[str, ...]
    tests: tuple[str, ...]


@dataclass(slots=True)
class _Writer:
    """Writes the rules of one configuration and collects findings."""

    control: AccessControl
    file: str
    findings: list[Remark] = field(default_factory=list)
    rules: list[ImportedRule] = field(default_factory=list)
    globs: dict[str, ZotGlob | None] = field(default_factory=dict)  # by text; None: inexpressible

    def write(self) -> None:
        """All rules."""
        for section in self.control.sections:
            try:
                self.globs[section.text] = ZotGlob.parse(section.text)
            except Inexpressible as exc:
                self.globs[section.text] = None
                self.left(section.line, f"allows nothing here: {exc}")
        for section in self.control.sections:
            try:
                self._section(section, self._where(section))
            except Inexpressible as exc:
                self.left(section.line, str(exc))
        if self.control.admin is not None:
            self._grant(self.control.admin, _Where(("**",), ()), can_limit=False)
        self._catalog()

    def left(self, line: int, sentence: str) -> None:
        """Add a finding about something not translated."""
        self.findings.append(Remark(line, Kind.LEFT, sentence))

    def danger(self, line: int, sentence: str) -> None:
        """Add a finding about something translated that is rarely meant."""
        self.findings.append(Remark(line, Kind.DANGER, sentence))

    def nothing(self, line: int, sentence: str) -> None:
        """Add a finding about something without effect in the source."""
        self.findings.append(Remark(line, Kind.NOTHING, sentence))

    def _where(self, section: Section) -> _Where | None:
        """The repositories of a section; None if it never decides."""
        glob = self.globs[section.text]
        if glob is None:
            return None
        if glob.globs == ():
            self.nothing(section.line, f"{section.text} matches no repository's name, {_why_none(section.text)}")
            return None
        longest = len(section.text.encode())
        others = [one for one in self.control.sections if one is not section and len(one.text.encode()) >= longest]
        if any(self._takes_all(section, other) for other in others):
            return None
        tests = [test for other in others if (test := self._exception(section, glob, other))]
        if glob.globs is None:
            return _Where(("**",), (f"{REPOSITORY}.matches({literal(glob.regex)})", *tests))
        return _Where(tuple(map(str, glob.globs)), tuple(tests))

    def _takes_all(self, section: Section, other: Section) -> bool:
        """Whether a section never decides because a longer one covers it."""
        own, wins = self.globs[section.text], self.globs[other.text]
        if own is None or own.globs is None or wins is None or wins.globs is None:
            return False
        if len(other.text.encode()) == len(section.text.encode()):
            return False
        if all(any(covers(outer, inner) for outer in wins.globs) for inner in own.globs):
            self.nothing(section.line, f"{section.text} never decides: {other.text} is longer and matches all of it")
            return True
        return False

    def _exception(self, section: Section, own: ZotGlob, other: Section) -> str:
        """A test that another section of the same length or longer does not match; "" if it never does."""
        wins = self.globs[other.text]
        if wins is None:
            return _but_for_head(section, other)
        are_known = wins.globs is not None and own.globs is not None
        if are_known and not any(may_meet(one, two) for one in wins.globs or () for two in own.globs or ()):
            return ""
        if wins.globs == ():
            return ""  # it matches nothing
        if len(other.text.encode()) == len(section.text.encode()):
            why = "where both match, zot decides by chance, and neither allows anything here"
            self.left(section.line, f"{section.text} and {other.text} are equally long: {why}")
        return f"!{REPOSITORY}.matches({literal(wins.regex)})"

    def _section(self, section: Section, where: _Where | None) -> None:
        if where is None:
            return
        can_limit = True
        if any("create" in grant.actions and "update" not in grant.actions for grant in section.grants):
            can_limit = self._limit(section, where)
        for grant in section.grants:
            self._grant(grant, where, can_limit=can_limit)

    def _limit(self, section: Section, where: _Where) -> bool:
        """Deny overwriting to callers without `update`. Returns whether that is expressible."""
        grants = [*section.grants, *([self.control.admin] if self.control.admin else [])]
        updaters = [test for grant in grants if "update" in grant.actions for test in self._subject_tests(grant)]
        tests = (*where.tests, *([f"!({' || '.join(updaters)})"] if updaters else []))
        if len(" && ".join(tests)) > MAX_LENGTH:
            self.left(section.line, "create without update allows nothing here: its condition would be too long")
            return False
        self.rules.append(
            ImportedRule(
                name=f"{self.file} line {section.line} tags stay",
                description=f"Below {section.text} a tag that exists is overwritten only by those who have update.",
                deny=("overwrite",),
                to={"everyone": True},
                repositories=where.repositories,
                when=tests,
            )
        )
        return True

    def _subject_tests(self, grant: Grant) -> Iterator[str]:
        tests = [is_any_of(NAME, grant.users)] if grant.users else []
        tests += [f"{literal(group)} in {GROUPS}" for group in grant.groups]
        tests += [f'{NAME} != ""'] if grant.is_for_signed_in else []
        tests += [f'{NAME} == ""'] if grant.is_for_anonymous else []
        try:
            conditions = [f"({translate(condition)})" for condition in grant.conditions]
        except Inexpressible:
            return  # by this grant no caller counts as having `update`
        yield from (" && ".join([f"({test})", *conditions]) if conditions else test for test in tests)

    def _grant(self, grant: Grant, where: _Where, *, can_limit: bool) -> None:
        for action in sorted(grant.actions - _KNOWN):
            self.left(grant.line, f"the action {action} does not exist here")
        if "update" in grant.actions and "create" not in grant.actions:
            self.left(grant.line, "update without create: overwriting tags without pushing cannot be expressed")
        actions = [_ACTIONS[action] for action in ("read", "create", "delete") if action in grant.actions]
        if "push" in actions and "update" not in grant.actions and not can_limit:
            actions.remove("push")
            if grant is self.control.admin:
                self.left(grant.line, "create without update in adminPolicy: it allows no push here")
        to = self._subjects(grant)
        if not actions or not to:
            return
        try:
            when = (*where.tests, *(f"({translate(condition)})" for condition in grant.conditions))
        except Inexpressible as exc:
            self.left(grant.line, f"allows nothing here: {exc}")
            return
        if (length := len(" && ".join(when))) > MAX_LENGTH:
            self.left(grant.line, f"allows nothing here: a condition of {length} characters; allowed: {MAX_LENGTH}")
            return
        if grant.is_for_anonymous or "" in grant.users:
            self.danger(grant.line, f"gives {', '.join(sorted(grant.actions))} to callers without credentials")
        name = f"{self.file} line {grant.line}{' signed in' if grant.is_for_signed_in else ''}"
        taken = sum(rule.name == name or rule.name.startswith(f"{name} (") for rule in self.rules)
        self.rules.append(
            ImportedRule(
                name=f"{name} ({taken + 1})" if taken else name,
                description=f"From line {grant.line} of {self.file}.",
                allow=tuple(actions),
                to=to,
                repositories=where.repositories,
                when=when,
            )
        )

    def _subjects(self, grant: Grant) -> dict[str, Any]:
        for name in (*filter(None, grant.users), *grant.groups):
            if not is_nameable(name):
                self.left(grant.line, f'"{name}" is not a name that a rule can contain')
        users, groups = ([name for name in names if is_nameable(name)] for names in (grant.users, grant.groups))
        return (
            ({"users": users} if users else {})
            | ({"groups": groups} if groups else {})
            | ({"signed-in": True} if grant.is_for_signed_in else {})
            | ({"anonymous": True} if grant.is_for_anonymous or "" in grant.users else {})
        )

    def _catalog(self) -> None:
        """Zot lists to all callers what they may read; our catalog is filtered when it is served."""
        readers = [rule.to for rule in self.rules if "pull" in rule.allow]
        if readers:
            to = {"signed-in": True} | ({"anonymous": True} if any("anonymous" in one for one in readers) else {})
            description = "Everybody may list the repositories that they may pull."
            self.rules.append(ImportedRule(f"{self.file} catalog", description, allow=("catalog",), to=to))


def _why_none(text: str) -> str:
    if text.startswith("/"):
        return "since none begins with a slash"
    if text.endswith("/") or "//" in text:
        return "since none has an empty segment"
    if any(c.isupper() for c in text):
        return "since none has capitals"
    return "since none has such characters in such places"


def _but_for_head(section: Section, other: Section) -> str:
    """The exclusion of an inexpressible glob: everything with the same prefix."""
    head = literal_head(other.text)
    if not head:
        raise Inexpressible(f"{section.text} allows nothing here: {other.text} is longer, and could match all of it")
    return f"!{REPOSITORY}.startsWith({literal(head)})"


def import_zot(path: Path) -> Imported:
    """Read a configuration, JSON or YAML. Raises DocumentError."""
    document = read_foreign(path)
    file = one_line(path.name)
    retention, remarks = read_retention(document, file)
    control = AccessControl((), None, {}, ()) if retention and not has_access_control(document) else None
    control = control or read_access_control(document)
    writer = _Writer(control, file, [*control.findings, *remarks])
    writer.write()
    if not retention and not any(rule.allow for rule in writer.rules):
        raise DocumentError(f"{path}: nothing in its accessControl allows anything that our rules can express")
    return Imported(
        source=str(path),
        system=SYSTEM,
        rules=tuple(writer.rules),
        cases=tuple(
            make_cases(control, writer.globs, has_catalog=any("catalog" in rule.allow for rule in writer.rules))
        ),
        users=tuple(_users(control)),
        findings=tuple(sorted(set(writer.findings))),
        retention=retention,
    )


def _users(control: AccessControl) -> Iterator[ImportedUser]:
    names: Sequence[str] = sorted({name for _, users in control.groups.values() for name in users})
    for name in names:
        groups = {group: line for group, (line, users) in control.groups.items() if name in users}
        yield ImportedUser(name, min(groups.values()), tuple(sorted(groups)))
