"""containerd 1.6 as it was recorded at work with `ctr`: which requests it sends, in which order, byte by byte.

Its ways: it asks without a token first. It gets one by POST where it has credentials, and by GET where the POST was
answered 400, 401, 404 or 405. It keeps a token for each list of scopes. Whether a blob is there it asks first, and goes
on with the push where that was denied.
"""

import base64
import json
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from authproxy.digest import Digest
from tests.clients.matrix.driver import TAG, Login, Setting
from tests.clients.matrix.gohttp import GaveUp, Transport, encode, in_words, read_challenge
from tests.clients.matrix.recording import Exchange
from tests.support.image import CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE, Image
from tests.support.program import Outcome
from tests.support.wire import Answer

AGENT = "containerd/1.6.20~ds1"
FORM = "application/x-www-form-urlencoded; charset=utf-8"
MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    f"{MANIFEST_TYPE}, application/vnd.oci.image.index.v1+json, */*"
)
FALLS_BACK_ON = (400, 401, 404, 405)


@dataclass(frozen=True, slots=True)
class ContainerdDriver:
    """containerd. `talk` has all that it has sent so far, and the answers."""

    setting: Setting
    talk: list[Exchange] = field(default_factory=list)

    def pull(self, login: Login, repository: str) -> Outcome:
        """Resolve, then fetch with a fetcher that has no token yet."""

        def steps(transport: Transport) -> None:
            resolver = Containerd(transport, login, (f"repository:{repository}:pull",))
            tag = resolver.need("HEAD", f"/v2/{repository}/manifests/{TAG}", {"Accept": MANIFESTS})
            fetcher = Containerd(transport, login, (f"repository:{repository}:pull",))
            digest, kind = tag.headers["docker-content-digest"], tag.headers["content-type"]
            manifest = fetcher.need("GET", f"/v2/{repository}/manifests/{digest}", {"Accept": f"{kind}, */*"})
            names = json.loads(manifest.body)
            for entry in (names["config"], *names["layers"]):
                accept = f"{entry['mediaType']}, */*"
                blob = fetcher.need("GET", f"/v2/{repository}/blobs/{entry['digest']}", {"Accept": accept})
                assert str(Digest.of(blob.body)) == entry["digest"]

        return self.follow(steps, f"pull {repository}")

    def push(self, login: Login, repository: str) -> Outcome:
        """Without a source that it would know of."""
        return self._push(login, repository, self.setting.fresh)

    def mount(self, login: Login, source: str, repository: str) -> Outcome:
        """Where a blob came from it knows from its own labels."""
        return self._push(login, repository, self.setting.bases[source], source)

    def _push(self, login: Login, repository: str, image: Image, source: str = "") -> Outcome:
        def steps(transport: Transport) -> None:
            pusher = Containerd(transport, login, (f"repository:{repository}:pull,push",))
            for content, kind in ((image.config, CONFIG_TYPE), (image.layer, LAYER_TYPE)):
                pusher.push_blob(repository, content, kind, source)
            pusher.push_manifest(repository, image.manifest)

        return self.follow(steps, f"push {repository}")

    def follow(self, steps: Callable[[Transport], None], words: str) -> Outcome:
        """Run the steps over one connection."""
        server = self.setting.server
        transport = Transport(server.port, ssl.create_default_context(cafile=str(server.ca)), AGENT, self.talk)
        try:
            steps(transport)
        except GaveUp as error:
            return Outcome(("containerd", words), 1, "", str(error))
        finally:
            transport.close()
        return Outcome(("containerd", words), 0, "", "")


class Denied(GaveUp):
    """A token was got, and was not enough."""


@dataclass
class Handler:
    """What is known since the last challenge: where tokens come from, the scope that it named, and the tokens."""

    realm: str
    service: str
    scope: str
    tokens: dict[str, str] = field(default_factory=dict)  # by the scopes that they were asked for


