"""An operator's decisions about the core, as values: what it accepts, how long its lists are. No I/O, no settings."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

from authproxy.oci.manifest import Platform
from authproxy.route import Kind


class Pattern(Protocol):
    """A compiled regular expression. For texts from clients it should run in linear time, as RE2's do."""

    def search(self, text: str, /) -> object | None:
        """A true value if the expression matches anywhere in the text."""


@dataclass(frozen=True, slots=True)
class ManifestRules:
    """What a manifest must fulfil to be accepted: CNCF Distribution's `validation` and `policy.repository`.

    That the repository holds an image's own blobs is always required, as in CNCF Distribution.
    """

    enabled: bool = True
    """False (`validation.disabled`): the fields about urls and indexes below are ignored; every url is allowed, and an
    index needs none of its entries."""

    index_platforms: Literal["all", "none", "list"] = "all"
    """Which entries of an index the repository must hold: all, none, or those for the platforms of `platform_list`."""

    platform_list: tuple[Platform, ...] = ()
    """The platforms where `index_platforms` is "list". Empty: all, as in CNCF Distribution."""

    allowed_urls: tuple[Pattern, ...] | None = None
    """Each url of a layer must match one of these. None: any http or https url is allowed. Empty: none is."""

    denied_urls: tuple[Pattern, ...] = ()
    """A url of a layer must match none of these."""

    classes: frozenset[str] | None = None
    """The classes of images that are accepted ("image", "plugin"), given by the media type of the config. None: all,
    including images without a class."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The core's rules for every caller."""

    delete_enabled: bool = False
    """Manifests, tags and blobs can be deleted (`storage.delete.enabled`). Upload sessions always can be."""

    read_only: bool = False
    """Every write is refused; pulls still work (`storage.maintenance.readonly`)."""

    max_catalog_entries: int = 1000
    """The largest `n` of the catalog; a larger one is an error (`catalog.maxentries`; CVE-2023-2253)."""

    max_tags: int = 1000
    """The longest page of tags; a larger `n` is reduced to it (`tags.maxtags`)."""

    manifests: ManifestRules = field(default_factory=ManifestRules)
    """What a manifest must fulfil."""

    def refusal(self, kind: Kind, method: str) -> str | None:
        """Why this registry refuses such a request from every caller, as a message for the client. None: it doesn't."""
        if method in ("GET", "HEAD"):
            return None
        if self.read_only:
            return "the registry is read-only for maintenance; pulls still work (storage.maintenance.readonly)"
        if method == "DELETE" and kind is not Kind.UPLOAD and not self.delete_enabled:
            return "deleting is disabled (storage.delete.enabled)"
        return None
