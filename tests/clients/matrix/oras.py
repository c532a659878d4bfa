"""oras 1.2, which is oras-go 2, by its source: which requests it sends, in which order, byte by byte.

Its ways: it asks without a token first, or with the one that it has for the scopes that it will need. It gets one by
GET with a password or with nothing, and by POST only with a refresh token; an access token from its configuration goes
out as it is. The scopes of a challenge are joined with its own, and sorted.
"""

import base64
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from authproxy.digest import Digest
from tests.clients.matrix.driver import TAG, Login, Setting
from tests.clients.matrix.gohttp import GaveUp, Transport, encode, in_words, read_challenge
from tests.clients.matrix.recording import Exchange
from tests.support.image import MANIFEST_TYPE, Image
from tests.support.program import Outcome
from tests.support.wire import Answer

AGENT = "oras/1.2.0"
FORM = "application/x-www-form-urlencoded"
MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    f"{MANIFEST_TYPE}, application/vnd.oci.image.index.v1+json, application/vnd.oci.artifact.manifest.v1+json"
)


@dataclass(frozen=True, slots=True)
class OrasDriver:
    """oras. `talk` has all that it has sent so far, and the answers."""

    setting: Setting
    talk: list[Exchange] = field(default_factory=list)

    def pull(self, login: Login, repository: str) -> Outcome:
        """Fetch the manifest by its tag, then what it names."""

        def steps(oras: Oras) -> None:
            manifest = oras.need("GET", f"/v2/{repository}/manifests/{TAG}", {"Accept": MANIFESTS})
            names = json.loads(manifest.body)
            for entry in (names["config"], *names["layers"]):
                blob = oras.need("GET", f"/v2/{repository}/blobs/{entry['digest']}", {})
                assert str(Digest.of(blob.body)) == entry["digest"]

        return self._follow(steps, login, f"repository:{repository}:pull")

    def push(self, login: Login, repository: str) -> Outcome:
        """Every blob that is not there, then the manifest."""

        def steps(oras: Oras) -> None:
            oras.push(repository, self.setting.fresh)

        return self._follow(steps, login, f"repository:{repository}:pull,push")

    def delete(self, login: Login, repository: str) -> Outcome:
        """Look the digest up, look whether the manifest has a subject, and delete by the digest."""

        def steps(oras: Oras) -> None:
            tag = oras.need("HEAD", f"/v2/{repository}/manifests/{TAG}", {"Accept": MANIFESTS})
            path = f"/v2/{repository}/manifests/{tag.headers['docker-content-digest']}"
            oras.need("GET", path, {"Accept": tag.headers["content-type"]})
            oras.need("DELETE", path, {}, status=HTTPStatus.ACCEPTED)

        return self._follow(steps, login, f"repository:{repository}:delete,pull")

    def mount(self, login: Login, source: str, repository: str) -> Outcome:
        """Ask for each blob of the source, send those that are not given, then the manifest."""

        def steps(oras: Oras) -> None:
            oras.push(repository, self.setting.bases[source], source)

        return self._follow(steps, login, f"repository:{repository}:pull,push")

    def _follow(self, steps: Callable[["Oras"], None], login: Login, scope: str) -> Outcome:
        server = self.setting.server
        transport = Transport(server.port, ssl.create_default_context(cafile=str(server.ca)), AGENT, self.talk)
        try:
            steps(Oras(transport, login, scope))
        except GaveUp as error:
            return Outcome(("oras", scope), 1, "", str(error))
        finally:
            transport.close()
        return Outcome(("oras", scope), 0, "", "")


