"""zot's `storage.retention` → entries of retention that never remove more.

"storage": {
  "gcDelay": "1h",
  "retention": {
    "dryRun": false, "delay": "24h",
    "policies": [{
      "repositories": ["infra/*"], "deleteReferrers": false, "deleteUntagged": true,
      "keepTags": [{"patterns": ["v2.*"], "mostRecentlyPushedCount": 10, "mostRecentlyPulledCount": 10,
                    "pushedWithin": "720h", "pulledWithin": "720h"}]
    }]
  },
  "subPaths": {"/a": {"retention": …}}
}

In zot the first policy with a matching glob decides about a repository, so each entry excepts those before it. Without
`keepTags` all tags stay. An item keeps the tags that match one of its patterns and meet one of its criteria; patterns
are regular expressions, searched. What cannot be expressed keeps everything that it could be about.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from authproxy.config.document.scalars import format_duration, parse_bool, parse_duration, parse_int
from authproxy.config.document.tree import Document, Entry, MapNode, Node
from authproxy.importing.docker_auth.pattern import Inexpressible
from authproxy.importing.imported import ImportedRetention, one_line
from authproxy.importing.nodes import entries_of, items_of, text_of, texts_of, value_of
from authproxy.importing.plain_regex import parse_plain_regex
from authproxy.importing.report import Kind, Remark
from authproxy.importing.shapes import Shape, Wild, is_literal
from authproxy.importing.zot.doublestar import ZotGlob, literal_head
from authproxy.policy.glob import Glob, GlobInvalid
from authproxy.policy.glob_containment import covers, may_meet
from authproxy.policy.retention_schema import MAX_COUNT, MIN_AGE
from authproxy.policy.tags import TagGlob
from authproxy.reference import is_repository

# zot's default for `gcDelay`.
_GC_DELAY = "1h"
# By zot's keys, in lower case.
_AGES = {"pushedwithin": "pushed-within", "pulledwithin": "pulled-within"}
_COUNTS = {"mostrecentlypushedcount": "newest", "mostrecentlypulledcount": "last-pulled"}
_OF_POLICY = ("repositories", "deletereferrers", "deleteuntagged", "keeptags", "keepuntagged")
_OF_RETENTION = ("dryrun", "delay", "policies")
_ALL_TAGS: Mapping[str, Any] = {"tags": ["*"]}


@dataclass(slots=True)
class _Scope:
    """The repositories of one image store, and what earlier policies there have decided about."""

    within: Glob | None = None  # of a subPath; None: all
    decided: list[Glob] = field(default_factory=list)
    is_open: bool = True  # False: what an earlier policy is about is unknown


class _Writer:
    """Converts the policies of one configuration and collects findings."""

    def __init__(self, file: str) -> None:
        self.entries: list[ImportedRetention] = []
        self.findings: list[Remark] = []
        self._file = file

    def write(self, storage: Mapping[str, Entry]) -> None:
        """All image stores of the section `storage`."""
        main = _Scope()
        subs: list[tuple[_Scope, Mapping[str, Entry]]] = []
        for route, entry in entries_of(value_of(dict(storage), "subpaths"), "subPaths").items():
            name = route.strip("/")
            if "/" in name or not is_repository(name):
                self._add(entry.place.line, Kind.LEFT, f"subPaths: {route} is not one segment of a repository's name")
                continue
            scope = _Scope(within=Glob.parse(f"{name}/*/**"))
            main.decided.append(Glob.parse(f"{name}/*/**"))
            subs.append((scope, _keys(entry.value, "subPaths")))
        self._store(main, storage)
        for scope, keys in subs:
            self._store(scope, keys)

    def _store(self, scope: _Scope, storage: Mapping[str, Entry]) -> None:
        if "retention" not in storage:
            return
        keys = _keys(storage["retention"].value, "retention")
        self._unread(keys, _OF_RETENTION, "retention")
        is_dry = self._flag(keys, "dryrun", default=False)
        if not self._flag(storage, "gc", default=True):
            self._add(storage["gc"].place.line, Kind.LEFT, "gc is false, so nothing is removed: imported with dry-run")
            is_dry = True
        delay = self._delay(storage, keys)
        for node in items_of(value_of(dict(keys), "policies"), "policies"):
            self._policy(scope, node, delay, is_dry=is_dry)

    def _policy(self, scope: _Scope, node: Node, delay: str, *, is_dry: bool) -> None:
        keys, line = _keys(node, "policies"), node.place.line
        self._unread(keys, _OF_POLICY, "policies")
        if self._flag(keys, "deletereferrers", default=False):
            text = "deleteReferrers: what refers to missing manifests is the garbage collector's here"
            self._add(line, Kind.LEFT, text)
        earlier, was_open = list(scope.decided), scope.is_open
        repositories = list(self._repositories(scope, keys, line))
        if not was_open:
            self._add(
                line, Kind.LEFT, "removes nothing here: an earlier policy, which has no equivalent, could be first"
            )
            return
        keep = list(self._keep(keys, line))
        untagged = list(self._untagged(keys, delay))
        if not repositories or (keep == [_ALL_TAGS] and not untagged):
            return
        self.entries.append(
            ImportedRetention(
                name=f"{self._file} line {line}",
                description=f"From line {line} of {self._file}.",
                repositories=tuple(map(str, repositories)),
                excepted=tuple(
                    dict.fromkeys(str(one) for one in earlier if any(may_meet(one, ours) for ours in repositories))
                ),
                keep=tuple(keep),
                untagged=tuple(untagged),
                is_dry=is_dry,
            )
        )

    def _repositories(self, scope: _Scope, keys: Mapping[str, Entry], line: int) -> Iterator[Glob]:
        """The repositories of a policy; marks them as decided for the policies after it."""
        texts = texts_of(value_of(dict(keys), "repositories"), "repositories")
        if not texts:
            self._add(
                line, Kind.LEFT, "has no repositories, which versions of zot read differently: removes nothing here"
            )
            scope.is_open = False
        for text in texts:
            try:
                globs = ZotGlob.parse(text).globs
            except Inexpressible:
                globs = None
            if globs is None:
                self._add(line, Kind.LEFT, f"{text} has no equivalent: nothing is removed there")
                head = literal_head(text)
                try:
                    scope.decided.append(Glob.parse(f"{head}*/**"))
                except GlobInvalid:
                    scope.is_open = False
                continue
            if not globs:
                self._add(line, Kind.NOTHING, f"{text} matches no repository's name")
            earlier = list(scope.decided)
            for glob in globs:
                if any(covers(one, glob) for one in earlier):
                    self._add(line, Kind.NOTHING, f"{glob} never decides: what is before it matches all of it")
                else:
                    yield from self._within(scope, glob, line)
                scope.decided.append(glob)

    def _within(self, scope: _Scope, glob: Glob, line: int) -> Iterator[Glob]:
        if scope.within is None or covers(scope.within, glob):
            yield glob
        elif covers(glob, scope.within):
            yield scope.within
        elif may_meet(scope.within, glob):
            self._add(line, Kind.LEFT, f"{glob} reaches beyond its subPath {scope.within}: nothing is removed there")
        else:
            self._add(line, Kind.NOTHING, f"{glob} matches nothing in its subPath {scope.within}")

    def _keep(self, keys: Mapping[str, Entry], line: int) -> Iterator[Mapping[str, Any]]:
        items = items_of(value_of(dict(keys), "keeptags"), "keepTags")
        if not items:
            yield _ALL_TAGS
            return
        found = [kept for item in items for kept in self._item(item)]
        if not found:
            self._add(
                line, Kind.LEFT, "keepTags keeps nothing, so zot removes all tags: here all stay; write what stays"
            )
            found = [_ALL_TAGS]
        yield from found

    def _item(self, node: Node) -> Iterator[Mapping[str, Any]]:
        keys, line = _keys(node, "keepTags"), node.place.line
        self._unread(keys, ("patterns", *_AGES, *_COUNTS), "keepTags")
        tags, is_exact = self._tags(keys, line)
        if tags == []:
            return
        narrowed = {"tags": tags} if tags else {}
        criteria = list(self._criteria(keys))
        if not criteria and not _has_criteria(keys):
            yield narrowed or _ALL_TAGS
        elif not is_exact and any(name in _COUNTS.values() for one in criteria for name in one):
            # The newest of more tags need not contain the newest of these.
            if tags:
                text = "its patterns have no exact equivalent, so its counts don't limit what is kept"
                self._add(line, Kind.LEFT, text)
            yield narrowed or _ALL_TAGS
        else:
            for criterion in criteria:
                yield (narrowed or _ALL_TAGS) if criterion is _ALL_TAGS else {**criterion, **narrowed}

    def _criteria(self, keys: Mapping[str, Entry]) -> Iterator[Mapping[str, Any]]:
        for key, ours in _COUNTS.items():
            if key in keys:
                yield from self._count(keys[key], key, ours)
        for key, ours in _AGES.items():
            if key in keys:
                age = self._age(keys[key], key)
                yield _ALL_TAGS if age is None else {ours: age}

    def _count(self, entry: Entry, key: str, ours: str) -> Iterator[Mapping[str, Any]]:
        try:
            count = parse_int(text_of(entry.value, key))
        except ValueError:
            count = -1
        if 0 < count <= MAX_COUNT:
            yield {ours: count}
        elif count != 0:  # 0 is the same as none
            self._add(entry.place.line, Kind.LEFT, f"{key}: not a number that is read here, so it keeps all")
            yield _ALL_TAGS

    def _age(self, entry: Entry, key: str) -> str | None:
        """The age as ours; None: it could not be read."""
        try:
            age = parse_duration(text_of(entry.value, key))
        except ValueError:
            self._add(entry.place.line, Kind.LEFT, f"{key}: not a duration that is read here, so it keeps all")
            return None
        return format_duration(max(age, MIN_AGE))

    def _untagged(self, keys: Mapping[str, Entry], delay: str) -> Iterator[Mapping[str, Any]]:
        if not self._flag(keys, "deleteuntagged", default=True):
            return
        more = list(self._criteria(_keys(value_of(dict(keys), "keepuntagged"), "keepUntagged")))
        if any(item is _ALL_TAGS for item in more):
            return  # one that keeps all
        yield {"pushed-within": delay}
        yield from more

    def _delay(self, storage: Mapping[str, Entry], retention: Mapping[str, Entry]) -> str:
        for keys, key in ((retention, "delay"), (storage, "gcdelay")):
            if key in keys and (delay := self._age(keys[key], key)) is not None:
                return delay
        return _GC_DELAY

    def _tags(self, keys: Mapping[str, Entry], line: int) -> tuple[list[str] | None, bool]:
        """The globs for the patterns of an item, and whether they are exact. None: all tags; empty: no tag."""
        patterns = texts_of(value_of(dict(keys), "patterns"), "patterns")
        if not patterns:
            return None, True
        globs: list[str] = []
        is_exact = True
        for pattern in patterns:
            shapes = parse_plain_regex(pattern)
            if shapes is None:
                self._add(line, Kind.LEFT, f"the pattern {pattern} has no equivalent: all tags count as matching")
                return None, False
            found = [glob for shape in shapes if (glob := _to_tag_glob(shape)) is not None]
            if not found:
                self._add(line, Kind.NOTHING, f"the pattern {pattern} matches no tag")
            is_exact = is_exact and not any(token in (Wild.SOME, Wild.PLUS) for shape in shapes for token in shape)
            globs += found
        return list(dict.fromkeys(globs)), is_exact

    def _flag(self, keys: Mapping[str, Entry], key: str, *, default: bool) -> bool:
        if key not in keys:
            return default
        text = text_of(keys[key].value, key)
        try:
            return parse_bool(text)
        except ValueError:
            self._add(keys[key].place.line, Kind.LEFT, f"{key}: neither true nor false; read as {str(default).lower()}")
            return default

    def _unread(self, keys: Mapping[str, Entry], known: tuple[str, ...], where: str) -> None:
        for key, entry in keys.items():
            if key not in known:
                text = f"{where}.{key}: a key that is ignored here: check what it means for retention"
                self._add(entry.place.line, Kind.LEFT, text)

    def _add(self, line: int, kind: Kind, sentence: str) -> None:
        self.findings.append(Remark(line, kind, one_line(sentence)))


def read_retention(document: Document, file: str) -> tuple[tuple[ImportedRetention, ...], tuple[Remark, ...]]:
    """The entries of retention of a configuration, and the findings. Raises DocumentError."""
    if not isinstance(document.root, MapNode):
        return (), ()
    writer = _Writer(file)
    writer.write(_keys(value_of(_keys(document.root, "the file"), "storage"), "storage"))
    return tuple(writer.entries), tuple(writer.findings)


def _has_criteria(keys: Mapping[str, Entry]) -> bool:
    """Whether an item has a criterion: a count of 0 is none."""
    return any(key in keys for key in _AGES) or any(
        key in keys and text_of(keys[key].value, key).strip("0") for key in _COUNTS
    )


def _to_tag_glob(shape: Shape) -> str | None:
    """A glob that matches at least what a shape does; None: no tag matches it."""
    text = re.sub(r"\*+", "*", "".join(str(token) if is_literal(token) else "*" for token in shape))
    if any("*" in str(token) for token in shape if is_literal(token)):
        return None  # no tag has a star
    try:
        return str(TagGlob.parse(text))
    except GlobInvalid:
        return None


def _keys(node: Node | None, key: str) -> dict[str, Entry]:
    """The entries of a map by lower-case key: zot ignores case."""
    return {name.lower(): entry for name, entry in entries_of(node, key).items()}
