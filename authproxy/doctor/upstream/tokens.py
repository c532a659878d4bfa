"""Tokens of ours for an upstream that verifies them: as `/token` makes them, for nobody, and for a minute."""

from collections.abc import Sequence
from dataclasses import dataclass

from authproxy.access import Access
from authproxy.clock import Clock
from authproxy.doctor.examine import Ours, signing_now


@dataclass(frozen=True, slots=True)
class OurTokens:
    """`Presents`: a token for each request, which grants what it needs. `ours` can sign: `signing_now` is not None."""

    ours: Ours
    now: Clock

    async def authorization(self, needs: Sequence[Access]) -> bytes:
        """The value of `Authorization`."""
        return f"Bearer {signing_now(self.ours, self.now(), needs)}".encode()
