"""`auth.silly`: no protection, for tests, as in CNCF Distribution.

Any `Authorization` header allows everything; a request without one gets a 401 with a Bearer challenge.
"""

from authproxy.asgi import CLIENT_VIEW, ROUTE, App, Receive, Scope, Send, find_header
from authproxy.edge.challenge import ChallengeMaker
from authproxy.errors import Unauthorized
from authproxy.route import parse_route


class AcceptAnything:
    """Parse the route and require the header, whatever its content."""

    def __init__(self, app: App, *, challenge: ChallengeMaker) -> None:
        self.app = app
        self.challenge = challenge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or raise the error of the protocol."""
        route = parse_route(scope["method"], scope["raw_path"], scope["query_string"])
        if not find_header(scope["headers"], b"authorization"):
            raise Unauthorized("any credentials will do", challenge=self.challenge(scope[CLIENT_VIEW], route.needs))
        scope[ROUTE] = route
        await self.app(scope, receive, send)
