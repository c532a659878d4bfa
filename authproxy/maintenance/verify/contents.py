"""Is stored content what its digest says? Decided by two equal reads of one version; an error decides nothing."""

import asyncio
from dataclasses import dataclass
from typing import TypeAlias

from authproxy.digest import Digest, Hasher, new_hasher
from authproxy.maintenance.verify.stored import FAULTS
from authproxy.maintenance.verify.throttle import Throttle
from authproxy.storage import layout
from authproxy.storage.driver import Driver, NotFound
from authproxy.storage.layout import StorePath

# Bytes that are hashed at once in a thread; fewer are hashed where they are.
HASHED_AT_ONCE_BYTES = 1024 * 1024
HASH_HERE_BYTES = 64 * 1024

# How long after a wrong read the second one begins, in seconds: another program may be about to write the file, which
# CNCF Distribution does in place.
PAUSE_S = 0.2

# How often content that is replaced while it is read is read again.
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Sound:
    """It is what its digest says."""

    size: int


@dataclass(frozen=True, slots=True)
class Gone:
    """There is none, or not any more."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """It is not what its digest says. `version`: see `Driver.version`."""

    version: str
    size: int


@dataclass(frozen=True, slots=True)
class ReadFailed:
    """It can't be read: nothing is known about it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unstable:
    """Two reads of the same version differ: the fault may be in the machine, and not in what is stored."""


Verdict: TypeAlias = Sound | Gone | Wrong | ReadFailed | Unstable


async def check_content(driver: Driver, digest: Digest, throttle: Throttle, *, stored: Digest | None = None) -> Verdict:
    """Read content, twice where it is wrong, and judge it.

    `stored`: the digest under which it is stored, if it isn't this one.
    """
    path = layout.blob(stored or digest)
    for attempt in range(ATTEMPTS):
        try:
            version = await driver.version(path)
            if version is None:
                return Gone()
            first = await _read(driver, path, digest.algorithm, throttle)
            if first[0] == digest.hex:
                return Sound(first[1])
            await asyncio.sleep(PAUSE_S)
            await driver.drop_cached(path)
            second = await _read(driver, path, digest.algorithm, throttle)
            if await driver.version(path) != version:
                continue
        except NotFound:
            continue
        except FAULTS as error:
            if attempt < ATTEMPTS - 1:
                continue
            return ReadFailed(reason_of(error))
        return Wrong(version, first[1]) if first == second else Unstable()
    return ReadFailed("it is replaced all the time")


def reason_of(error: Exception) -> str:
    """Why something could not be read, without paths of this machine."""
    return getattr(error, "strerror", None) or str(error)


async def _read(driver: Driver, path: StorePath, algorithm: str, throttle: Throttle) -> tuple[str, int]:
    """The hex digest and the size of content. Raises NotFound, OSError, Unavailable."""
    hasher = new_hasher(algorithm)
    pieces: list[bytes | bytearray] = []
    waiting = 0
    async with driver.open_reader(path) as reader:
        async for piece in reader.pieces(0, reader.size):
            await throttle.take(len(piece))
            pieces.append(piece)
            waiting += len(piece)
            if waiting >= HASHED_AT_ONCE_BYTES:
                await asyncio.to_thread(_hash, hasher, pieces)
                pieces, waiting = [], 0
        if waiting > HASH_HERE_BYTES:
            await asyncio.to_thread(_hash, hasher, pieces)
        else:
            _hash(hasher, pieces)
        return hasher.hexdigest(), reader.size


def _hash(hasher: Hasher, pieces: list[bytes | bytearray]) -> None:
    for piece in pieces:
        hasher.update(piece)
