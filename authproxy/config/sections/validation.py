"""`validation`, `policy`, `catalog`, `tags`: what is accepted and how long lists are, CNCF Distribution's sections."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from authproxy.config.document.regex import Pattern
from authproxy.config.document.scalars import Boolean, Integer
from authproxy.config.document.schema import Section

# CNCF Distribution's default for both, also used instead of 0 and less.
LONGEST_PAGE = 1000


def _in_lower_case(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


PageLength = Annotated[Integer, AfterValidator(lambda value: value if value > 0 else LONGEST_PAGE)]


class Urls(Section):
    """URLs in manifests, of layers that are stored elsewhere. Without these lists all are allowed.

    CNCF Distribution then allows none.
    """

    allow: tuple[Pattern, ...] = ()
    """Regular expressions (RE2), one of which a URL must match, anywhere in it unless anchored. Default: none, which
    allows everything that is not denied."""

    deny: tuple[Pattern, ...] = ()
    """Regular expressions, none of which a URL may match. Default: none."""


class Platform(Section):
    """A platform, as an index has it."""

    architecture: str
    """The architecture: `amd64`."""

    os: str
    """The operating system: `linux`."""


class Indexes(Section):
    """What the registry must have before it accepts an index (an image of several platforms)."""

    platforms: Annotated[Literal["all", "none", "list"], BeforeValidator(_in_lower_case)] = "all"
    """Which of its images: `all`, `none`, or those for the platforms of `platformlist` (`list`). Default `all`."""

    platformlist: tuple[Platform, ...] = ()
    """The platforms of `platforms: list`. Default: none."""


class Manifests(Section):
    """What a manifest must meet to be accepted."""

    urls: Urls = Urls()

    indexes: Indexes = Indexes()


class Validation(Section):
    """Checks of pushed manifests. Whether the registry has the blobs of an image is always checked."""

    disabled: Boolean = False
    """Whether the rest of this section has no effect: any URL is allowed, and none of an index's images is required.
    Default `false`."""

    enabled: Boolean = False
    """The old opposite of `disabled`; `true` overrides it. Default `false`, without effect."""

    manifests: Manifests = Manifests()

    @property
    def is_on(self) -> bool:
        """Whether the rules of the section are in force."""
        return self.enabled or not self.disabled


class RepositoryPolicy(Section):
    """What repositories may contain."""

    classes: tuple[str, ...] = ()
    """The allowed kinds of images, by the media type of their configuration: `image`, `plugin`. Default: none, which
    allows all."""


class Policy(Section):
    """What any caller may push. `policies` say who may do what."""

    repository: RepositoryPolicy = RepositoryPolicy()


class Catalog(Section):
    """The list of all repositories."""

    maxentries: PageLength = LONGEST_PAGE
    """The maximum of repositories in one request; a request for more is an error. Default 1000, also instead of 0 and
    less."""


class Tags(Section):
    """The list of the tags of a repository."""

    maxtags: PageLength = LONGEST_PAGE
    """The maximum length of a page of tags, if a page is requested; a longer one is cut, with a link to the next.
    Default 1000, also instead of 0 and less."""
