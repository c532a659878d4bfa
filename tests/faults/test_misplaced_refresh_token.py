"""What docker stored, sent as a password by other clients: refused with the reason, at `/token` and at `/v2/`."""

from pathlib import Path

from tests.support.people import OPERATOR
from tests.support.server import running_server

OFFLINE = {"offline_token": "true", "service": "authproxy"}
AS_PASSWORD = "the password is a refresh token, as docker login stored it"


def test_the_answer_and_the_log_say_what_was_sent(tmp_path: Path) -> None:
    with running_server(tmp_path / "server") as server, server.client() as client:
        login = (OPERATOR.name, OPERATOR.password)
        refresh = client.get("/token", params=OFFLINE, auth=login).json()["refresh_token"]
        for path in ("/token", "/v2/", "/v2/_catalog"):
            for user, password, told in (
                (OPERATOR.name, refresh, AS_PASSWORD),
                ("nobody-we-know", refresh, AS_PASSWORD),
                (OPERATOR.name, "", "the password is empty"),
                (OPERATOR.name, f"{refresh}x", "incorrect username or password"),
            ):
                answer = client.get(path, auth=(user, password))
                assert (answer.status_code, "www-authenticate" in answer.headers) == (401, True)
                assert told in answer.json()["errors"][0]["message"]
                assert told in server.output
        assert refresh not in server.output


def test_without_refresh_tokens_docker_gets_none_and_earlier_ones_are_over(tmp_path: Path) -> None:
    login = (OPERATOR.name, OPERATOR.password)
    with running_server(tmp_path / "server") as server, server.client() as client:
        refresh = client.get("/token", params=OFFLINE, auth=login).json()["refresh_token"]
    with running_server(tmp_path / "server", {"REGISTRY_TOKEN_REFRESH": "false"}) as server, server.client() as client:
        assert "refresh_token" not in client.get("/token", params=OFFLINE, auth=login).json()
        answer = client.post("/token", data={"grant_type": "refresh_token", "refresh_token": refresh})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_grant")
        assert "refresh tokens are switched off here" in answer.json()["error_description"]
        described = client.get("/.well-known/openid-configuration").json()
        assert described["grant_types_supported"] == ["password"]
