"""What a condition may know of the request, as a value: policies know nothing of HTTP."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """How a request came. What is not known is left out of the facts, so that a condition about it cannot be told."""

    address: str = ""  # the client's, forwarded headers of trusted peers taken into account; "" where it is not known
    tls: bool | None = None  # whether the client spoke TLS, to us or to a trusted peer; None where it is not known
