"""The schema of an entry of retention in a policy file, and of its cases.

retention:
  - name: builds expire
    description: What is neither released nor used goes.   # optional
    on: {repositories: ["team/**"], except: ["team/base"], tags: ["*"]}   # except and tags are optional
    keep:                                     # any of these keeps an image
      - tags: ["v*", latest]
      - {newest: 10, tags: ["main-*"]}        # or last-pulled; tags is optional beside all but images
      - pushed-within: 30d
      - pulled-within: 30d
      - {images: /var/lib/authproxy/running.json, hosts: [registry.example.org]}   # hosts is optional
    untagged: [{pushed-within: 7d}]           # optional; without it untagged manifests stay
    dry-run: true                             # optional

retention-tests:
  - repository: team/app
    images: {v1: {pushed: 900d}, pr-7: {pushed: 60d, pulled: 50d}}
    untagged: {old: {pushed: 60d}}            # optional, under any names
    running: [registry.example.org/team/app:v2]   # optional: what every file of `images` has
    records-began: 90d                        # optional: how long ago
    removed: [pr-7, old]                      # all others are kept
    why: Builds expire.                       # optional
"""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from authproxy.config.document.scalars import parse_duration, parse_int
from authproxy.config.document.tree import Document
from authproxy.oci.image_name import is_host
from authproxy.policy.field_types import AtLeastOne, Entry, Flag, Globs, Line, Prose, TagGlobs, not_empty, one_text
from authproxy.policy.glob import Glob
from authproxy.policy.retention import Keep, KeepKind, RetentionRule
from authproxy.policy.retention_cases import CaseImage, RetentionCase
from authproxy.policy.running_images import RunningImages, RunningImagesUnusable, parse_running_images
from authproxy.reference import is_repository, parse_tag

# Shorter is a slip, such as 30m for thirty months.
MIN_AGE = timedelta(hours=1)
MAX_COUNT = 1_000_000

# Go's durations end at hours; ages are counted in days.
_DAYS = re.compile(r"([0-9]{1,5})([dw])")
_DAYS_IN = {"d": 1, "w": 7}


def parse_age(text: str) -> timedelta:
    """Read an age: `30d`, `8w`, or a duration such as `720h`. Raises ValueError."""
    if (match := _DAYS.fullmatch(text)) is not None:
        return timedelta(days=int(match[1]) * _DAYS_IN[match[2]])
    try:
        return parse_duration(text)
    except ValueError:
        raise ValueError(
            f'"{text[:50]}" is not an age; allowed: days, weeks or hours, such as 30d, 8w or 12h'
        ) from None


class Age(timedelta):
    """An age that remembers how it was written."""

    text: str


def _age(value: object) -> Age:
    text = one_text(value)
    parsed = parse_age(text)
    age = Age(days=parsed.days, seconds=parsed.seconds, microseconds=parsed.microseconds)
    age.text = text
    return age


def _long_age(value: object) -> Age:
    age = _age(value)
    if age < MIN_AGE:
        raise ValueError(f'"{age.text}" is too short; allowed: 1h or more, such as 30d')
    return age


def _past_age(value: object) -> Age:
    age = _age(value)
    if age < timedelta():
        raise ValueError(f'"{age.text}" is in the future; allowed: 0 or more')
    return age


def _count(value: object) -> int:
    count = parse_int(one_text(value))
    if not 1 <= count <= MAX_COUNT:
        raise ValueError(f'"{count}" is not such a number; allowed: 1 to {MAX_COUNT}')
    return count


def _without_placeholders(globs: tuple[Glob, ...]) -> tuple[Glob, ...]:
    for placeholder in (one for glob in globs for one in glob.placeholders):
        raise ValueError(f"{placeholder} has no value here: retention has no caller; allowed: * in its place")
    return globs


def _host(value: str) -> str:
    if not is_host(value):
        raise ValueError(f'"{value}" is not a host; allowed: a name or an address, with its port if images have one')
    return value


def _repository(value: str) -> str:
    if not is_repository(value):
        raise ValueError(f'"{value}" is not the name of a repository; allowed: one such as team/app')
    return value


