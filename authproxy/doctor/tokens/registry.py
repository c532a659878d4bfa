"""The registry's side: `auth.token` of its configuration, and the content of the files that it names.

Missing and malformed values are values here, which `start.py` judges, since versions differ in what they refuse. Only
a file that is not a configuration raises DocumentError.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from authproxy.config.document.tree import Document, ListNode, MapNode, TextNode, read_document
from authproxy.config.overrides import apply_overrides
from authproxy.doctor.tokens.version import KEYS_OF_3
from authproxy.files.text import FileIsUtf16, read_content
from authproxy.token.jwk import PublicKey, from_jwk

PATH = ("auth", "token")


@dataclass(frozen=True, slots=True)
class UnreadableFile:
    """A file that does not exist here, or has the wrong content."""

    why: str
    is_absent: bool  # on this machine: the registry may have it


@dataclass(frozen=True, slots=True)
class RegistryConfig:
    """What a registry verifies tokens with. A text is None if its key is missing or not text."""

    document: Document
    kind: str | None  # "token", another kind of auth, or None if there is none
    texts: Mapping[str, str | None]  # realm, service, issuer
    is_redirecting: bool | None  # autoredirect; None if it is neither true nor false
    bundle: str | None  # the path in the configuration
    certificates: tuple[x509.Certificate, ...] | UnreadableFile
    jwks: str | None
    named_keys: Mapping[str, PublicKey] | UnreadableFile  # by kid
    algorithms: tuple[str, ...] | None  # None: the version's default applies

    def place(self, key: str) -> str:
        """`config.yml:12: auth.token.issuer`: where a key is, or belongs."""
        return f"{self.document.place_of((*PATH, key))}: auth.token.{key}"

    @property
    def is_3(self) -> bool:
        """Whether it has a key that only 3.x reads."""
        return any(self.document.find((*PATH, key)) is not None for key in KEYS_OF_3)


def read_registry(
    path: Path, variables: Mapping[str, str], *, bundle: Path | None = None, jwks: Path | None = None
) -> RegistryConfig:
    """Read a configuration, with the REGISTRY_* variables that the registry is started with.

    `bundle` and `jwks` replace the files that the configuration names, if those are elsewhere on this machine.
    Raises DocumentError.
    """
    document, _ = apply_overrides(read_document(path), variables)
    named_bundle, named_jwks = _text(document, "rootcertbundle"), _text(document, "jwks")
    return RegistryConfig(
        document=document,
        kind=_kind(document),
        texts={key: _text(document, key) for key in ("realm", "service", "issuer")},
        is_redirecting=_truth(document, "autoredirect"),
        bundle=named_bundle,
        certificates=_read_bundle(bundle or Path(named_bundle)) if named_bundle else (),
        jwks=named_jwks,
        named_keys=_read_jwks(named_jwks, jwks) if named_jwks else {},
        algorithms=_algorithms(document),
    )


def read_variables(path: Path) -> dict[str, str]:
    """The variables of a file for `docker run --env-file`: NAME=VALUE, one per line. Raises OSError."""
    lines = (line.strip() for line in read_content(path).decode("utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, equals, value in pairs if equals}


def _kind(document: Document) -> str | None:
    match document.find(("auth",)):
        case MapNode(entries=entries) if entries:
            return "token" if set(entries) == {"token"} else " and ".join(entries)
        case _:
            return None


def _text(document: Document, key: str) -> str | None:
    """The value of a key, if the registry reads it as text: 5000 and `yes` without quotes are not text."""
    match document.find((*PATH, key)):
        case TextNode(text=text, is_text=True) if text:
            return text
        case _:
            return None


def _truth(document: Document, key: str) -> bool | None:
    match document.find((*PATH, key)):
        case None | TextNode(text=None):
            return False
        case TextNode(text=str(text), is_text=False) if text.lower() in ("true", "yes", "on", "false", "no", "off"):
            return text.lower() in ("true", "yes", "on")
        case _:
            return None


def _algorithms(document: Document) -> tuple[str, ...] | None:
    match document.find((*PATH, "signingalgorithms")):
        case None:
            return None
        case ListNode(items=items):
            return tuple(item.text or "" for item in items if isinstance(item, TextNode))
        case _:
            return ("",)


def _read_bundle(path: Path) -> tuple[x509.Certificate, ...] | UnreadableFile:
    content = _read(path)
    if isinstance(content, UnreadableFile):
        return content
    if b"-----BEGIN CERTIFICATE-----" not in content:
        return ()
    try:
        return tuple(x509.load_pem_x509_certificates(content))
    except ValueError as exc:
        return UnreadableFile(f"{path} has content that is not a certificate: {exc}", is_absent=False)


def _read_jwks(named: str, given: Path | None) -> Mapping[str, PublicKey] | UnreadableFile:
    """The keys by their `kid` in the set; it is not computed if it is missing."""
    if given is None and "://" in named:
        return UnreadableFile(f"{named} is a URL, and nothing is fetched from here", is_absent=True)
    path = given or Path(named)
    content = _read(path)
    if isinstance(content, UnreadableFile):
        return content
    try:
        members: list[dict[str, Any]] = json.loads(content)["keys"]
        return {str(member.get("kid", "")): key for member in members if (key := from_jwk(member)) is not None}
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        return UnreadableFile(f'{path} is not a key set, {{"keys": […]}}: {exc!r}', is_absent=False)


def _read(path: Path) -> bytes | UnreadableFile:
    try:
        return read_content(path)
    except FileIsUtf16 as exc:
        return UnreadableFile(str(exc), is_absent=False)
    except OSError as exc:
        return UnreadableFile(f"{path} cannot be read here: {exc.strerror}", is_absent=True)
