"""WWW-Authenticate, word for word as clients parse it."""

from authproxy.access import CATALOG, pull, push
from authproxy.client_view import ClientView
from authproxy.edge.challenge import BasicChallenge, BearerChallenge

CLIENT_VIEW = ClientView("https", "localhost:5000", "127.0.0.1")


def test_a_challenge_names_realm_service_and_scope() -> None:
    assert BearerChallenge("authproxy")(CLIENT_VIEW, (pull("a/b"), push("a/b"))) == (
        'Bearer realm="https://localhost:5000/token",service="authproxy",scope="repository:a/b:pull,push"'
    )


def test_the_base_path_needs_no_scope() -> None:
    assert "scope" not in BearerChallenge("authproxy")(CLIENT_VIEW, ())


def test_the_error_is_there_where_a_token_was_sent() -> None:
    challenge = BearerChallenge("authproxy")(CLIENT_VIEW, (CATALOG,), "insufficient_scope")
    assert challenge.endswith('scope="registry:catalog:*",error="insufficient_scope"')


def test_a_description_stands_beside_the_error_and_is_harmless() -> None:
    challenge = BearerChallenge("authproxy")(CLIENT_VIEW, (), "insufficient_scope", 'zoë "may" not\\\r\nX: y')
    assert challenge.endswith(',error="insufficient_scope",error_description="zo? ?may? not???X: y"')


def test_without_an_error_nothing_is_described() -> None:
    assert "error" not in BearerChallenge("authproxy")(CLIENT_VIEW, (), None, "authentication required")


def test_a_configured_realm_wins_over_the_host() -> None:
    assert 'realm="https://auth.example/token"' in BearerChallenge("s", "https://auth.example/token")(CLIENT_VIEW, ())


def test_quotes_cannot_break_out() -> None:
    assert BasicChallenge('a"b\\c')(CLIENT_VIEW, ()) == 'Basic realm="a\\"b\\\\c", charset="UTF-8"'
