"""Normalizes names of registries and images as users and other programs write them, or refuses them with the fix.

skopeo adds a transport (containers-transports(5)), browsers a scheme; docker and crane write only names. Every command
reads its names through here, so that all of them accept the same.
"""

import re

_SCHEME = re.compile(r"(docker|https?|oci)://", re.IGNORECASE)

# containers-transports(5): transports other than a registry, and the command for each. {rest} is the text after it.
_ARCHIVE = "{rest!r} is in a file: `authproxy images push FILE DST` reads one, `images pull REF -o FILE` writes one"
_LOCAL = "{rest!r} is in the local docker daemon: use `authproxy images push --docker` or `images pull --docker`"
_TRANSPORTS = {
    "oci": _ARCHIVE,
    "oci-archive": _ARCHIVE,
    "docker-archive": _ARCHIVE,
    "dir": "{rest!r} is a folder of skopeo's; convert it to an image layout: skopeo copy dir:… oci:FOLDER",
    "docker-daemon": _LOCAL,
    "containers-storage": "{rest!r} is in podman's storage: write a file with `podman save`, and push that",
}

# The addresses of a registry's API.
_API = re.compile(r"[^/]+/v2/(?P<name>.+?)/(?:manifests|blobs|tags|referrers)(?:/.*)?")
_HUB_PAGE = re.compile(r"hub\.docker\.com/(?:r/|_/|repository/docker/)?(?P<name>.*)")
_PORT = re.compile(r"[0-9]{1,5}/")  # `oci:5000` may be a registry
_BARE_IPV6 = re.compile(r"[0-9a-fA-F]*(?::[0-9a-fA-F]*){2,}")


def plain(text: str) -> str:
    """A name without scheme and spaces around it, its host in lower case. Raises ValueError with the right spelling.

    The result need not be a valid name.
    """
    stripped = text.strip()
    scheme = _SCHEME.match(stripped)
    bare = stripped[scheme.end() :] if scheme else stripped
    if not scheme:
        _refuse_transport(bare)
    first, slash, rest = bare.partition("/")
    if "@" in first and slash:
        own = f"{first.rpartition('@')[2]}/{rest}".removesuffix("/")
        raise ValueError(f"leave the login out, and write {own} with --user USER, which asks for the password")
    if slash and _BARE_IPV6.fullmatch(first):
        bracketed = f"[::1]/{rest}".removesuffix("/"), f"[::1]:5000/{rest}".removesuffix("/")
        raise ValueError(f"{first!r} is not a host: write an IPv6 address in brackets: {', '.join(bracketed)}")
    _refuse_page(bare, text, is_address=scheme is not None and scheme[1].lower().startswith("http"))
    is_host = "." in first or ":" in first or first.lower() == "localhost"
    return f"{first.lower()}{slash}{rest}" if slash and is_host else bare


def _refuse_transport(text: str) -> None:
    name, colon, rest = text.partition(":")
    if colon and name.lower() in _TRANSPORTS and not _PORT.match(rest):
        raise ValueError(f"{text!r}: {_TRANSPORTS[name.lower()].format(rest=rest)}")


def plain_path(text: str, *, exists: bool) -> str:
    """The path of a file or a folder. Raises ValueError if it begins with one of skopeo's transports.

    `exists`: there is a file with this very name.
    """
    name, colon, rest = text.partition(":")
    if exists or not colon or name.lower() not in _TRANSPORTS:
        return text
    if name.lower() == "docker-daemon":
        raise ValueError(f"{text!r}: write --docker and only the name, {rest}")
    if _TRANSPORTS[name.lower()] is not _ARCHIVE:
        raise ValueError(f"{text!r}: {_TRANSPORTS[name.lower()].format(rest=rest)}")
    raise ValueError(f"{text!r}: write only the path, {rest.partition(':')[0]}: its format is detected")


def _refuse_page(bare: str, text: str, *, is_address: bool) -> None:
    """Refuse copied addresses of web pages and of the API."""
    if page := _HUB_PAGE.fullmatch(bare):
        raise ValueError(f"{text!r} is a page of Docker Hub: write docker.io/{page['name'] or 'library/NAME'}")
    if is_address and (api := _API.fullmatch(bare)):
        host = bare.partition("/")[0]
        raise ValueError(f"{text!r} is an address of the registry's API: write {host}/{api['name']}:TAG")