def _case_tag(value: str) -> str:
    return parse_tag(value)


PlainGlobs: TypeAlias = Annotated[Globs, AfterValidator(_without_placeholders)]
Hosts: TypeAlias = Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], AfterValidator(not_empty), AtLeastOne]
LongAge: TypeAlias = Annotated[Age, PlainValidator(_long_age, json_schema_input_type=str)]
PastAge: TypeAlias = Annotated[Age, PlainValidator(_past_age, json_schema_input_type=str)]
Number: TypeAlias = Annotated[int, PlainValidator(_count, json_schema_input_type=int | str)]


class RetainedEntry(Entry):
    """The images that an entry of retention is about."""

    repositories: PlainGlobs
    """Globs over repository names, of which one must match, without placeholders."""
    excepted: PlainGlobs = Field(default=(), alias="except")
    """Globs over the repositories that the entry is not about."""
    tags: TagGlobs = ()
    """Globs over the tags that it is about; the others are not touched. Absent: all tags."""


class KeepEntry(Entry):
    """What keeps an image: tags, one of the other keys, or that key among the images with these tags."""

    tags: TagGlobs = ()
    """Globs over tags. Alone: what matches is kept. Beside another key: that key is about these tags only."""

    newest: Number | None = None
    """So many images that were pushed last."""
    last_pulled: Number | None = Field(default=None, alias="last-pulled")
    """So many images that were pulled last, and those that were pushed since."""
    pushed_within: LongAge | None = Field(default=None, alias="pushed-within")
    """Images that were pushed within this time, as 30d, 8w or 12h."""
    pulled_within: LongAge | None = Field(default=None, alias="pulled-within")
    """Images that were pulled or pushed within this time."""
    images: Line | None = None
    """Images that run: a file with their names, or the JSON of kubectl. Relative to the policy file's folder."""
    hosts: Hosts = ()
    """For `images`: this registry's names in the file. Absent: a name counts whichever registry it has."""

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        given = [kind for kind, value in self.values().items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} in one item: any item keeps an image; allowed: an item for each")
        if not given and not self.tags:
            raise ValueError(
                "this keeps nothing; allowed: tags, newest, last-pulled, pushed-within, pulled-within or images"
            )
        if self.hosts and self.images is None:
            raise ValueError("hosts is for the names in a file of running images; allowed: hosts beside images")
        if self.images is not None and self.tags:
            raise ValueError("what runs is kept whatever its tag; allowed: images without tags")
        return self

    def values(self) -> dict[KeepKind, Any]:
        """The value of each key that keeps by something other than the tag."""
        return {
            KeepKind.NEWEST: self.newest,
            KeepKind.LAST_PULLED: self.last_pulled,
            KeepKind.PUSHED_WITHIN: self.pushed_within,
            KeepKind.PULLED_WITHIN: self.pulled_within,
            KeepKind.IMAGES: self.images,
        }

    def to_keep(self, file: str, line: int) -> Keep:
        """The frozen value for decisions."""
        for kind, value in self.values().items():
            match value:
                case Age():
                    return Keep(kind, value.text, file, line, self.tags, within=value)
                case int():
                    return Keep(kind, str(value), file, line, self.tags, count=value)
                case str():
                    path = Path(file).parent / value
                    return Keep(kind, value, file, line, images=path, hosts=frozenset(self.hosts))
        return Keep(KeepKind.TAGS, "", file, line, self.tags)


