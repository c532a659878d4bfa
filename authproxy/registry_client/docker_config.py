"""Reads logins that docker or podman has stored, for a registry or for some of its repositories.

Sources: docker/cli, `cli/config/` (`configfile/file.go`, `credentials/file_store.go`, `native_store.go`);
docs.docker.com, "docker login", "Credential helper protocol"; containers-auth.json(5) and containers/image,
`pkg/docker/config/config.go`. docs/reference/images.md, "Authentication", lists the rules of both that apply.
"""

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from authproxy.oci.image_name import DOCKER_HUB, HUB_NAMES
from authproxy.registry_client.errors import RegistryClientError

# The key of Docker Hub's login.
HUB_KEY = "https://index.docker.io/v1/"
HELPER_TIMEOUT_S = 30
MAX_WORDS = 300

# Podman's file of logins without XDG_RUNTIME_DIR.
PER_USER = "/run/containers/{uid}/auth.json"

# The user name that helpers return with an identity token (docker/cli, "credentials/native_store.go").
TOKEN_USER = "<token>"  # noqa: S105 - a user name


@dataclass(frozen=True, slots=True)
class Login:
    """A user's password; or instead an identity token, or a registry's own token: then `user` is empty."""

    user: str
    password: str = field(repr=False, default="")
    identity_token: str = field(repr=False, default="")
    registry_token: str = field(repr=False, default="")


class StoredLogins:
    """Logins stored for an environment. Reads each file and asks each helper once. For a thread."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._sources = _sources(environment)
        self._configs: list[dict[str, Any]] = []  # of the first sources; the next is read if these have no login
        self._helped: dict[tuple[str, str], Login | None] = {}

    def find(self, host: str, repository: str = "") -> Login | None:
        """The login for a registry or one of its repositories, if any. Raises RegistryClientError."""
        for index, (origin, read) in enumerate(self._sources):
            if index == len(self._configs):
                self._configs.append(read())
            if (login := self._find(self._configs[index], origin, host, repository)) is not None:
                return login
        return None

    def _find(self, config: dict[str, Any], origin: str, host: str, repository: str) -> Login | None:
        keys = [HUB_KEY, DOCKER_HUB] if host == DOCKER_HUB else [host, f"https://{host}", f"https://{host}/v2/"]
        auths = _mapping(config, "auths")
        helpers = _mapping(config, "credHelpers")
        for key in [key for key in keys if key in helpers] or keys:
            helper = find_helper(config, key)
            if helper is not None and (login := self._ask(helper, key)) is not None:
                return login
        for key in (*_namespaces(host, repository), *keys):
            if key in auths and (login := _from_entry(auths[key], f"{origin}: the login for {key}")) is not None:
                return login
        for key, entry in auths.items():
            if host_of(key) == host and (login := _from_entry(entry, f"{origin}: the login for {key}")) is not None:
                return login
        return None

    def _ask(self, helper: str, key: str) -> Login | None:
        if (helper, key) not in self._helped:
            self._helped[helper, key] = ask_helper(helper, key, self._environment)
        return self._helped[helper, key]


def find_login(host: str, environment: Mapping[str, str]) -> Login | None:
    """The login stored for a registry, if any. Raises RegistryClientError; for a thread."""
    return StoredLogins(environment).find(host)


def config_file(environment: Mapping[str, str]) -> Path:
    """Docker's config.json."""
    return Path(environment.get("DOCKER_CONFIG") or _home(environment) / ".docker") / "config.json"


def _home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("HOME") or "/")


def _sources(environment: Mapping[str, str]) -> list[tuple[str, Callable[[], dict[str, Any]]]]:
    """Docker's files, which our own `registry login` writes too; then podman's, in podman's order."""
    home, text = _home(environment), environment.get("DOCKER_AUTH_CONFIG", "")
    files = [config_file(environment)]
    if stated := environment.get("REGISTRY_AUTH_FILE"):
        files.append(Path(stated))
    else:
        runtime = environment.get("XDG_RUNTIME_DIR")
        files.append(Path(runtime) / "containers/auth.json" if runtime else Path(PER_USER.format(uid=os.getuid())))
        files.append(Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "containers/auth.json")
    oldest = home / ".dockercfg"
    return [
        ("DOCKER_AUTH_CONFIG", lambda: _parse(text.encode(), "DOCKER_AUTH_CONFIG")),
        *((str(path), partial(read_config, path)) for path in files),
        (str(oldest), lambda: {"auths": read_config(oldest)}),
    ]


def read_config(path: Path) -> dict[str, Any]:
    """The content of a file of logins; {} if it is missing or empty. Raises RegistryClientError."""
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise RegistryClientError(f"{path}: the stored logins cannot be read: {error}") from error
    return _parse(content, path)


