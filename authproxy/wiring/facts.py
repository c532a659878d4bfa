"""Where a request came from, as conditions of rules ask it."""

from authproxy.client_view import ClientView
from authproxy.policy.request import RequestFacts

_TLS = {"https": True, "http": False}


def request_facts(view: ClientView) -> RequestFacts:
    """The facts of a request; what the edge does not know stays unknown."""
    return RequestFacts(view.client, _TLS.get(view.scheme))
