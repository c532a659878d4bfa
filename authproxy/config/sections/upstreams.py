"""`upstreams`: several registries behind this edge, the core perhaps among them. All of it is ours."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeAlias

from pydantic import model_validator

from authproxy.config.document.messages import conflict
from authproxy.config.document.scalars import Boolean, typed
from authproxy.config.document.schema import Section, fields_of
from authproxy.config.sections.upstream import Upstream, Urls
from authproxy.errors import NameInvalid
from authproxy.reference import parse_repository

if TYPE_CHECKING:
    from authproxy.config.settings import Settings

EVERYTHING = "**"
_BELOW = "/**"


def parse_match(text: str) -> str:
    """Check a `match`: `**`, or the name of a repository with `/**` behind. Raises ValueError."""
    if text == EVERYTHING or (text.endswith(_BELOW) and _is_repository(text.removesuffix(_BELOW))):
        return text
    raise ValueError(f'"{text[:100]}" matches no repository; allowed: team/**, which is team and all below it, or **')


def parse_prefix(text: str) -> str:
    """Check what names begin with: whole components with a slash behind, `library/`. Raises ValueError."""
    if text.endswith("/") and _is_repository(text.removesuffix("/")):
        return text
    raise ValueError(
        f'"{text[:100]}" is nothing that names begin with; allowed: lower case and a slash behind: mirror/'
    )


def _is_repository(name: str) -> bool:
    try:
        parse_repository(name)
    except NameInvalid:
        return False
    return True


Match: TypeAlias = Annotated[str, typed(str, parse_match)]
Prefix: TypeAlias = Annotated[str, typed(str, parse_prefix)]


class Rename(Section):
    """What a repository is called behind this edge. Clients never see that name."""

    strip: Prefix | None = None
    """What is taken off the beginning of a name, `library/`; every repository that `match` takes has to begin with it.
    Default: nothing."""

    add: Prefix | None = None
    """What is put before the name then: `mirror/`. Default: nothing."""


class Matching(Section):
    """The key that an entry begins with."""

    match: Match
    """The repositories: `team/**` is `team` and every repository below it, `**` is all. Of several that match, the
    longest counts. A repository that none matches is unknown here."""


class UpstreamEntry(Upstream, Matching):
    """Which repositories, and what holds them: `url` with any key of `upstream`, or `backend: core`."""

    # In place of Upstream's own, which is needed: an entry of the core has none.
    url: Urls = ""
    """Scheme, host and port of a registry, or a list of them, as in `upstream.url`. Default: none, and `backend` is
    `core`."""

    backend: Literal["core"] | None = None
    """`core`: our own registry, which keeps its content in `storage`. Default: the registry at `url`."""

    rename: Rename = Rename()

    catalog: Boolean = True
    """Whether the names of its repositories are in `_catalog`. Default `true`; where it has none to ask, `_catalog` is
    502 then. A public registry has a catalog for nobody: write `false`."""

    @property
    def base(self) -> str:
        """The repository below which all that match are: `team` of `team/**`, and "" of `**`."""
        return self.match.removesuffix(EVERYTHING).rstrip("/")

    def as_upstream(self) -> Self:
        """The same without what is about names: entries that are equal then are one and the same registry."""
        return self.model_copy(update={"match": EVERYTHING, "rename": Rename(), "catalog": True})

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if bool(self.url) == bool(self.backend):
            raise conflict("one place an entry; write either url: http://… or backend: core", ("match",))
        in_vain = [
            (key,)
            for key, field in fields_of(type(self)).items()
            if key not in ("match", "backend", "rename", "catalog")
            and getattr(self, key) != field.get_default(call_default_factory=True)
        ]
        if self.backend and in_vain:
            raise conflict("this is about another registry, not about our core; remove it", *in_vain, ("backend",))
        return self

    @model_validator(mode="after")
    def _strips_what_is_there(self) -> Self:
        strip = self.rename.strip
        if strip and not f"{self.base}/".startswith(strip):
            raise conflict(
                f"not every repository that is matched begins with {strip}; match: {strip}** does",
                ("match",),
                ("rename", "strip"),
            )
        return self


def _check_entries(entries: Sequence[UpstreamEntry]) -> None:
    """Raise the error of a configuration in which two entries match the same."""
    seen: dict[str, int] = {}
    for place, entry in enumerate(entries):
        if entry.match in seen:
            raise conflict(
                f"both match {entry.match}; remove one, or match less with it",
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
