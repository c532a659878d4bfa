"""What an operator decides about the core, as values: what it takes, how long its lists are. No I/O, no settings."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

from authproxy.oci.manifest import Platform
from authproxy.route import Kind


class Pattern(Protocol):
    """A compiled regular expression. One that strangers' texts meet should run in linear time, as RE2's do."""

    def search(self, text: str, /) -> object | None:
        """Something true where the expression matches anywhere in the text."""


@dataclass(frozen=True, slots=True)
class ManifestRules:
    """What a manifest must be before it is taken: CNCF Distribution's `validation` and `policy.repository`.

    That an image's own blobs are here is no rule of these: it always holds, in CNCF Distribution too.
    """

    enabled: bool = True
    """False (`validation.disabled`): the fields about urls and indexes below say nothing; every url is allowed, and no
    entry of an index has to be here."""

    index_platforms: Literal["all", "none", "list"] = "all"
    """Which entries of an index have to be here: all, none, or those for the platforms of `platform_list`."""

    platform_list: tuple[Platform, ...] = ()
    """Where `index_platforms` is "list": these. Empty: all, as in CNCF Distribution."""

    allowed_urls: tuple[Pattern, ...] | None = None
    """A url of a layer has to match one of these. None: any http or https url. Empty: none."""

    denied_urls: tuple[Pattern, ...] = ()
    """And none of these."""

    classes: frozenset[str] | None = None
    """The classes of images that are taken ("image", "plugin"), told by the media type of their config. None: all,
    those of no class included."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the core does for every caller."""

    delete_enabled: bool = False
    """Manifests, tags and blobs can be deleted (`storage.delete.enabled`). Upload sessions always can be."""

    read_only: bool = False
    """Every write is refused, pulls go on (`storage.maintenance.readonly`)."""

    max_catalog_entries: int = 1000
    """The largest `n` of the catalog; a larger one is an error (`catalog.maxentries`; CVE-2023-2253)."""

    max_tags: int = 1000
    """The longest page of tags; one that is asked to be longer is this long (`tags.maxtags`)."""

    manifests: ManifestRules = field(default_factory=ManifestRules)
    """What a manifest must be."""

    def refusal(self, kind: Kind, method: str) -> str | None:
        """Why this registry takes no such request from anybody: a sentence for the client. None: it does take it."""
        if method in ("GET", "HEAD"):
            return None
        if self.read_only:
            return "the registry is read-only for maintenance; pulls go on (storage.maintenance.readonly)"
        if method == "DELETE" and kind is not Kind.UPLOAD and not self.delete_enabled:
            return "deleting is disabled (storage.delete.enabled)"
        return None
