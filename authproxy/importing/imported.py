"""The result of an importer: rules, cases and users as texts of our files, and findings."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from authproxy.importing.report import Remark


def is_nameable(name: str) -> bool:
    """Whether a rule can use this user or group name: names that look like patterns are refused."""
    return bool(name) and name == name.strip() and name.isprintable() and not any(c in "*{}" for c in name)


def one_line(text: str) -> str:
    """A text for names and descriptions: one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@dataclass(frozen=True, slots=True)
class ImportedRule:
    """One rule of the new file."""

    name: str
    description: str
    to: Mapping[str, Any]  # the `to:` of a policy file
    allow: tuple[str, ...] = ()  # either this or the next one
    deny: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()  # globs; none for the catalog action
    when: tuple[str, ...] = ()  # CEL; all must be true

    def to_lines(self) -> Iterator[str]:
        """The lines of the file."""
        yield f"name: {_flow(self.name)}"
        if self.description:
            yield f"description: {_flow(one_line(self.description))}"
        yield f"allow: {_flow(list(self.allow))}" if self.allow else f"deny: {_flow(list(self.deny))}"
        yield f"to: {_flow(dict(self.to))}"
        if self.repositories:
            yield f"on: {_flow({'repositories': list(self.repositories)})}"
        if len(self.when) == 1:
            yield f"when: {_flow(self.when[0])}"
        elif self.when:
            yield "when: |-"
            yield from (f"  {test} &&" for test in self.when[:-1])
            yield f"  {self.when[-1]}"


@dataclass(frozen=True, slots=True)
class ImportedRetention:
    """One entry of retention of the new file."""

    name: str
    description: str
    repositories: tuple[str, ...]  # globs
    excepted: tuple[str, ...]
    keep: tuple[Mapping[str, Any], ...]
    untagged: tuple[Mapping[str, Any], ...] = ()  # none: they stay
    is_dry: bool = False

    def to_lines(self) -> Iterator[str]:
        """The lines of the file."""
        on = {"repositories": list(self.repositories)} | ({"except": list(self.excepted)} if self.excepted else {})
        yield f"name: {_flow(self.name)}"
        yield f"description: {_flow(one_line(self.description))}"
        yield f"on: {_flow(on)}"
        yield "keep:"
        yield from (f"  - {_flow(dict(item))}" for item in self.keep)
        if self.untagged:
            yield f"untagged: {_flow([dict(item) for item in self.untagged])}"
        if self.is_dry:
            yield "dry-run: true"


@dataclass(frozen=True, slots=True)
class ImportedUser:
    """A user of the old file."""

    name: str
    line: int
    groups: tuple[str, ...] = ()
    hashed: str | None = field(default=None, repr=False)  # bcrypt


@dataclass(frozen=True, slots=True)
class Imported:
    """The result of importing one file."""

    source: str  # the file name as given
    system: str  # docker_auth, zot
    rules: tuple[ImportedRule, ...]
    cases: tuple[Mapping[str, Any], ...] = ()  # the `tests:` of a policy file
    users: tuple[ImportedUser, ...] = ()
    findings: tuple[Remark, ...] = ()
    retention: tuple[ImportedRetention, ...] = ()


def to_policy(imported: Imported) -> str:
    """The policy file."""
    head = [
        f"# From {one_line(imported.source)}: authproxy policy import {imported.system}.",
        "# A rule's description names the line that it comes from. Run the cases: authproxy policy test",
        "version: 1",
    ]
    parts = ["\n".join(head)]
    if imported.rules:
        parts += ["rules:", "\n\n".join(_item(rule.to_lines()) for rule in imported.rules)]
    if imported.retention:
        parts += ["\nretention:", "\n\n".join(_item(entry.to_lines()) for entry in imported.retention)]
    if imported.cases:
        parts += ["\ntests:", "\n".join(f"  - {_flow(dict(case))}" for case in imported.cases)]
    return "\n".join(parts) + "\n"


def to_users(users: Iterable[ImportedUser]) -> str:
    """The users file: groups, and imported password hashes."""
    lines = ["users:"]
    for user in users:
        fields = [f"groups: {_flow(list(user.groups))}"] if user.groups else []
        fields += [f"password: {_flow(user.hashed)}"] if user.hashed else []
        lines.append(f"  {_flow(user.name)}: {{{', '.join(fields)}}}")
    return "\n".join(lines) + "\n"


def _item(lines: Iterable[str]) -> str:
    """A list item, indented by two."""
    first, *others = lines
    return "\n".join([f"  - {first}", *(f"    {line}" for line in others)])


def _flow(value: Any) -> str:
    """A value as one line of YAML."""
    text = yaml.safe_dump(value, sort_keys=False, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return text.removesuffix("\n").removesuffix("\n...")
