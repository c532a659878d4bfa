"""What an entry of docker_auth's ACL matches, and what it gives, for one kind of thing that can be asked for."""

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
from authproxy.importing.docker_auth.pattern import Pattern, Unsayable, domain_of, exactly, parse_pattern
from authproxy.policy.glob import placeable_name
from authproxy.policy.model import REPOSITORY_ACTIONS, Action

_ALL = ("*",)
# Of the values of several labels in one name: each is an entry of its own.
_MAX_CHOICES = 1000


class World(NamedTuple):
    """One kind of thing that can be asked for."""

    type: str
    name: str | None  # the only one of its kind; None: any repository
    actions: tuple[Action, ...]

    def scope(self, repository: str, actions: Iterable[Action]) -> str:
        """What a client asks for."""
        return f"{self.type}:{repository}:{','.join(actions)}" if self.name is None else f"{self.type}:{self.name}:*"

    def granted(self, actions: tuple[str, ...]) -> frozenset[Action]:
        """What a list of docker_auth's actions gives of it. `*` beside others is no more than the word `*`."""
        if self.name is not None:
            return frozenset(self.actions if "*" in actions else ())
        return frozenset(self.actions if actions == _ALL else (action for action in self.actions if action in actions))


REPOSITORIES = World("repository", None, REPOSITORY_ACTIONS)
CATALOG = World("registry", "catalog", (Action.CATALOG,))


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry in one world. What is None matches everything."""

    line: int
    account: Pattern | None
    name: Pattern | None
    labels: Mapping[str, Pattern]
    network: str | None  # that the address lies in
    allowed: frozenset[Action]
    comment: str
    unsayable: tuple[str, ...] = ()  # what else has to match, and cannot be said
    is_narrow: bool = False  # the name may match more than is known here, by labels that other sources give


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads entries for one world."""

    world: World
    labels: Labels
    service: str | None = None  # whom tokens are for; None where nobody said

    def entries(self, written: Written) -> Iterator[Entry]:
        """What an entry says of this world: several where the values of a label are known; none where it says nothing.

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
                why = f"the label {label} stands in match.labels too"
            yield from self._entry(_without_name(written), (f"name: {written.fields['name']}: {why}",))
            return
        if self.labels.is_single:
            # A value that is one plain segment is what our {group} stands for.
            for entry in self._entry(written):
                yield replace(entry, is_narrow=not self.labels.are_all_known)
        elif not self.labels.are_all_known:
            why = f"name: {written.fields['name']}: values of the label {label} that other sources give"
            yield from self._entry(_without_name(written), (why,))
        for value in sorted(self.labels.known.get(label, ())):
            if not (self.labels.is_single and _is_plain(value)):
                yield from self._entry_of_values(written, {label: value})

    def _entries_of_several(self, written: Written, names: Sequence[str]) -> Iterator[Entry]:
        """The entries for a name with several labels in it: one for each choice of their values."""
        known = [sorted(self.labels.known.get(label, ())) for label in names]
        why = ""
        if self.labels.has_anonymous:
            why = "callers without credentials have labels there, and are in no group here"
        elif both := [label for label in names if label in written.labels]:
            why = f"the label {both[0]} stands in match.labels too"
        elif not self.labels.are_all_known:
            why = f"values of the labels {', '.join(names)} that other sources give"
        elif prod(map(len, known)) > _MAX_CHOICES:
            why = f"the labels {', '.join(names)} have more than {_MAX_CHOICES} choices of values"
        if why:
            yield from self._entry(_without_name(written), (f"name: {written.fields['name']}: {why}",))
            return
        for values in product(*known):
            yield from self._entry_of_values(written, dict(zip(names, values, strict=True)))

    def _entry_of_values(self, written: Written, values: Mapping[str, str]) -> Iterator[Entry]:
        """The entry for users with these values of labels, which docker_auth puts in as they are."""
        text = re.sub(r"\$\{labels:([^{}]+)\}", lambda found: values[found[1]], written.fields["name"])
        try:
            yield from self._entry(replace(written, fields={**written.fields, "name": text}), values=values)
        except ValueError:
            return  # no regular expression with this value in it: it matches nothing there

    def _entry(
        self, written: Written, also: tuple[str, ...] = (), *, values: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[Entry]:
        unsayable = [*also, *(f"{key}: no key that docker_auth knows" for key in written.unknown)]
        patterns: dict[str, Pattern] = {}
        for key, text in written.fields.items():
            if key != "ip" and (key != "account" or text != "${account}"):  # which is always so
                self._parse(key, text, patterns, unsayable, domain=domain_of(written.fields.get("account", "")))
        if not self._is_of_this_type(patterns, unsayable) or not self._is_of_this_name(patterns, unsayable):
            return
        account = patterns.get("account")
        if account is not None and account.has_placeholder:
            unsayable.append(f"account: {account.text}: a placeholder")
            account = None
        labels = self._labels(written, unsayable) | {label: exactly(value) for label, value in values.items()}
        network = parse_network(written.fields["ip"]) if "ip" in written.fields else None
        yield Entry(
            line=written.line,
            account=account,
            name=patterns.get("name"),
            labels=MappingProxyType(labels),
            network=network,
            allowed=self.world.granted(written.actions),
            comment=written.comment,
            unsayable=tuple(unsayable),
        )

    def _is_of_this_type(self, patterns: dict[str, Pattern], unsayable: list[str]) -> bool:
        for key, fixed in (("type", self.world.type), ("service", self.service)):
            pattern = patterns.pop(key, None)
            if pattern is None:
                continue
            if fixed is None:
                unsayable.append(f"service: {pattern.text}: say with --service whom tokens are for")
            elif pattern.has_placeholder:
                unsayable.append(f"{key}: {pattern.text}: it depends on who asks")
            elif not pattern.matches(fixed):
                return False
        return True

    def _is_of_this_name(self, patterns: dict[str, Pattern], unsayable: list[str]) -> bool:
        """Whether a name that is the only one of its type can match; it is not asked for again then."""
        if self.world.name is None or (name := patterns.pop("name", None)) is None:
            return True
        if not name.has_placeholder:
            return name.matches(self.world.name)
        if not name.needs("/"):
            unsayable.append(f"name: {name.text}: a placeholder, where the catalog is asked for")
        return not name.needs("/")

    def _labels(self, written: Written, unsayable: list[str]) -> dict[str, Pattern]:
        labels: dict[str, Pattern] = {}
        for key, text in written.labels.items():
            self._parse(key, text, labels, unsayable)
            if key in labels and (why := self.labels.why_unsayable(key, labels[key])):
                unsayable.append(f"labels: {key}: {why}")
                del labels[key]
        return labels

    def _parse(
        self, key: str, text: str, into: dict[str, Pattern], unsayable: list[str], *, domain: str | None = None
    ) -> None:
        known = {"type": self.world.type} | ({} if self.service is None else {"service": self.service})
        try:
            into[key] = parse_pattern(text, known=known, domain=domain)
        except Unsayable as exc:
            unsayable.append(f"{key}: {exc}")


def parse_network(text: str) -> str:
    """A network as our conditions take it: docker_auth passes over what stands behind the mask. Raises ValueError."""
    network = ip_network(text, strict=False)
    if isinstance(network, IPv6Network) and (mapped := network.network_address.ipv4_mapped) is not None:
        return str(ip_network(f"{mapped}/{max(network.prefixlen - 96, 0)}", strict=False))
    return str(network)


def _without_name(written: Written) -> Written:
    return replace(written, fields={key: text for key, text in written.fields.items() if key != "name"})


def labels_in(text: str) -> tuple[str, ...]:
    """The labels whose values are put into a text."""
    return tuple(re.findall(r"\$\{labels:([^{}]+)\}", text))


def _is_plain(value: str) -> bool:
    """Whether a value is the same put into a glob, into a regular expression and in the place of {group}."""
    return placeable_name(value) is not None and "." not in value