class RetentionEntry(Entry):
    """One entry of retention: what is kept of some images; the others are removed."""

    name: Line
    """The name of the entry in explanations and in the log; unique in all files."""
    description: Prose = ""
    """The purpose of the entry, for its readers."""
    on: RetainedEntry
    """The images that the entry is about. An image that no entry is about is never touched."""
    keep: Annotated[tuple[KeepEntry, ...], AfterValidator(not_empty), AtLeastOne]
    """What keeps an image: any item of any entry that is about it."""
    untagged: Annotated[tuple[KeepEntry, ...], AfterValidator(not_empty), AtLeastOne] | None = None
    """The same for manifests without a tag that no other manifest names. Absent: these stay."""
    dry_run: Flag = Field(default=False, alias="dry-run")
    """What only this entry would remove is reported, and stays."""

    @model_validator(mode="after")
    def _check_untagged(self) -> Self:
        if self.untagged is not None and self.on.tags:
            raise ValueError("on.tags and untagged exclude each other; allowed: untagged in an entry without on.tags")
        if any(item.tags for item in self.untagged or ()):
            raise ValueError("tags in untagged: a manifest without a tag matches none; allowed: an item without tags")
        return self

    def to_rule(self, document: Document, index: int) -> RetentionRule:
        """The frozen value for decisions."""
        file, here = document.name, ("retention", index)

        def items(key: str, entries: tuple[KeepEntry, ...]) -> tuple[Keep, ...]:
            return tuple(
                entry.to_keep(file, document.line_of((*here, key, place))) for place, entry in enumerate(entries)
            )

        return RetentionRule(
            name=self.name,
            description=self.description,
            repositories=self.on.repositories,
            excepted=self.on.excepted,
            tags=self.on.tags,
            keep=items("keep", self.keep),
            untagged=None if self.untagged is None else items("untagged", self.untagged),
            is_dry=self.dry_run,
            file=file,
            line=document.line_of(here),
        )


class CaseImageEntry(Entry):
    """An image of a case. Without a time it is older than all records."""

    pushed: PastAge | None = None
    """How long ago it was pushed. Absent: unknown."""
    pulled: PastAge | None = None
    """How long ago it was last pulled. Absent: unknown, or never."""
    same_as: Line | None = Field(default=None, alias="same-as")
    """Another tag that points at the same manifest."""


def _running(value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        parse_running_images("".join(f"{name}\n" for name in value))
    except RunningImagesUnusable as exc:
        raise ValueError(str(exc)) from None
    return value


class RetentionCaseEntry(Entry):
    """One case: the images of a repository, and which of them are removed."""

    repository: Annotated[str, AfterValidator(_repository)]
    """The repository."""
    images: dict[Annotated[str, AfterValidator(_case_tag)], CaseImageEntry]
    """Its tags."""
    untagged: dict[Line, CaseImageEntry] = Field(default_factory=dict)
    """Its manifests without a tag, under any names that no tag of the case has."""
    running: Annotated[tuple[Line, ...], AfterValidator(_running)] = ()
    """The names that every file of running images has. Absent: nothing runs."""
    records_began: PastAge | None = Field(default=None, alias="records-began")
    """How long ago the records of pushes and pulls began. Absent: before all images."""
    removed: tuple[Line, ...]
    """Those that are removed, also if an entry has dry-run; all others must be kept. `[]`: none."""
    why: Prose = ""
    """The purpose of the case. A failure shows it."""

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if both := self.images.keys() & self.untagged.keys():
            raise ValueError(f'"{min(both)}" is in images and in untagged; allowed: another name in untagged')
        if unknown := set(self.removed) - self.images.keys() - self.untagged.keys():
            raise ValueError(f'removed: there is no "{min(unknown)}" in images or untagged')
        for name, image in {**self.images, **self.untagged}.items():
            if image.same_as is not None and image.same_as not in self.images:
                raise ValueError(f'same-as of "{name}": there is no "{image.same_as}" in images')
        return self

    def to_case(self, file: str, line: int) -> RetentionCase:
        """The frozen value to run."""
        images = [_to_image(name, entry, is_tag=True) for name, entry in self.images.items()]
        images += [_to_image(name, entry, is_tag=False) for name, entry in self.untagged.items()]
        running = RunningImages(frozenset(), frozenset())
        if self.running:
            running = parse_running_images("".join(f"{name}\n" for name in self.running))
        return RetentionCase(
            repository=self.repository,
            images=tuple(images),
            running=running,
            records_began=self.records_began,
            removed=frozenset(self.removed),
            why=self.why,
            file=file,
            line=line,
        )


def _to_image(name: str, entry: CaseImageEntry, *, is_tag: bool) -> CaseImage:
    return CaseImage(name, entry.same_as or name, is_tag=is_tag, pushed=entry.pushed, pulled=entry.pulled)
