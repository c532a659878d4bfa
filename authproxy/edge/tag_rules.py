"""Rules about tags, which a token's scope cannot express: evaluated when the request is served.

A missing scope is 401 with a challenge, because a better token would help. A rule that refuses with any token is 403
`DENIED` with its reason. Tags in the request are checked here. Rules that depend on the registry's content (does the
tag exist already?) are left to the backend, which finds the caller's permissions in the scope: `tag_protection.py`.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from authproxy.access import Grant
from authproxy.asgi import CLIENT_VIEW, GRANT, ROUTE, App, Receive, Scope, Send
from authproxy.client_view import ClientView
from authproxy.permissions import PERMISSIONS, Permissions, Verb
from authproxy.route import Kind, Route

# The permissions of a caller for a request; None if no rule could restrict it.
FindPermissions: TypeAlias = Callable[[Route, Grant, ClientView], Permissions | None]

_VERBS: dict[str, Verb] = {"GET": "pull", "HEAD": "pull", "PUT": "push", "DELETE": "delete"}


class EnforceTagRules:
    """Refuses requests whose tags a rule denies, and passes the caller's permissions to the backend with all others."""

    def __init__(self, app: App, *, find: FindPermissions) -> None:
        self.app = app
        self.find = find

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass on. Raises Denied."""
        route: Route = scope[ROUTE]
        permissions = self.find(route, scope[GRANT], scope[CLIENT_VIEW])
        if permissions is not None:
            if route.kind is Kind.MANIFEST:
                _check_tags(route, permissions)
            scope[PERMISSIONS] = permissions
        return self.app(scope, receive, send)


def _check_tags(route: Route, permissions: Permissions) -> None:
    verb = _VERBS[route.method]
    if not permissions.concern(verb):
        return
    for tag in route.tags:
        if refusal := permissions.refusal(verb, tag):
            raise refusal