def _parse(content: bytes, origin: Path | str) -> dict[str, Any]:
    try:
        config = json.loads(content) if content.strip() else {}  # ignores a byte order mark
    except (ValueError, RecursionError) as error:
        raise RegistryClientError(f"{origin}: the stored logins cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise RegistryClientError(f"{origin}: the stored logins are not a JSON object")
    return config


def _mapping(config: dict[str, Any], key: str) -> dict[str, Any]:
    found = field_of(config, key)
    return found if isinstance(found, dict) else {}


def field_of(config: Mapping[str, Any], key: str) -> object:
    """A field by its name, in upper or lower case as in Go. None if it is missing."""
    if key in config:
        return config[key]
    return next((value for name, value in config.items() if name.lower() == key.lower()), None)


def find_helper(config: dict[str, Any], key: str) -> str | None:
    """The credential helper in a configuration for a registry, or for all; None for an empty name."""
    helpers = _mapping(config, "credHelpers")
    helper = helpers[key] if key in helpers else field_of(config, "credsStore")
    return helper if isinstance(helper, str) and helper else None


def _namespaces(host: str, repository: str) -> Iterator[str]:
    """Podman's keys for a repository and its namespaces: `host/a/b`, `host/a`."""
    while repository:
        yield f"{host}/{repository}"
        repository = repository.rpartition("/")[0]


def host_of(key: str) -> str | None:
    """The registry of a key that is an address; None for podman's `host/namespace`."""
    scheme, _, bare = key.rpartition("://")
    name, _, path = bare.partition("/")
    if path.strip("/") not in ("", "v1", "v2") and not scheme:
        return None
    return DOCKER_HUB if name in HUB_NAMES else name


def _from_entry(entry: object, what: str) -> Login | None:
    """The login in an entry; None if it is empty, because a helper has it. Raises RegistryClientError."""
    if not isinstance(entry, dict):
        return None
    texts = {key: field_of(entry, key) or "" for key in ("auth", "username", "password", "identitytoken")}
    token = field_of(entry, "registrytoken") or ""
    if not all(isinstance(text, str) for text in (*texts.values(), token)):
        raise RegistryClientError(f"{what} is damaged: it contains values that are not strings; log in again")
    if texts["identitytoken"]:
        return Login("", identity_token=str(texts["identitytoken"]))
    if token:
        return Login("", registry_token=str(token))
    if texts["auth"]:
        return _decode(str(texts["auth"]), what)
    return Login(str(texts["username"]), str(texts["password"])) if texts["username"] else None


def _decode(auth: str, what: str) -> Login | None:
    try:
        text = base64.b64decode(auth.replace("\r", "").replace("\n", ""), validate=True).decode()
    except ValueError:  # includes binascii.Error and UnicodeDecodeError
        raise RegistryClientError(f"{what} is damaged: its auth is not base64 of USER:PASSWORD; log in again") from None
    user, colon, password = text.partition(":")
    if not colon:
        raise RegistryClientError(f"{what} is damaged: its auth has no colon between user and password; log in again")
    return Login(user, password.strip("\0")) if user else None


def run_helper(
    helper: str, action: str, stdin: str, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes]:
    """Run a credential helper; `stdin` is its standard input. Raises RegistryClientError."""
    program = f"docker-credential-{helper}"
    try:
        # The helper's name is the user's own setting; no shell is involved.
        return subprocess.run(  # noqa: S603
            [program, action],
            input=stdin.encode(),
            env=dict(environment),
            capture_output=True,
            timeout=HELPER_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RegistryClientError(f"{program}, which docker's configuration names, cannot be run: {error}") from error


def ask_helper(helper: str, key: str, environment: Mapping[str, str]) -> Login | None:
    """The login in a credential helper, if any. Raises RegistryClientError if the helper fails."""
    done = run_helper(helper, "get", key, environment)
    try:
        found = json.loads(done.stdout) if done.returncode == 0 else None
    except (ValueError, RecursionError):
        found = None
    match found:
        case {"Username": user, "Secret": str(secret)} if user == TOKEN_USER:
            return Login("", identity_token=secret)
        case {"Username": str(user), "Secret": str(secret)}:
            return Login(user, secret)
    # The message of helpers for a missing login: docker-credential-helpers, "credentials/error.go".
    # docker's helpers print it on standard output, others on standard error.
    words = (done.stdout or done.stderr).decode(errors="replace").strip()
    if done.returncode == 0 or "credentials not found" in words:
        return None
    said = "".join(char for char in words[:MAX_WORDS] if char.isprintable()) or f"exit code {done.returncode}"
    raise RegistryClientError(
        f"docker-credential-{helper}, which docker's configuration names, has no login for {key}: {said}"
    )
