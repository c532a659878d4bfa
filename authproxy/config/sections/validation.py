"""`validation`, `policy`, `catalog`, `tags`: what is taken and how much is shown, CNCF Distribution's sections."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from authproxy.config.document.regex import Pattern
from authproxy.config.document.scalars import Boolean, Integer
from authproxy.config.document.schema import Section

# CNCF Distribution's default for both, which it also takes in place of nothing and of less.
LONGEST_PAGE = 1000


def _in_lower_case(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


PageLength = Annotated[Integer, AfterValidator(lambda value: value if value > 0 else LONGEST_PAGE)]


class Urls(Section):
    """Addresses in manifests: layers that lie elsewhere. Without these lists they need no permission.

    CNCF Distribution takes none then.
    """

    allow: tuple[Pattern, ...] = ()
    """Regular expressions (RE2) of which an address has to match one, anywhere in it unless anchored. Default: none,
    which allows everything that is not denied."""

    deny: tuple[Pattern, ...] = ()
    """Regular expressions of which an address may match none. Default: none."""


class Platform(Section):
    """A platform as an index names it."""

    architecture: str
    """The architecture: `amd64`."""

    os: str
    """The operating system: `linux`."""


class Indexes(Section):
    """What must be here before an index (an image of several platforms) is taken."""

    platforms: Annotated[Literal["all", "none", "list"], BeforeValidator(_in_lower_case)] = "all"
    """Which of its images: `all`, `none`, or those for the platforms of `platformlist` (`list`). Default `all`."""

    platformlist: tuple[Platform, ...] = ()
    """The platforms of `platforms: list`. Default: none."""


class Manifests(Section):
    """What a manifest must be before it is taken."""

    urls: Urls = Urls()

    indexes: Indexes = Indexes()


class Validation(Section):
    """What is checked of a manifest that is pushed. That the blobs of an image are here is always checked."""

    disabled: Boolean = False
    """Whether the rest of this section says nothing: any address may be named, and no image of an index has to be here.
    Default `false`."""

    enabled: Boolean = False
    """The old opposite of `disabled`, which it outweighs where it is `true`. Default `false`, which says nothing."""

    manifests: Manifests = Manifests()

    @property
    def is_on(self) -> bool:
        """Whether the rules of the section hold."""
        return self.enabled or not self.disabled


class RepositoryPolicy(Section):
    """What repositories may hold."""

    classes: tuple[str, ...] = ()
    """Kinds of images, told by the media type of their configuration: `image`, `plugin`. Default: none, which allows
    all."""


class Policy(Section):
    """What may be pushed, by any caller. `policies` say who may do what."""

    repository: RepositoryPolicy = RepositoryPolicy()


class Catalog(Section):
    """The list of all repositories."""

    maxentries: PageLength = LONGEST_PAGE
    """The most repositories that may be asked for at once; asking for more is an error. Default 1000, also in place of
    0 and less."""


class Tags(Section):
    """The list of the tags of a repository."""

    maxtags: PageLength = LONGEST_PAGE
    """The longest page of tags where a page is asked for; a longer one is cut, with a link to the next. Default 1000,
    also in place of 0 and less."""
