"""Somebody in a storm: asks a server that may be killed at any moment, and writes down what is wrong."""

import asyncio
import random
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.ledger import Ledger, Name
from tests.support.people import OPERATOR
from tests.support.registry import sha256
from tests.support.server import Server
from tests.support.storm_collector import FLEETING

REPOSITORIES = tuple(f"storm/r{number}" for number in range(4))
GRACE_S, TRASH_S = 8.0, 4.0
# Times that a client asks again after 503.
ATTEMPTS = 5
TOKEN_LIVES_S = 60.0  # then a client asks for another; the server's own limit is five minutes
ANSWERED_WITHIN_S = 60.0
MANY_FAULTS = 30

# Layers that many images share, beside one of its own for each. In bytes.
SHARED_SIZES = (0, 1_000, 40_000, 300_000, 1_500_000)

Answer = httpx.Response


class Interrupted(Exception):
    """The server was killed while it owed an answer."""


@dataclass
class Weather:
    """What the clients of one storm share. `faults` are the sentences that a test prints."""

    server: Server
    seed: int
    ledger: Ledger = field(default_factory=lambda: Ledger(GRACE_S - 1.0, frozenset({FLEETING})))
    faults: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    lives: int = 0  # how often the server was killed
    is_over: bool = False

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - repeatable, not secret
        self.shared = [self.random.randbytes(size) for size in SHARED_SIZES]
        self.is_up = asyncio.Event()

    def report(self, faults: list[str]) -> str:
        """What a failed test prints: how to have this storm again, and what was wrong."""
        head = f"seed {self.seed}, {self.lives} kills, {dict(self.done)}: {len(faults)} faults"
        return "\n".join([head, *faults[:MANY_FAULTS]])


class Client:
    """Somebody who works until the storm is over, and begins anew where the server was killed."""

    def __init__(self, storm: Weather, number: int) -> None:
        self.storm = storm
        self.number = number
        self.random = random.Random(f"{storm.seed} {type(self).__name__} {number}")  # noqa: S311 - as in Storm
        self.http = httpx.AsyncClient()
        self.life = -1
        self.token_ends = 0.0

    async def work(self) -> None:
        """Do one thing after another."""
        try:
            while not self.storm.is_over:
                try:
                    await self.do_one_thing()
                except Interrupted:
                    self.storm.done["interrupted"] += 1
                    await self.storm.is_up.wait()
        finally:
            await self.http.aclose()

    async def do_one_thing(self) -> None:
        """What this kind of client does."""
        raise AssertionError(type(self))

    async def ask(self, method: str, address: str | httpx.URL, **more: Any) -> Answer:
        """One request. Raises Interrupted where the server was killed meanwhile; all else is a fault."""
        answer = await self._ask(method, address, **more)
        for _ in range(ATTEMPTS):
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or "retry-after" not in answer.headers:
                break
            self.storm.done["asked again"] += 1
            await asyncio.sleep(0.2)
            answer = await self._ask(method, address, **more)
        if answer.status_code >= 500:
            self.storm.faults.append(f"{method} {address}: {answer.status_code} {answer.text[:300]}")
        return answer

    async def _ask(self, method: str, address: str | httpx.URL, **more: Any) -> Answer:
        await self.storm.is_up.wait()
        # From here to `_sign_in`'s first line nothing waits: the life that it reads is the one that serves now.
        try:
            await self._sign_in()
            return await self.http.request(method, address, **more)
        except httpx.TransportError as error:
            if self.life == self.storm.lives:
                self.storm.faults.append(f"{method} {address}: {error!r} without a kill")
            raise Interrupted from error

    def expect(self, answer: Answer, *statuses: int) -> bool:
        """Whether it has one of these statuses; another one is a fault."""
        if answer.status_code in statuses:
            return True
        request = answer.request
        self.storm.faults.append(f"{request.method} {request.url}: {answer.status_code} {answer.text[:300]}")
        return False

    async def _sign_in(self) -> None:
        """A connection to this life of the server, and a token that is still good."""
        if self.life != self.storm.lives:
            self.life, self.token_ends = self.storm.lives, 0.0
            await self.http.aclose()
            trust = ssl.create_default_context(cafile=str(self.storm.server.ca))
            self.http = httpx.AsyncClient(
                base_url=self.storm.server.url, verify=trust, trust_env=False, timeout=ANSWERED_WITHIN_S
            )
        if time.monotonic() > self.token_ends:
            self.http.headers["Authorization"] = f"Bearer {await fetch_token(self.http)}"
            self.token_ends = time.monotonic() + TOKEN_LIVES_S


async def pull(ask: Callable[..., Coroutine[Any, Any, Answer]], name: Name) -> list[str]:
    """Pull an image with all that it names: what is wrong with it."""
    manifest = await ask("GET", f"/v2/{name.repository}/manifests/{name.reference}")
    if manifest.status_code != 200:
        return [f"{name}: {manifest.status_code} {manifest.text[:300]}"]
    faults = []
    expected = name.reference if ":" in name.reference else manifest.headers["docker-content-digest"]
    if sha256(manifest.content) != expected:
        faults.append(f"{name}: the manifest is {sha256(manifest.content)}")
        return faults
    body = manifest.json()
    for entry in body.get("manifests", []):
        faults += [f"{name}: {what}" for what in await pull(ask, Name(name.repository, entry["digest"]))]
    for entry in (*([body["config"]] if "config" in body else []), *body.get("layers", [])):
        blob = await ask("GET", f"/v2/{name.repository}/blobs/{entry['digest']}")
        if blob.status_code != 200 or sha256(blob.content) != entry["digest"]:
            faults.append(f"{name}: blob {entry['digest']}: {blob.status_code}, {len(blob.content)} bytes")
    return faults


async def fetch_token(http: httpx.AsyncClient) -> str:
    """The operator's token for all that the storm touches."""
    scopes = [f"repository:{repository}:pull,push,delete" for repository in (*REPOSITORIES, FLEETING)]
    query = {"scope": [*scopes, "registry:catalog:*"]}
    answer = await http.get("/token", params=query, auth=(OPERATOR.name, OPERATOR.password))
    answer.raise_for_status()
    return str(answer.json()["token"])


@asynccontextmanager
async def signed_in(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the operator's token, for the length of a block."""
    trust = ssl.create_default_context(cafile=str(server.ca))
    async with httpx.AsyncClient(base_url=server.url, verify=trust, trust_env=False, timeout=ANSWERED_WITHIN_S) as http:
        http.headers["Authorization"] = f"Bearer {await fetch_token(http)}"
        yield http
