"""A blob from an untrusted storage: its last piece is passed on only if the digest of the whole is right."""

import asyncio

from authproxy.digest import Digest, new_hasher
from authproxy.http.client.errors import WrongContent
from authproxy.http.client.pool import UpstreamResponse

# For a shorter piece, in bytes, handing it to a thread takes longer than hashing it.
WORTH_A_THREAD_BYTES = 64 * 1024


class VerifiedBlob(UpstreamResponse):
    """Another response, with its body verified. One piece is held back while a thread hashes it.

    Iterating, and `rest`, raise WrongContent if the body does not have the digest.
    """

    def __init__(self, answer: UpstreamResponse, digest: Digest) -> None:
        super().__init__(answer.status, answer.headers, *answer.hand_over())
        self._digest = digest
        self._hasher = new_hasher(digest.algorithm)
        self._hashing: asyncio.Future[None] | None = None
        self._held = b""
        self._has_ended = False

    async def __anext__(self) -> bytes:
        """The piece before the last one that was read."""
        while not self._has_ended:
            try:
                piece = await super().__anext__()
            except StopAsyncIteration:
                await self._wait()
                self._check()
                self._has_ended, piece = True, b""
            held, self._held = self._held, piece
            if piece:
                await self._wait()
                self._hash(piece)
            if held:
                return held
        raise StopAsyncIteration

    def rest(self) -> bytes | None:
        """See UpstreamResponse. Verifies the body, if it has all arrived before any of it was read."""
        body = super().rest()
        if body is not None:
            self._hasher.update(body)
            self._check()
        return body

    def _hash(self, piece: bytes) -> None:
        if len(piece) < WORTH_A_THREAD_BYTES:
            self._hasher.update(piece)
        else:
            self._hashing = asyncio.get_running_loop().run_in_executor(None, self._hasher.update, piece)

    async def _wait(self) -> None:
        if self._hashing is not None:
            hashing, self._hashing = self._hashing, None
            await hashing

    def _check(self) -> None:
        found = self._hasher.hexdigest()
        if found != self._digest.hex:
            raise WrongContent(f"the storage sent {self._digest.algorithm}:{found} in place of {self._digest}")
