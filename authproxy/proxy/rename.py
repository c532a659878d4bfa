"""Repositories that are called otherwise behind us than clients call them: the two ways between the names."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from authproxy.client_view import ClientView
from authproxy.errors import NameInvalid
from authproxy.proxy.location import replace_targets
from authproxy.reference import MAX_REPOSITORY_LENGTH, Repository

# What may stand beside a letter of a repository's name and be part of it (OCI Distribution 1.1, "Pulling manifests").
_OF_A_NAME = r"[a-z0-9._/-]"


@dataclass(frozen=True, slots=True)
class Renaming:
    """Take `strip` off the beginning of a name, then put `add` before it. Each is "" or ends with a slash."""

    strip: str = ""
    add: str = ""

    def __bool__(self) -> bool:
        """Whether any name changes."""
        return self.strip != self.add

    def inward(self, name: str) -> Repository | None:
        """What a client's repository is called behind us; None where its name does not begin with what is stripped.

        Raises NameInvalid where that would be too long to be a name.
        """
        if not name.startswith(self.strip):
            return None
        inner = self.add + name[len(self.strip) :]
        if len(inner) > MAX_REPOSITORY_LENGTH:
            raise NameInvalid(
                f"behind this registry the name would have {len(inner)} characters, and {MAX_REPOSITORY_LENGTH} are "
                "the most",
                detail={"name": name},
            )
        return Repository(inner)

    def outward(self, inner: str) -> Repository | None:
        """What clients call a repository behind us; None where no name of theirs leads to it."""
        name = self.strip + inner[len(self.add) :]
        if not inner.startswith(self.add) or len(name) > MAX_REPOSITORY_LENGTH:
            return None
        return Repository(name)


@dataclass(frozen=True, slots=True)
class Names:
    """One repository: `outer` is what clients call it, `inner` what the registry behind us calls it."""

    outer: Repository
    inner: Repository

    def readdress(self, value: str, view: ClientView) -> str:
        """An address below this repository as the client should ask for it; any other stays."""
        try:
            parts = urlsplit(value)
        except ValueError:
            return value
        if parts.netloc not in ("", view.authority):
            return value  # of a storage service
        path, below = unquote(parts.path), f"{view.prefix}/v2/{self.inner}/"
        if not path.startswith(below):
            return value
        return parts._replace(path=f"{view.prefix}/v2/{self.outer}/{path[len(below) :]}").geturl()

    def readdress_links(self, value: str, view: ClientView) -> str:
        """Every `<…>` of a `Link`; its parameters stay."""
        return replace_targets(value, lambda target: self.readdress(target, view))

    def retell(self, said: object) -> object:
        """JSON, with the client's name in every text that is the inner name or speaks of it.

        A name of one component ("nginx") may be any word, so it is known only where it is the whole text.
        """
        match said:
            case str() if said == self.inner:
                return str(self.outer)
            case str() if "/" in self.inner:
                word = rf"(?<!{_OF_A_NAME}){re.escape(self.inner)}(?!{_OF_A_NAME})"
                return re.sub(word, self.outer, said)
            case list():
                return [self.retell(part) for part in said]
            case dict():
                return {key: self.retell(part) for key, part in said.items()}
            case _:
                return said
