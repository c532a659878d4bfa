"""Logins that docker or podman has stored, by host.

Sources: docker's config.json (`auths`, `credHelpers`, `credsStore`; docs.docker.com, "docker login", "Credential
helper protocol") and podman's auth.json, which has the same form (containers-auth.json(5)).
"""

import base64
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from authproxy.remote.faults import RemoteError
from authproxy.remote.name import DOCKER_HUB

# Under which docker stores Docker Hub's login.
HUB_KEY = "https://index.docker.io/v1/"
HELPER_TIMEOUT_S = 30
MAX_WORDS = 300


@dataclass(frozen=True, slots=True)
class Login:
    """A user's password, or an identity token in its place: then `user` is empty."""

    user: str
    password: str = field(repr=False, default="")
    identity_token: str = field(repr=False, default="")


def find_login(host: str, environment: Mapping[str, str]) -> Login | None:
    """The login stored for a registry. None where there is none. Raises RemoteError; for a thread."""
    for path in _files(environment):
        config = read_config(path)
        keys = [HUB_KEY, DOCKER_HUB] if host == DOCKER_HUB else [host, f"https://{host}", f"https://{host}/v2/"]
        for key in keys:
            if (login := _find(config, key, environment)) is not None:
                return login
    return None


def config_file(environment: Mapping[str, str]) -> Path:
    """Docker's config.json."""
    home = Path(environment.get("HOME", "/"))
    return Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"


def _files(environment: Mapping[str, str]) -> list[Path]:
    files = [config_file(environment)]
    if stated := environment.get("REGISTRY_AUTH_FILE"):
        files.append(Path(stated))
    elif runtime := environment.get("XDG_RUNTIME_DIR"):
        files.append(Path(runtime) / "containers" / "auth.json")
    return files


def read_config(path: Path) -> dict[str, Any]:
    """What a file of logins holds; nothing where it is not there. Raises RemoteError."""
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
    helper, auths = find_helper(config, key), config.get("auths")
    if helper is not None and (login := ask_helper(helper, key, environment)) is not None:
        return login
    entry = auths.get(key) if isinstance(auths, dict) else None
    return _from_entry(entry) if isinstance(entry, dict) else None


def find_helper(config: dict[str, Any], key: str) -> str | None:
    """The credential helper that a configuration names for a registry, or for all."""
    helpers = config.get("credHelpers")
    helper = (helpers.get(key) if isinstance(helpers, dict) else None) or config.get("credsStore")
    return helper if isinstance(helper, str) and helper else None


def _from_entry(entry: dict[str, Any]) -> Login | None:
    if isinstance(token := entry.get("identitytoken"), str) and token:
        return Login("", identity_token=token)
    try:
        user, colon, password = base64.b64decode(entry.get("auth") or "", validate=True).decode().partition(":")
    except (TypeError, ValueError):  # binascii.Error is one
        return None
    return Login(user, password.rstrip("\0")) if colon else None


def run_helper(
    helper: str, action: str, told: str, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes]:
    """Run a credential helper to its end; `told` is its standard input. Raises RemoteError."""
    program = f"docker-credential-{helper}"
    try:
        # The helper's name is the user's own setting, and no shell reads it.
        return subprocess.run(  # noqa: S603
            [program, action],
            input=told.encode(),
            env=dict(environment),
            capture_output=True,
            timeout=HELPER_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RemoteError(f"{program}, which docker's configuration names, cannot be asked: {error}") from error


def ask_helper(helper: str, key: str, environment: Mapping[str, str]) -> Login | None:
    """The login that a credential helper keeps. Raises RemoteError where it cannot be asked."""
    done = run_helper(helper, "get", key, environment)
    try:
        found = json.loads(done.stdout) if done.returncode == 0 else None
    except ValueError:
        found = None
    match found:
        case {"Username": "<token>", "Secret": str(secret)}:
            return Login("", identity_token=secret)
        case {"Username": str(user), "Secret": str(secret)}:
            return Login(user, secret)
    # What helpers say of a login that they don't have: docker-credential-helpers, "credentials/error.go".
    # docker's say it on standard output, others where faults belong.
    words = (done.stdout or done.stderr).decode(errors="replace").strip()
    if done.returncode == 0 or "credentials not found" in words:
        return None
    said = "".join(char for char in words[:MAX_WORDS] if char.isprintable()) or f"exit code {done.returncode}"
    raise RemoteError(f"docker-credential-{helper}, which docker's configuration names, has no login for {key}: {said}")
