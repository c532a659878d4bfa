"""A short-lived cache of answers to anonymous token requests.

A fleet without credentials sends one request thousands of times a second, and each answer costs a signature. An answer
is reused for as long as a change of policies, keys or revocations may go unnoticed anyway (`watcher.LOOK_EVERY_S`), so
everything is still in force within two seconds. A token lives for at least a minute, and its answer says when it was
issued. The client's address is part of the key, since rules may depend on it.
"""

import time
from dataclasses import dataclass
from typing import TypeAlias

from authproxy.asgi import Headers
from authproxy.clock import Clock
from authproxy.files.watcher import LOOK_EVERY_S
from authproxy.token.grant import TokenAnswer
from authproxy.token.request import TokenRequest

# The client's address and scheme ("https"), and the raw query.
Question: TypeAlias = tuple[str, str, bytes]

MAX_ANSWERS = 1000
# Longer than that of any client; an answer has at most some kilobytes.
MAX_QUERY_BYTES = 2048


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A parsed request, and the answer that was sent."""

    request: TokenRequest
    answer: TokenAnswer
    headers: Headers
    body: bytes


class AnonymousCache:
    """Recent answers, for one event loop. `now` counts seconds and never goes back."""

    def __init__(self, *, now: Clock = time.monotonic, max_answers: int = MAX_ANSWERS) -> None:
        self._now = now
        self._max_answers = max_answers
        self._held: dict[Question, tuple[float, CachedAnswer]] = {}  # until when; the first is the next to be evicted

    def find(self, question: Question) -> CachedAnswer | None:
        """The answer to the same request, if it is recent enough."""
        held = self._held.get(question)
        return held[1] if held is not None and self._now() < held[0] else None

    def hold(self, question: Question, answered: CachedAnswer) -> None:
        """Reuse this answer for the same request."""
        if len(question[2]) > MAX_QUERY_BYTES:
            return
        self._held.pop(question, None)  # so that it becomes the last to be evicted
        self._held[question] = self._now() + LOOK_EVERY_S, answered
        if len(self._held) > self._max_answers:
            del self._held[next(iter(self._held))]
