"""A push over a slow line that outlives its token: through the core and the proxy at once.

The token that opened the upload session must stay valid for that session, and expire for everything else.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from authproxy.digest import Digest
from benchmarks.content import MIB
from benchmarks.errors import WrongAnswer
from benchmarks.ours import start_ours
from benchmarks.peer import start_registry
from benchmarks.programs import find_program
from benchmarks.target import REPOSITORY, Target

# The shortest lifetime of a token, and the minimum duration of a push: verifiers allow ten seconds more.
TOKEN_LIFE_S = 60
PUSH_S = 100
CHUNKS = 4
_CHUNK_BYTES = 4 * MIB
_PIECES = 25  # of each chunk, sent at even intervals


@dataclass(frozen=True, slots=True)
class LongPush:
    """One push with one token, and how long it took."""

    through: str
    size_mib: int
    seconds: float
    token_life_s: int = TOKEN_LIFE_S


def push_slowly(folder: Path) -> list[LongPush]:
    """Through the core, and the proxy if docker-registry is installed. Raises WrongAnswer. Makes `folder`."""
    with ExitStack() as servers:
        life = f"{TOKEN_LIFE_S}s"
        targets = {"core": servers.enter_context(start_ours(folder / "core", token_life=life))}
        if find_program("docker-registry") is not None:
            _, port = servers.enter_context(start_registry(folder / "upstream"))
            upstream = f"http://127.0.0.1:{port}"
            targets["proxy"] = servers.enter_context(start_ours(folder / "proxy", upstream=upstream, token_life=life))
        with ThreadPoolExecutor(len(targets)) as together:
            return list(together.map(_push, targets, targets.values()))


def _push(through: str, target: Target) -> LongPush:
    content = os.urandom(CHUNKS * _CHUNK_BYTES)
    authorization = target.authorization()
    began = time.perf_counter()
    with target.connect(authorization) as client:
        location, other = client.open_upload(REPOSITORY), client.open_upload(REPOSITORY)
        for first in range(0, len(content), _CHUNK_BYTES):
            chunk = memoryview(content)[first : first + _CHUNK_BYTES]
            location = client.append(location, _throttled(chunk, PUSH_S / CHUNKS), len(chunk))
        took_s = time.perf_counter() - began
        if took_s < TOKEN_LIFE_S + 2 * 10:
            raise WrongAnswer(f"the push through the {through} took {took_s:.0f} s, no longer than its token lives")
        client.request("GET", "/v2/", expect=401)
        # The field that signs the session's address, on the address of another session.
        moved = f"{other.partition('?')[0]}?{location.partition('?')[2]}"
        client.request("GET", moved, expect=401)
        client.close_upload(location, Digest.of(content))
        took_s = time.perf_counter() - began
    with target.connect(target.authorization()) as client:
        if client.download(f"/v2/{REPOSITORY}/blobs/{Digest.of(content)}") != (len(content), Digest.of(content)):
            raise WrongAnswer(f"what was pushed slowly through the {through} came back as something else")
    return LongPush(through, len(content) // MIB, took_s)


def _throttled(chunk: memoryview, seconds: float) -> Iterator[memoryview]:
    size = -(-len(chunk) // _PIECES)
    for first in range(0, len(chunk), size):
        time.sleep(seconds / _PIECES)
        yield chunk[first : first + size]
