"""`upstreams`: several registries behind this edge; one may be the core. All of it is ours."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeAlias

from pydantic import model_validator

from authproxy.config.document.messages import conflict
from authproxy.config.document.scalars import Boolean, typed
from authproxy.config.document.schema import Section, fields_of
from authproxy.config.sections.upstream import Upstream, Urls
from authproxy.reference import is_repository

if TYPE_CHECKING:
    from authproxy.config.settings import Settings

EVERYTHING = "**"
_BELOW = "/**"


def parse_match(text: str) -> str:
    """Check a `match`: `**`, or the name of a repository followed by `/**`. Raises ValueError."""
    if text == EVERYTHING or (text.endswith(_BELOW) and is_repository(text.removesuffix(_BELOW))):
        return text
    raise ValueError(f'"{text[:100]}" matches no repository; allowed: team/**, which is team and all below it, or **')


def parse_prefix(text: str) -> str:
    """Check a prefix of names: whole components followed by a slash, `library/`. Raises ValueError."""
    if text.endswith("/") and is_repository(text.removesuffix("/")):
        return text
    raise ValueError(
        f'"{text[:100]}" is not a prefix of names; allowed: lower case with a slash at the end, such as mirror/'
    )


Match: TypeAlias = Annotated[str, typed(str, parse_match)]
Prefix: TypeAlias = Annotated[str, typed(str, parse_prefix)]


class Rename(Section):
    """The name of a repository behind this edge. Clients never see that name."""

    strip: Prefix | None = None
    """The prefix to remove from a name, such as `library/`; every repository of `match` must begin with it. Default:
    none."""

    add: Prefix | None = None
    """The prefix to add then, such as `mirror/`. Default: none."""


class Matching(Section):
    """The key that an entry begins with."""

    match: Match
    """The repositories: `team/**` is `team` and every repository below it, `**` is all. If several match, the longest
    counts. A repository without a match is unknown here."""


class UpstreamEntry(Upstream, Matching):
    """Some repositories, and their backend: `url` with any key of `upstream`, or `backend: core`."""

    # Overrides Upstream's, which is required: an entry of the core has no URL.
    url: Urls = ""
    """Scheme, host and port of a registry, or a list of them, as in `upstream.url`. Default: none, for `backend:
    core`."""

    backend: Literal["core"] | None = None
    """`core`: our own registry, which keeps its content in `storage`. Default: the registry at `url`."""

    rename: Rename = Rename()

    catalog: Boolean = True
    """Whether `_catalog` includes the names of its repositories. Default `true`; if the registry has no catalog,
    `_catalog` then gets a 502. Public registries have no catalog: write `false`."""

    @property
    def base(self) -> str:
        """The repository at the root of the matching ones: `team` for `team/**`, "" for `**`."""
        return self.match.removesuffix(EVERYTHING).rstrip("/")

    def as_upstream(self) -> Self:
        """The same without the keys about names: entries that are then equal are one registry."""
        return self.model_copy(update={"match": EVERYTHING, "rename": Rename(), "catalog": True})

    @model_validator(mode="after")
    def _check_backend(self) -> Self:
        if bool(self.url) == bool(self.backend):
            raise conflict("one backend per entry; write either url: http://… or backend: core", ("match",))
        unused = [
            (key,)
            for key, field in fields_of(type(self)).items()
            if key not in ("match", "backend", "rename", "catalog")
            and getattr(self, key) != field.get_default(call_default_factory=True)
        ]
        if self.backend and unused:
            raise conflict("this is for another registry, not for the core; remove it", *unused, ("backend",))
        return self

    @model_validator(mode="after")
    def _check_strip(self) -> Self:
        strip = self.rename.strip
        if strip and not f"{self.base}/".startswith(strip):
            raise conflict(
                f"not every matching repository begins with {strip}; write match: {strip}**",
                ("match",),
                ("rename", "strip"),
            )
        return self


def _check_entries(entries: Sequence[UpstreamEntry]) -> None:
    """Raise a conflict if two entries match the same."""
    seen: dict[str, int] = {}
    for place, entry in enumerate(entries):
        if entry.match in seen:
            raise conflict(
                f"both match {entry.match}; remove one, or make it match less",
                ("upstreams", seen[entry.match], "match"),
                ("upstreams", place, "match"),
            )
        seen[entry.match] = place


def keeps_in_storage(entries: Sequence[UpstreamEntry]) -> bool:
    """Whether the core is among them."""
    return any(entry.backend == "core" for entry in entries)


def check_upstreams(settings: "Settings") -> None:
    """`upstreams` excludes `upstream`, and no two entries match the same."""
    if settings.upstream is not None and settings.upstreams:
        raise conflict(
            "these exclude each other; write the first as an entry of the other, with match: '**'",
            ("upstream",),
            ("upstreams",),
        )
    _check_entries(settings.upstreams)
