"""Answers to anonymous callers, that serve the same question again for a moment.

A fleet without credentials asks one question thousands of times a second, and each answer costs a signature. An answer
holds for as long as a change of policies, keys or revocations may take to be seen anyway (`watch.LOOK_EVERY_S`), so
everything is still in force within two seconds; a token lives for a minute at least, and its answer says when it was
issued. Where it came from is part of the question, since rules may look at it.
"""

import time
from dataclasses import dataclass
from typing import TypeAlias

from authproxy.asgi import Headers
from authproxy.clock import Clock
from authproxy.files.watcher import LOOK_EVERY_S
from authproxy.token.grant import TokenAnswer
from authproxy.token.request import TokenRequest

# The address of who asks and how they came, as "https"; and the query as it came.
Question: TypeAlias = tuple[str, str, bytes]

MAX_ANSWERS = 1000
# Longer than that of any client; an answer has at most some kilobytes.
MAX_QUERY_BYTES = 2048


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A question as it was read, and its answer as it was sent."""

    request: TokenRequest
    answer: TokenAnswer
    headers: Headers
    body: bytes


class AnonymousCache:
    """For one event loop. `now` counts seconds and never goes back."""

    def __init__(self, *, now: Clock = time.monotonic, max_answers: int = MAX_ANSWERS) -> None:
        self._now = now
        self._max_answers = max_answers
        self._held: dict[Question, tuple[float, CachedAnswer]] = {}  # until when; the first is the next to go

    def find(self, question: Question) -> CachedAnswer | None:
        """The answer that was given a moment ago."""
        held = self._held.get(question)
        return held[1] if held is not None and self._now() < held[0] else None

    def hold(self, question: Question, answered: CachedAnswer) -> None:
        """Let this answer serve the same question."""
        if len(question[2]) > MAX_QUERY_BYTES:
            return
        self._held.pop(question, None)  # so that it becomes the last to go
        self._held[question] = self._now() + LOOK_EVERY_S, answered
        if len(self._held) > self._max_answers:
            del self._held[next(iter(self._held))]
