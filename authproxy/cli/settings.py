"""The settings that a command works on: those of a configuration that is named, or of the embedded default here."""

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from authproxy.errors import StartError

if TYPE_CHECKING:
    from authproxy.config.load import Loaded
    from authproxy.config.sections.token import Token
    from authproxy.config.settings import Settings


def find_settings(config: Path | None) -> "Settings":
    """Of the embedded default they are what its server takes too, variables included. Raises StartError."""
    return find_loaded(config).settings


def find_loaded(config: Path | None) -> "Loaded":
    """The same with the place of each value."""
    from authproxy.config.load import load, load_values
    from authproxy.quickstart import Layout

    if config is not None:
        return load(config, os.environ)
    return load_values(Layout(Path()).values(), "embedded default", os.environ)


def check_started(config: Path | None, made: Path) -> None:
    """Raise StartError where the embedded default is meant, and `made`, of its first start, is not there."""
    if config is None and not made.exists():
        raise StartError(
            f"there is no {made} in this folder; go to where `authproxy serve --embedded` has been started once, or"
            " name a configuration: --config CONFIG"
        )


def token_of(settings: "Settings", named: str = "--config CONFIG") -> "Token":
    """The section of a configuration whose keys sign tokens. Raises StartError where there is none, or no keys yet.

    `named`: the option that names another configuration.
    """
    if settings.token is None:
        raise StartError("there is no token section in the configuration, so no key signs; write token: {keys: FOLDER}")
    if not settings.token.keys.is_dir():
        raise StartError(
            f"there is no folder {settings.token.keys}; the first start of the server makes it. Go to where"
            f" `authproxy serve` runs, or name its configuration: {named}"
        )
    return settings.token


def realm_of(settings: "Settings", token: "Token", host: str | None = None) -> str | None:
    """Where clients fetch tokens, as the challenge has it for those who ask us.

    `host` is scheme and host where the configuration leaves them to the request; without both it is not known.
    """
    base = (settings.http.host or host or "").rstrip("/")
    if token.realm or not base:
        return token.realm
    prefix = "" if urlsplit(base).path else settings.http.prefix.rstrip("/")
    return f"{base}{prefix}/token"
