"""What other programs and people write around the name of a registry or an image, taken off or refused with the fix.

skopeo names a transport (containers-transports(5)), browsers a scheme; docker and crane write names alone. Every
command reads its names through here, so that all of them understand the same.
"""

import re

_SCHEME = re.compile(r"(docker|https?|oci)://", re.IGNORECASE)

# containers-transports(5): what isn't in a registry, and which command is for it. FILE stands for what follows.
_ARCHIVE = "{rest!r} is in a file: `authproxy images push FILE DST` reads one, `images pull REF -o FILE` writes one"
_LOCAL = (
    "{rest!r} is in the local docker daemon: `authproxy images push --docker` and `images pull --docker` speak with it"
)
_TRANSPORTS = {
    "oci": _ARCHIVE,
    "oci-archive": _ARCHIVE,
    "docker-archive": _ARCHIVE,
    "dir": "{rest!r} is a folder of skopeo's; write an image layout in its place: skopeo copy dir:… oci:FOLDER",
    "docker-daemon": _LOCAL,
    "containers-storage": "{rest!r} is in podman's storage: write a file by `podman save`, and push that",
}

# What follows `/v2/<name>/` in the addresses of a registry's API.
_API = re.compile(r"[^/]+/v2/(?P<name>.+?)/(?:manifests|blobs|tags|referrers)(?:/.*)?")
_HUB_PAGE = re.compile(r"hub\.docker\.com/(?:r/|_/|repository/docker/)?(?P<name>.*)")
_PORT = re.compile(r"[0-9]{1,5}/")  # a registry may be called `oci:5000`
_BARE_IPV6 = re.compile(r"[0-9a-fA-F]*(?::[0-9a-fA-F]*){2,}")


def plain(text: str) -> str:
    """A name without what stands around it, its host in small letters. Raises ValueError, with the right spelling.

    What is left may still be no name.
    """
    stripped = text.strip()
    scheme = _SCHEME.match(stripped)
    bare = stripped[scheme.end() :] if scheme else stripped
    if not scheme:
        _refuse_transport(bare)
    first, slash, rest = bare.partition("/")
    if "@" in first and slash:
        own = f"{first.rpartition('@')[2]}/{rest}".removesuffix("/")
        raise ValueError(f"leave the login out, and write {own} with --user USER: the password is asked for")
    if slash and _BARE_IPV6.fullmatch(first):
        bracketed = f"[::1]/{rest}".removesuffix("/"), f"[::1]:5000/{rest}".removesuffix("/")
        raise ValueError(f"{first!r} is no host: an IPv6 address stands in brackets: {', '.join(bracketed)}")
    _refuse_page(bare, text, is_address=scheme is not None and scheme[1].lower().startswith("http"))
    is_host = "." in first or ":" in first or first.lower() == "localhost"
    return f"{first.lower()}{slash}{rest}" if slash and is_host else bare


def _refuse_transport(text: str) -> None:
    name, colon, rest = text.partition(":")
    if colon and name.lower() in _TRANSPORTS and not _PORT.match(rest):
        raise ValueError(f"{text!r}: {_TRANSPORTS[name.lower()].format(rest=rest)}")


def plain_path(text: str, *, exists: bool) -> str:
    """The path of a file or a folder. Raises ValueError where skopeo's transport stands before it.

    `exists`: there is a file that is called so.
    """
    name, colon, rest = text.partition(":")
    if exists or not colon or name.lower() not in _TRANSPORTS:
        return text
    if name.lower() == "docker-daemon":
        raise ValueError(f"{text!r}: write --docker and the name alone, {rest}")
    if _TRANSPORTS[name.lower()] is not _ARCHIVE:
        raise ValueError(f"{text!r}: {_TRANSPORTS[name.lower()].format(rest=rest)}")
    raise ValueError(f"{text!r}: write the path alone, {rest.partition(':')[0]}: its format is found out")


def _refuse_page(bare: str, text: str, *, is_address: bool) -> None:
    """Addresses of the web and of the API, which people copy."""
    if page := _HUB_PAGE.fullmatch(bare):
        raise ValueError(f"{text!r} is a page of Docker Hub: write docker.io/{page['name'] or 'library/NAME'}")
    if is_address and (api := _API.fullmatch(bare)):
        host = bare.partition("/")[0]
        raise ValueError(f"{text!r} is an address of the registry's API: write {host}/{api['name']}:TAG")
