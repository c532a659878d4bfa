"""Logins that docker or podman has stored, by host.

Sources: docker's config.json (`auths`, `credHelpers`, `credsStore`; docs.docker.com, "docker login", "Credential
helper protocol") and podman's auth.json, which has the same form (containers-auth.json(5)).
"""

import base64
import binascii
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from authproxy.remote.faults import RemoteError
from authproxy.remote.name import DOCKER_HUB

# Under which docker stores Docker Hub's login.
_HUB_KEY = "https://index.docker.io/v1/"
HELPER_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Login:
    """A user's password, or an identity token in its place: then `user` is empty."""

    user: str
    password: str = field(repr=False, default="")
    identity_token: str = field(repr=False, default="")


def find_login(host: str, environment: Mapping[str, str]) -> Login | None:
    """The login stored for a registry. None where there is none. Raises RemoteError; for a thread."""
    for path in _files(environment):
        config = _read(path)
        keys = [_HUB_KEY, DOCKER_HUB] if host == DOCKER_HUB else [host, f"https://{host}", f"https://{host}/v2/"]
        for key in keys:
            if (login := _find(config, key, environment)) is not None:
                return login
    return None


def _files(environment: Mapping[str, str]) -> list[Path]:
    home = Path(environment.get("HOME", "/"))
    files = [Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"]
    if stated := environment.get("REGISTRY_AUTH_FILE"):
        files.append(Path(stated))
    elif runtime := environment.get("XDG_RUNTIME_DIR"):
        files.append(Path(runtime) / "containers" / "auth.json")
    return files


def _read(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RemoteError(f"{path}: the stored logins cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise RemoteError(f"{path}: the stored logins are no JSON object")
    return config


def _find(config: dict[str, Any], key: str, environment: Mapping[str, str]) -> Login | None:
    helpers, auths = config.get("credHelpers"), config.get("auths")
    helper = (helpers.get(key) if isinstance(helpers, dict) else None) or config.get("credsStore")
    if isinstance(helper, str) and helper and (login := _ask_helper(helper, key, environment)) is not None:
        return login
    entry = auths.get(key) if isinstance(auths, dict) else None
    return _from_entry(entry) if isinstance(entry, dict) else None


def _from_entry(entry: dict[str, Any]) -> Login | None:
    if isinstance(token := entry.get("identitytoken"), str) and token:
        return Login("", identity_token=token)
    try:
        user, colon, password = base64.b64decode(entry.get("auth") or "", validate=True).decode().partition(":")
    except (TypeError, binascii.Error, UnicodeDecodeError):
        return None
    return Login(user, password.rstrip("\0")) if colon else None


def _ask_helper(helper: str, key: str, environment: Mapping[str, str]) -> Login | None:
    program = f"docker-credential-{helper}"
    try:
        # The helper's name is the user's own setting, and no shell reads it.
        done = subprocess.run(  # noqa: S603
            [program, "get"],
            input=key.encode(),
            env=dict(environment),
            capture_output=True,
            timeout=HELPER_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RemoteError(f"{program}, which docker's configuration names, cannot be asked: {error}") from error
    try:
        found = json.loads(done.stdout) if done.returncode == 0 else None
    except ValueError:
        found = None
    match found:
        case {"Username": "<token>", "Secret": str(secret)}:
            return Login("", identity_token=secret)
        case {"Username": str(user), "Secret": str(secret)}:
            return Login(user, secret)
        case _:
            return None
