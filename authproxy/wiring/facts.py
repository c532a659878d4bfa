"""Where a request came from, as conditions of rules ask it."""

from authproxy.client_view import Origin
from authproxy.policy.request import RequestFacts

_TLS = {"https": True, "http": False}


def request_facts(origin: Origin) -> RequestFacts:
    """The facts of a request; what the edge does not know stays unknown."""
    return RequestFacts(origin.client, _TLS.get(origin.scheme))