class Oras:
    """The client of one command, which says beforehand what `scope` it will need."""

    def __init__(self, transport: Transport, login: Login, scope: str) -> None:
        self._transport = transport
        self._login = login
        self._scope = scope
        self._tokens: dict[tuple[str, ...], str] = {}  # by the scopes that they were asked for
        self._may_renew = bool(login.password)
        if login.access_token and self._may_renew:
            self._tokens[(scope,)] = login.access_token

    def need(
        self, method: str, path: str, fields: dict[str, str], body: bytes | None = None, *, status: int = HTTPStatus.OK
    ) -> Answer:
        """A request that has to be answered with this status. Raises GaveUp."""
        answer = self.ask(method, path, fields, body)
        if answer.status != status:
            raise GaveUp(f"{method} {path}: response status code {in_words(answer)}")
        return answer

    def ask(
        self, method: str, path: str, fields: dict[str, str], body: bytes | None = None, *more_scopes: str
    ) -> Answer:
        """A request, and once more with another token where the first answer is a challenge."""
        scopes = join_scopes((self._scope, *more_scopes))
        answer = self._transport.send(method, path, fields | _bearer(self._tokens.get(scopes)), body)
        if answer.status != HTTPStatus.UNAUTHORIZED:
            return answer
        challenge = read_challenge(answer)
        scopes = join_scopes((*scopes, *challenge.get("scope", "").split()))
        self._tokens[scopes] = self._fetch(challenge["realm"], challenge["service"], scopes)
        return self._transport.send(method, path, fields | _bearer(self._tokens[scopes]), body)

    def push(self, repository: str, image: Image, source: str = "") -> None:
        """What is not there yet; with a source, each blob is asked for there first. Raises GaveUp."""
        root = f"/v2/{repository}/manifests/{Digest.of(image.manifest)}"
        if self._is_there(root, {"Accept": MANIFESTS}):
            return
        for content in (image.config, image.layer):
            if not self._is_there(f"/v2/{repository}/blobs/{Digest.of(content)}", {}):
                self._push_blob(repository, content, source)
        path = f"/v2/{repository}/manifests/{TAG}"
        self.need("PUT", path, {"Content-Type": MANIFEST_TYPE}, image.manifest, status=HTTPStatus.CREATED)

    def _is_there(self, path: str, fields: dict[str, str]) -> bool:
        answer = self.ask("HEAD", path, fields)
        if answer.status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
            raise GaveUp(f"HEAD {path}: response status code {in_words(answer)}")
        return answer.status == HTTPStatus.OK

    def _push_blob(self, repository: str, content: bytes, source: str) -> None:
        """The session is written to with the token that opened it."""
        digest = str(Digest.of(content))
        mount = f"?mount={digest}&from={source}" if source else ""
        more_scopes = (f"repository:{source}:pull",) if source else ()
        opened = self.ask("POST", f"/v2/{repository}/blobs/uploads/{mount}", {}, b"", *more_scopes)
        if opened.status == HTTPStatus.ACCEPTED:
            address = urlsplit(opened.headers["location"])
            query = encode(dict(parse_qsl(address.query)) | {"digest": digest})
            kind = {"Content-Type": "application/octet-stream"}
            opened = self.ask("PUT", address._replace(query=query).geturl(), kind, content, *more_scopes)
        if opened.status != HTTPStatus.CREATED:
            raise GaveUp(f"response status code {in_words(opened)}")

    def _fetch(self, realm: str, service: str, scopes: tuple[str, ...]) -> str:
        login = self._login
        if login.access_token and not self._may_renew:
            return login.access_token
        if login.refresh_token:
            form = {
                "client_id": "oras-go",
                "grant_type": "refresh_token",
                "refresh_token": login.refresh_token,
                "scope": " ".join(scopes),
                "service": service,
            }
            answer = self._transport.send("POST", realm, {"Content-Type": FORM}, encode(form).encode())
        else:
            basic = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
            fields = {"Authorization": f"Basic {basic}"} if login.user else {}
            query = encode({"scope": list(scopes), "service": service})
            answer = self._transport.send("GET", f"{realm}?{query}", fields)
        if answer.status != HTTPStatus.OK:
            raise GaveUp(f"{realm}: response status code {in_words(answer)}")
        return str(json.loads(answer.body)["access_token"])


def join_scopes(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """One scope for each name, actions and scopes in their order."""
    actions: dict[str, set[str]] = {}
    for scope in scopes:
        name, _, wanted = scope.rpartition(":")
        actions.setdefault(name, set()).update(wanted.split(","))
    return tuple(sorted(f"{name}:{','.join(sorted(wanted))}" for name, wanted in actions.items()))


def _bearer(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}
