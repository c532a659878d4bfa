"""Stores and erases logins as docker does: in its config.json, or with the credential helper that this names.

Sources: docs.docker.com, "docker login" and its "Credential helper protocol"; docker/cli, `cli/config/`
(`configfile/file.go`, `credentials/`) for the rest of what it writes.
"""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from authproxy.files.atomic import locked_folder, make_private_folder, write_private
from authproxy.oci.image_name import DOCKER_HUB
from authproxy.registry_client.docker_config import (
    HUB_KEY,
    TOKEN_USER,
    Login,
    ask_helper,
    config_file,
    find_helper,
    host_of,
    read_config,
    run_helper,
)
from authproxy.registry_client.errors import RegistryClientError

MODE = 0o600
MAX_WORDS = 300


@dataclass(frozen=True, slots=True)
class LoginLocation:
    """Where a login was stored: in `helper`, or unencrypted in the file without one."""

    path: Path
    helper: str | None


def store_login(host: str, login: Login, environment: Mapping[str, str]) -> LoginLocation:
    """Store a login for a registry; replaces the existing one. Raises RegistryClientError; for a thread."""
    path, key = config_file(environment), HUB_KEY if host == DOCKER_HUB else host
    with _changing(path) as before:
        stated = find_helper(before, key)
        helper = stated or _default_helper(before, environment)
        if helper is not None:
            _hand_over(helper, key, login, environment)
        config = before if helper is None else read_config(path)
        if helper is not None and stated is None:
            config["credsStore"] = helper
        # docker writes an empty entry for a login in a helper, so that `docker logout` finds it.
        _auths(config, path)[key] = {} if helper is not None else _entry(login)
        _write(path, config)
    return LoginLocation(path, helper)


def erase_login(host: str, environment: Mapping[str, str]) -> bool:
    """Erase the login for a registry, under each of its names. True if there was one. Raises RegistryClientError."""
    path = config_file(environment)
    if not path.exists():
        return False
    names = (
        [HUB_KEY, DOCKER_HUB] if host == DOCKER_HUB else [f"{scheme}{host}" for scheme in ("", "https://", "http://")]
    )
    with _changing(path) as config:
        kept = {
            name: helper
            for name in names
            if (helper := find_helper(config, name)) is not None and ask_helper(helper, name, environment) is not None
        }
        for name, helper in kept.items():
            _take_back(helper, name, environment)
        rest = read_config(path)
        auths = _auths(rest, path)
        found = [name for name in tuple(auths) if host_of(name) == host and auths.pop(name) is not None]
        if found:
            _write(path, rest)
    return bool(found or kept)


@contextmanager
def _changing(path: Path) -> Iterator[dict[str, Any]]:
    """The content of a file of logins, locked against other authproxy processes for the length of a block.

    docker uses no lock: it replaces the file atomically, as `_write` does. So the file is read again after a helper
    ran, which may take as long as a user needs to unlock a keychain.
    """
    try:
        make_private_folder(path.parent)
        with locked_folder(path):
            yield read_config(path)
    except OSError as error:
        raise RegistryClientError(f"{error.filename or path}: the login cannot be changed: {error.strerror}") from error


def _write(path: Path, config: dict[str, Any]) -> None:
    """Write as docker does. Removes the permissions of others before it writes a secret."""
    try:
        text = json.dumps(config, indent="\t", allow_nan=False)
    except ValueError:
        raise RegistryClientError(f"{path}: contains a number that is not valid JSON; nothing was changed") from None
    if path.exists():
        path.chmod(MODE)
    write_private(path, text.encode())


def _default_helper(config: dict[str, Any], environment: Mapping[str, str]) -> str | None:
    """The system's own helper, which docker uses if nothing has been configured or stored yet."""
    if any(config.get(name) for name in ("auths", "credHelpers", "credsStore")):
        return None
    search = environment.get("PATH")
    helper = "osxkeychain"
    if sys.platform != "darwin":
        helper = "pass" if shutil.which("pass", path=search) else "secretservice"
    return helper if shutil.which(f"docker-credential-{helper}", path=search) else None


def _hand_over(helper: str, key: str, login: Login, environment: Mapping[str, str]) -> None:
    secret = login.identity_token or login.password
    user = TOKEN_USER if login.identity_token else login.user
    stdin = json.dumps({"ServerURL": key, "Username": user, "Secret": secret})
    done = run_helper(helper, "store", stdin, environment)
    if done.returncode != 0:
        raise RegistryClientError(f"docker-credential-{helper} cannot store the login: {_words(done, secret)}")


def _take_back(helper: str, key: str, environment: Mapping[str, str]) -> None:
    done = run_helper(helper, "erase", key, environment)
    if done.returncode != 0:
        raise RegistryClientError(f"docker-credential-{helper} cannot erase the login: {_words(done)}")


def _words(done: subprocess.CompletedProcess[bytes], secret: str = "") -> str:
    """The message of a helper, on standard output by the protocol, without the secret, which some repeat."""
    said = (done.stdout.strip() or done.stderr.strip()).decode("utf-8", "replace")
    said = said.replace(secret, "…") if secret else said
    return "".join(char for char in said[:MAX_WORDS] if char.isprintable()) or f"exit code {done.returncode}"


def _entry(login: Login) -> dict[str, str]:
    auth = base64.b64encode(f"{login.user}:{'' if login.identity_token else login.password}".encode()).decode()
    return {"auth": auth, "identitytoken": login.identity_token} if login.identity_token else {"auth": auth}


def _auths(config: dict[str, Any], path: Path) -> dict[str, Any]:
    auths = config.setdefault("auths", {})
    if not isinstance(auths, dict):
        raise RegistryClientError(f"{path}: auths is not a JSON object; correct it, and log in again")
    return auths
