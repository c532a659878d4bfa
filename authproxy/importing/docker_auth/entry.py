"""Interprets entries of docker_auth's ACL: what each matches and grants, for one type of resource."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv6Network, ip_network
from itertools import product
from math import prod
from types import MappingProxyType
from typing import NamedTuple

from authproxy.importing.docker_auth.acl import Written
from authproxy.importing.docker_auth.labels import Labels
from authproxy.importing.docker_auth.pattern import Inexpressible, Pattern, domain_of, exactly, parse_pattern
from authproxy.policy.glob import placeable_name
from authproxy.policy.model import REPOSITORY_ACTIONS, Action

_ALL = ("*",)
# Combinations of the values of several labels in one name: each becomes an entry.
_MAX_CHOICES = 1000


class World(NamedTuple):
    """One type of resource."""

    type: str
    name: str | None  # the only resource of its type; None: any repository
    actions: tuple[Action, ...]

    def scope(self, repository: str, actions: Iterable[Action]) -> str:
        """The scope that a client requests."""
        return f"{self.type}:{repository}:{','.join(actions)}" if self.name is None else f"{self.type}:{self.name}:*"

    def granted(self, actions: tuple[str, ...]) -> frozenset[Action]:
        """The actions that a list of docker_auth grants. `*` among other actions is just the literal action `*`."""
        if self.name is not None:
            return frozenset(self.actions if "*" in actions else ())
        return frozenset(self.actions if actions == _ALL else (action for action in self.actions if action in actions))


REPOSITORIES = World("repository", None, REPOSITORY_ACTIONS)
CATALOG = World("registry", "catalog", (Action.CATALOG,))


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry for one type of resource. None matches everything."""

    line: int
    account: Pattern | None
    name: Pattern | None
    labels: Mapping[str, Pattern]
    network: str | None  # the network of the address
    allowed: frozenset[Action]
    comment: str
    inexpressible: tuple[str, ...] = ()  # further conditions that cannot be expressed
    is_narrow: bool = False  # the name may match more, through labels of other sources


