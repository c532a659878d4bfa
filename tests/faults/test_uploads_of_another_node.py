"""Two servers over one storage: without a common `http.secret` neither takes the other's upload sessions."""

from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import bcrypt
import httpx
import pytest

from tests.support.server import Server, running_server

CONFIGURATION = """\
version: 0.1
log: {{level: info}}
http: {{addr: "127.0.0.1:0"{secret}}}
storage: {{filesystem: {{rootdirectory: "{root}"}}}}
auth: {{htpasswd: {{realm: registry, path: "{htpasswd}"}}}}
"""
ANN = ("ann", "ann's own password")


def node(stack: ExitStack, folder: Path, name: str, secret: str) -> Server:
    """A server of its own over the common storage."""
    (folder / "htpasswd").write_bytes(b"ann:" + bcrypt.hashpw(ANN[1].encode(), bcrypt.gensalt(4)) + b"\n")
    (folder / name).mkdir()
    text = CONFIGURATION.format(secret=secret, root=folder / "registry", htpasswd=folder / "htpasswd")
    (folder / name / "config.yml").write_text(text)
    return stack.enter_context(running_server(folder / name, arguments=["config.yml"], has_tls=False))


def send_on(one: Server, other: Server) -> httpx.Response:
    """Open an upload at one node and send its content to the other."""
    with httpx.Client(auth=ANN, trust_env=False, timeout=60) as client:
        opened = client.post(f"{one.url}/v2/team/app/blobs/uploads/")
        assert opened.status_code == 202, opened.text
        parts = urlsplit(opened.headers["location"])
        return client.patch(f"{other.url}{parts.path}?{parts.query}", content=b"hello")


@pytest.mark.parametrize("secret", ["", ", secret: the same on both nodes"], ids=["none", "one"])
def test_a_session_is_good_at_another_node_by_a_common_secret_alone(tmp_path: Path, secret: str) -> None:
    with ExitStack() as stack:
        one, other = (node(stack, tmp_path, name, secret) for name in ("one", "other"))
        answer = send_on(one, other)
        assert answer.status_code == (202 if secret else 400), answer.text
        for server in (one, other):
            assert ("http.secret: missing" in server.output) is not bool(secret)
        if not secret:
            (error,) = answer.json()["errors"]
            assert error["code"] == "BLOB_UPLOAD_INVALID"
            assert "another node or an earlier start of the server signed this Location" in error["message"]
            assert "http.secret" in error["message"]
            (line,) = [line for line in other.output.splitlines() if "upload session refused" in line]
            assert "http.secret" in line
            assert "subject=ann" in line
