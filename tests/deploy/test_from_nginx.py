"""The page docs/how-to/from-nginx.md, followed: a real nginx by CNCF's recipe, then authproxy in its place."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from tests.deploy import pages
from tests.support.binaries import binary
from tests.support.image import make_image, write_layout
from tests.support.nginx import running_nginx
from tests.support.peers import running_docker_registry
from tests.support.program import Outcome, environment, run, succeed
from tests.support.server import AUTHPROXY, running_server

PAGE = "from-nginx"
USER, PASSWORD = "testuser", "testpassword"
NGINX_USER, NEW_PASSWORD = "old", "a new one, which is bcrypt"
KNOWN_WITHIN_S = 20.0

# `docs/content/recipes/nginx.md`, what is in its server, with other paths.
RECIPE = """\
server_name myregistrydomain.com;
ssl_certificate {folder}/domain.crt;
ssl_certificate_key {folder}/domain.key;
client_max_body_size 0;
chunked_transfer_encoding on;
location /v2/ {{
  auth_basic "Registry realm";
  auth_basic_user_file {folder}/nginx.htpasswd;
  proxy_pass                          {registry};
  proxy_set_header  Host              $http_host;
  proxy_set_header  X-Real-IP         $remote_addr;
  proxy_set_header  X-Forwarded-For   $proxy_add_x_forwarded_for;
  proxy_set_header  X-Forwarded-Proto $scheme;
  proxy_read_timeout                  900;
}}
"""


@dataclass(frozen=True, slots=True)
class Before:
    """What there was: files, data, and an image that was pushed through nginx."""

    folder: Path
    registry: str  # the URL of CNCF Distribution
    digest: str

    @property
    def data(self) -> Path:
        """The folder of CNCF Distribution's data."""
        return self.folder / "peer/registry"

    def skopeo(self, verb: str, *arguments: str, user: str = USER, password: str = PASSWORD) -> Outcome:
        """Run skopeo with credentials; it trusts the authority of domain.crt alone."""
        side = "" if verb == "inspect" else "dest-"
        options = (f"--{side}cert-dir", str(self.folder / "trust"), f"--{side}creds", f"{user}:{password}")
        program = (binary("skopeo"), "--insecure-policy", verb, *options)
        return run(*program, *arguments, env=environment(self.folder))

    def digest_at(self, host: str) -> str:
        """What is pulled there as `test:1`."""
        outcome = self.skopeo("inspect", "--format", "{{.Digest}}", f"docker://{host}/test:1")
        assert outcome.code == 0, str(outcome)
        return outcome.out.strip()


@pytest.fixture
def before(tmp_path: Path) -> Iterator[Before]:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    (tmp_path / "domain.crt").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(tmp_path / "domain.key")
    (tmp_path / "trust").mkdir()
    authority.cert_pem.write_to_path(tmp_path / "trust/ca.crt")
    passwords = ("-Bbn", USER), ("-mbn", NGINX_USER)  # bcrypt, and the MD5 of Apache's that nginx takes too
    lines = [succeed(binary("htpasswd"), *who, PASSWORD, env=environment(tmp_path)).out.strip() for who in passwords]
    (tmp_path / "nginx.htpasswd").write_text("".join(f"{line}\n" for line in lines))
    with running_docker_registry(tmp_path / "peer") as registry:
        server = RECIPE.format(folder=tmp_path, registry=registry)
        with running_nginx(tmp_path / "nginx", server, has_tls=True) as url:
            it = Before(tmp_path, registry, digest="")
            host = url.removeprefix("https://").replace("127.0.0.1", "localhost")
            layout = write_layout(make_image("pushed through nginx"), tmp_path / "layout", "1")
            pushed = it.skopeo("copy", layout, f"docker://{host}/test:1", user=NGINX_USER)
            assert pushed.code == 0, str(pushed)
            digest = it.digest_at(host)
        yield Before(tmp_path, registry, digest)


def configuration(before: Before, *, is_in_place_of_both: bool = False) -> str:
    """The page's YAML, with the paths of this test."""
    page = (pages.HOW_TO / f"{PAGE}.md").read_text()
    first, storage, _ = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    text: str = first.partition("upstream:")[0] + storage if is_in_place_of_both else first
    replaced = {
        "/etc/nginx/conf.d": str(before.folder),
        "http://registry:5000": before.registry,
        "/srv/registry": str(before.data),
    }
    for theirs, ours in replaced.items():
        text = text.replace(theirs, ours)
    return text


def type_in(folder: Path, start: str) -> Outcome:
    """Run the page's only command that begins so."""
    words = pages.typed(PAGE, start, folder)
    assert words[0] == "authproxy"
    return run(AUTHPROXY, *words[1:], env=environment(folder), cwd=folder)


def test_nginx_is_replaced_and_the_registry_stays(before: Before, tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(configuration(before))
    checked = type_in(tmp_path, "authproxy config check")
    assert checked.code == 0
    assert checked.out.endswith("config.yml: ok: a password with each request\n")
    assert "entries without a bcrypt hash cannot log in: old;" in checked.text
    examined = type_in(tmp_path, "authproxy doctor")
    assert examined.code == 0, str(examined)
    with running_server(tmp_path, arguments=["config.yml"]) as server:
        assert before.digest_at(server.host) == before.digest
        again = write_layout(make_image("pushed past nginx"), tmp_path / "again", "1")
        assert before.skopeo("copy", again, f"docker://{server.host}/another:1").code == 0
        assert before.skopeo("copy", again, f"docker://{server.host}/another:2", password="wrong").code != 0
        assert NGINX_USER in server.output, "who cannot log in any more is named"
        target = f"docker://{server.host}/another:2"
        assert before.skopeo("copy", again, target, user=NGINX_USER).code != 0
        give_a_new_password(tmp_path)
        deadline = time.monotonic() + KNOWN_WITHIN_S
        while (pushed := before.skopeo("copy", again, target, user=NGINX_USER, password=NEW_PASSWORD)).code != 0:
            assert time.monotonic() < deadline, str(pushed)


def give_a_new_password(folder: Path) -> None:
    """As the page has it, to somebody else."""
    words = [NGINX_USER if word == "alice" else word for word in pages.typed(PAGE, "authproxy user password", folder)]
    succeed(
        *(AUTHPROXY, *words[1:], "--password-stdin"), env=environment(folder), cwd=folder, stdin=f"{NEW_PASSWORD}\n"
    )


def test_both_are_replaced(before: Before, tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(configuration(before, is_in_place_of_both=True))
    with running_server(tmp_path, arguments=["config.yml"]) as server:
        assert before.digest_at(server.host) == before.digest