@dataclass(frozen=True, slots=True)
class Reader:
    """Interprets entries for one type of resource."""

    world: World
    labels: Labels
    service: str | None = None  # the service of the tokens; None: unknown

    def entries(self, written: Written) -> Iterator[Entry]:
        """The entry for this type: several if the values of a label are known, none if it does not apply.

        Raises ValueError for a regular expression that docker_auth would refuse.
        """
        label, *others = dict.fromkeys(labels_in(written.fields.get("name", ""))) or (None,)
        if label is None:
            yield from self._entry(written)
            return
        if others:
            yield from self._entries_of_several(written, (label, *others))
            return
        if label in written.labels or self.labels.has_anonymous:
            why = "callers without credentials have labels there, and are in no group here"
            if label in written.labels:
                why = f"the label {label} is in match.labels too"
            yield from self._entry(_without_name(written), (f"name: {written.fields['name']}: {why}",))
            return
        if self.labels.is_single:
            # A value that is a single plain segment corresponds to our {group}.
            for entry in self._entry(written):
                yield replace(entry, is_narrow=not self.labels.are_all_known)
        elif not self.labels.are_all_known:
            why = f"name: {written.fields['name']}: values of the label {label} from other sources"
            yield from self._entry(_without_name(written), (why,))
        for value in sorted(self.labels.known.get(label, ())):
            if not (self.labels.is_single and _is_plain(value)):
                yield from self._entry_of_values(written, {label: value})

    def _entries_of_several(self, written: Written, names: Sequence[str]) -> Iterator[Entry]:
        """The entries for a name with several labels: one for each combination of their values."""
        known = [sorted(self.labels.known.get(label, ())) for label in names]
        why = ""
        if self.labels.has_anonymous:
            why = "callers without credentials have labels there, and are in no group here"
        elif both := [label for label in names if label in written.labels]:
            why = f"the label {both[0]} is in match.labels too"
        elif not self.labels.are_all_known:
            why = f"values of the labels {', '.join(names)} from other sources"
        elif prod(map(len, known)) > _MAX_CHOICES:
            why = f"the labels {', '.join(names)} have more than {_MAX_CHOICES} choices of values"
        if why:
            yield from self._entry(_without_name(written), (f"name: {written.fields['name']}: {why}",))
            return
        for values in product(*known):
            yield from self._entry_of_values(written, dict(zip(names, values, strict=True)))

    def _entry_of_values(self, written: Written, values: Mapping[str, str]) -> Iterator[Entry]:
        """The entry for users with these label values, which docker_auth substitutes unescaped."""
        text = re.sub(r"\$\{labels:([^{}]+)\}", lambda found: values[found[1]], written.fields["name"])
        try:
            yield from self._entry(replace(written, fields={**written.fields, "name": text}), values=values)
        except ValueError:
            return  # not a regular expression with this value: it matches nothing in docker_auth

    def _entry(
        self, written: Written, also: tuple[str, ...] = (), *, values: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[Entry]:
        inexpressible = [*also, *(f"{key}: a key unknown to docker_auth" for key in written.unknown)]
        patterns: dict[str, Pattern] = {}
        for key, text in written.fields.items():
            if key != "ip" and (key != "account" or text != "${account}"):  # always true
                self._parse(key, text, patterns, inexpressible, domain=domain_of(written.fields.get("account", "")))
        if not self._is_of_this_type(patterns, inexpressible) or not self._is_of_this_name(patterns, inexpressible):
            return
        account = patterns.get("account")
        if account is not None and account.has_placeholder:
            inexpressible.append(f"account: {account.text}: a placeholder")
            account = None
        labels = self._labels(written, inexpressible) | {label: exactly(value) for label, value in values.items()}
        network = parse_network(written.fields["ip"]) if "ip" in written.fields else None
        yield Entry(
            line=written.line,
            account=account,
            name=patterns.get("name"),
            labels=MappingProxyType(labels),
            network=network,
            allowed=self.world.granted(written.actions),
            comment=written.comment,
            inexpressible=tuple(inexpressible),
        )

    def _is_of_this_type(self, patterns: dict[str, Pattern], inexpressible: list[str]) -> bool:
        for key, fixed in (("type", self.world.type), ("service", self.service)):
            pattern = patterns.pop(key, None)
            if pattern is None:
                continue
            if fixed is None:
                inexpressible.append(f"service: {pattern.text}: give the service of the tokens with --service")
            elif pattern.has_placeholder:
                inexpressible.append(f"{key}: {pattern.text}: it depends on the caller")
            elif not pattern.matches(fixed):
                return False
        return True

    def _is_of_this_name(self, patterns: dict[str, Pattern], inexpressible: list[str]) -> bool:
        """Whether the only name of its type can match; the name is then not compared again."""
        if self.world.name is None or (name := patterns.pop("name", None)) is None:
            return True
        if not name.has_placeholder:
            return name.matches(self.world.name)
        if not name.needs("/"):
            inexpressible.append(f"name: {name.text}: a placeholder, in a request for the catalog")
        return not name.needs("/")

    def _labels(self, written: Written, inexpressible: list[str]) -> dict[str, Pattern]:
        labels: dict[str, Pattern] = {}
        for key, text in written.labels.items():
            self._parse(key, text, labels, inexpressible)
            if key in labels and (why := self.labels.why_inexpressible(key, labels[key])):
                inexpressible.append(f"labels: {key}: {why}")
                del labels[key]
        return labels

    def _parse(
        self, key: str, text: str, into: dict[str, Pattern], inexpressible: list[str], *, domain: str | None = None
    ) -> None:
        known = {"type": self.world.type} | ({} if self.service is None else {"service": self.service})
        try:
            into[key] = parse_pattern(text, known=known, domain=domain)
        except Inexpressible as exc:
            inexpressible.append(f"{key}: {exc}")


def parse_network(text: str) -> str:
    """A network for our conditions, without the host bits that docker_auth ignores. Raises ValueError."""
    network = ip_network(text, strict=False)
    if isinstance(network, IPv6Network) and (mapped := network.network_address.ipv4_mapped) is not None:
        return str(ip_network(f"{mapped}/{max(network.prefixlen - 96, 0)}", strict=False))
    return str(network)


def _without_name(written: Written) -> Written:
    return replace(written, fields={key: text for key, text in written.fields.items() if key != "name"})


def labels_in(text: str) -> tuple[str, ...]:
    """The labels whose values are substituted in a text."""
    return tuple(re.findall(r"\$\{labels:([^{}]+)\}", text))


def _is_plain(value: str) -> bool:
    """Whether a value means the same in a glob, in a regular expression and as {group}."""
    return placeable_name(value) is not None and "." not in value
