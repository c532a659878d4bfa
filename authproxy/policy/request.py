"""The facts of a request that conditions may read. Policies know nothing of HTTP."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """The facts of one request. A condition about an unknown fact is undecidable."""

    address: str = ""  # the client's address, after forwarded headers of trusted peers; "": unknown
    tls: bool | None = None  # whether the client used TLS, to us or to a trusted peer; None: unknown