class Containerd:
    """One resolver, fetcher or pusher. `scopes` is what it will need."""

    def __init__(self, transport: Transport, login: Login, scopes: tuple[str, ...]) -> None:
        self._transport = transport
        self._login = login
        self._scopes = scopes
        self._handler: Handler | None = None
        if login.access_token:
            self._handler = Handler("", "", scopes[0], {scopes[0]: login.access_token})

    def need(self, method: str, path: str, fields: dict[str, str]) -> Answer:
        """A request that has to be answered 200."""
        answer = self.ask(method, path, fields)
        if answer.status != HTTPStatus.OK:
            raise GaveUp(f"unexpected status\n{in_words(answer)}")
        return answer

    def ask(
        self, method: str, path: str, fields: dict[str, str], body: bytes | None = None, *more_scopes: str
    ) -> Answer:
        """A request, as often as challenges ask for a token. Any answer but 401; raises GaveUp."""
        scopes, is_first = (*self._scopes, *more_scopes), True
        while True:
            authorization = {"Authorization": f"Bearer {self._token(scopes)}"} if self._handler else {}
            answer = self._transport.send(method, path, fields | authorization, body)
            if answer.status != HTTPStatus.UNAUTHORIZED:
                return answer
            challenge = read_challenge(answer)
            error = challenge.get("error")
            # Without an error the challenge answers a request without a token; a second one of that kind is our fault.
            assert error or not authorization, answer
            if error and not is_first:
                self._handler = None
                raise Denied(f"server message: {error}: authorization failed\n{in_words(answer)}")
            if error or self._handler is None:
                self._handler = Handler(challenge["realm"], challenge["service"], challenge.get("scope", ""))
            is_first = False

    def push_blob(self, repository: str, content: bytes, kind: str, source: str) -> None:
        """Ask whether it is there, open a session or mount it, send it. Raises GaveUp."""
        digest = str(Digest.of(content))
        with suppress(Denied):  # whether it is there stays unknown
            there = self.ask("HEAD", f"/v2/{repository}/blobs/{digest}", {"Accept": f"{kind}, */*"})
            if there.status == HTTPStatus.OK:
                return
        uploads = f"/v2/{repository}/blobs/uploads/"
        if source:
            mount = f"{uploads}?mount={digest}&from={source}"
            opened = self.ask("POST", mount, {}, b"", f"repository:{source}:pull")
        else:
            opened = self.ask("POST", uploads, {}, b"")
        if opened.status == HTTPStatus.ACCEPTED:
            address = urlsplit(opened.headers["location"])
            query = encode(dict(parse_qsl(address.query)) | {"digest": digest})
            opened = self.ask(
                "PUT", address._replace(query=query).geturl(), {"Content-Type": "application/octet-stream"}, content
            )
        if opened.status != HTTPStatus.CREATED:
            raise GaveUp(f"unexpected status\n{in_words(opened)}")

    def push_manifest(self, repository: str, manifest: bytes) -> None:
        """Ask whether it is there, and send it. Raises GaveUp."""
        path = f"/v2/{repository}/manifests/{TAG}"
        self.ask("HEAD", path, {"Accept": f"{MANIFEST_TYPE}, */*"})
        answer = self.ask("PUT", path, {"Content-Type": MANIFEST_TYPE}, manifest)
        if answer.status != HTTPStatus.CREATED:
            raise GaveUp(f"unexpected status\n{in_words(answer)}")

    def _token(self, scopes: tuple[str, ...]) -> str:
        handler = self._handler
        assert handler is not None
        wanted = sorted({*scopes, handler.scope} - {""})
        key = " ".join(wanted)
        if key not in handler.tokens:
            handler.tokens[key] = self._fetch(handler, wanted)
        return handler.tokens[key]

    def _fetch(self, handler: Handler, scopes: list[str]) -> str:
        login, secret = self._login, self._login.refresh_token or self._login.password
        if secret:
            form = {"client_id": "containerd-client", "scope": " ".join(scopes), "service": handler.service}
            if login.refresh_token:
                form |= {"grant_type": "refresh_token", "refresh_token": secret}
            else:
                form |= {"grant_type": "password", "username": login.user, "password": secret}
            answer = self._transport.send("POST", handler.realm, {"Content-Type": FORM}, encode(form).encode())
            if answer.status == HTTPStatus.OK:
                return str(json.loads(answer.body)["access_token"])
            if answer.status not in FALLS_BACK_ON:
                raise GaveUp(f"failed to fetch oauth token\n{in_words(answer)}")
        query = encode({"scope": scopes, "service": handler.service})
        answer = self._transport.send("GET", f"{handler.realm}?{query}", self._basic(secret))
        if answer.status != HTTPStatus.OK:
            raise GaveUp(f"failed to fetch {'oauth' if secret else 'anonymous'} token\n{in_words(answer)}")
        return str(json.loads(answer.body)["token"])

    def _basic(self, secret: str) -> dict[str, str]:
        """A refresh token goes without a name, as it was given to `ctr --refresh`."""
        name = "" if self._login.refresh_token else self._login.user
        basic = base64.b64encode(f"{name}:{secret}".encode()).decode()
        return {"Authorization": f"Basic {basic}"} if secret else {}
