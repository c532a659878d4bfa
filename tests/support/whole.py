"""The whole application with two users, for what no part can show alone."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from authproxy.identity.accounts import add_user
from tests.support.application import serving

PASSWORDS = {"alice": "alice's own password", "bob": "bob's own password"}
RULES = """
version: 1
rules:
  - name: own space
    allow: [pull, push, delete]
    to: {signed-in: true}
    on: {repositories: ["{user}/**"]}
"""


@asynccontextmanager
async def whole(
    folder: Path, rules: str = RULES, hashes: Mapping[str, str] | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """The application with alice and bob, each of whom may do everything below their name and nothing elsewhere.

    `hashes`: entries that the password file has besides, as they stand there.
    """
    htpasswd = folder / "htpasswd"
    htpasswd.write_text("".join(f"{name}:{hashed}\n" for name, hashed in (hashes or {}).items()))
    for name, password in PASSWORDS.items():
        add_user(htpasswd, None, name, password, [], cost=4)
    (folder / "rules.yaml").write_text(rules)
    settings: dict[str, Any] = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}, "delete": {"enabled": "true"}},
        "token": {"keys": str(folder / "keys")},
        "identities": [{"htpasswd": {"path": str(htpasswd)}}],
        "policies": {"path": str(folder / "rules.yaml")},
    }
    async with serving(settings) as client:
        yield client


async def bearer(client: httpx.AsyncClient, user: str, *scopes: str) -> dict[str, str]:
    """The header of a token for what the rules give of these scopes."""
    answer = await client.get("/token", params={"scope": list(scopes)}, auth=(user, PASSWORDS[user]))
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def basic(user: str) -> str:
    """The value of `Authorization` for the user's own password."""
    return httpx.BasicAuth(user, PASSWORDS[user])._auth_header
