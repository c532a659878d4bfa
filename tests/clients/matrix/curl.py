"""The client that is a script: curl, one call after the other, each of which has to succeed."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from authproxy.digest import Digest
from tests.clients.matrix.driver import TAG, Login, Setting
from tests.support.binaries import binary
from tests.support.image import MANIFEST_TYPE, Image
from tests.support.program import Outcome, environment, run

LOCATION = re.compile(r"^location: (\S+)", re.MULTILINE | re.IGNORECASE)


class Failed(Exception):
    """A call that the server refused."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(str(outcome))
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class CurlDriver:
    """curl in a folder of its own."""

    setting: Setting
    home: Path

    def pull(self, login: Login, repository: str) -> Outcome:
        """The manifest, and what it names."""
        return self._follow(login, lambda script: script.pull(repository), f"repository:{repository}:pull")

    def push(self, login: Login, repository: str) -> Outcome:
        """The blobs, each in a session, and then the manifest."""
        fresh = self.setting.fresh
        return self._follow(login, lambda script: script.push(repository, fresh), f"repository:{repository}:pull,push")

    def delete(self, login: Login, repository: str) -> Outcome:
        """By tag."""
        return self._follow(login, lambda script: script.delete(repository), f"repository:{repository}:delete")

    def mount(self, login: Login, source: str, repository: str) -> Outcome:
        """Ask for each blob of the source, and send those that are not given."""
        image = self.setting.bases[source]
        scopes = (f"repository:{repository}:pull,push", f"repository:{source}:pull")
        return self._follow(login, lambda script: script.push(repository, image, source), *scopes)

    def _follow(self, login: Login, steps: Callable[["Script"], Outcome], *scopes: str) -> Outcome:
        try:
            return steps(Script(self.setting, self.home, self._token(login, scopes)))
        except Failed as failed:
            return failed.outcome

    def _token(self, login: Login, scopes: tuple[str, ...]) -> str:
        if login.access_token:
            return login.access_token
        without = Script(self.setting, self.home)
        wanted = [option for scope in scopes for option in ("--data-urlencode", f"scope={scope}")]
        if login.refresh_token:
            form = ("-d", "grant_type=refresh_token", "--data-urlencode", f"refresh_token={login.refresh_token}")
            answer = without.ask("/token", *form, *wanted)
        else:
            basic = ("-u", f"{login.user}:{login.password}") if login.user else ()
            answer = without.ask("/token", "-G", *basic, *wanted)
        return str(json.loads(answer.out)["token"])


@dataclass(frozen=True, slots=True)
class Script:
    """The steps of each deed, with one token ("": none). Each ends with its last call. Raises Failed."""

    setting: Setting
    home: Path
    token: str = ""

    def ask(self, path: str, *options: str) -> Outcome:
        """One call of a path, or of a whole address. Its headers are in `err`, its body in `out`."""
        url = path if path.startswith("https:") else self.setting.server.url + path
        bearer = ("-H", f"Authorization: Bearer {self.token}") if self.token else ()
        head = self.home / "head"
        common = ("-sS", "--fail-with-body", "--cacert", str(self.setting.server.ca), "-D", str(head))
        done = run(binary("curl"), *common, *bearer, *options, url, env=environment(self.home))
        outcome = Outcome(done.argv, done.code, done.out, head.read_text() + done.err)
        if outcome.code != 0:
            raise Failed(outcome)
        return outcome

    def pull(self, repository: str) -> Outcome:
        """See CurlDriver."""
        manifest = self.ask(f"/v2/{repository}/manifests/{TAG}", "-H", f"Accept: {MANIFEST_TYPE}")
        names = json.loads(manifest.out)
        blobs = [entry["digest"] for entry in (names["config"], *names["layers"])]
        return [self.ask(f"/v2/{repository}/blobs/{blob}", "-o", str(self.home / "blob")) for blob in blobs][-1]

    def push(self, repository: str, image: Image, source: str = "") -> Outcome:
        """With a source, each blob is asked for there first."""
        for content in (image.layer, image.config):
            digest = Digest.of(content)
            mount = f"?mount={digest}&from={source}" if source else ""
            opened = self.ask(f"/v2/{repository}/blobs/uploads/{mount}", "-X", "POST", "-H", "Content-Length: 0")
            if " 202 " in opened.err:
                address = LOCATION.findall(opened.err)[-1]
                self._put(f"{address}{'&' if '?' in address else '?'}digest={digest}", content)
        return self._put(f"/v2/{repository}/manifests/{TAG}", image.manifest, "-H", f"Content-Type: {MANIFEST_TYPE}")

    def delete(self, repository: str) -> Outcome:
        """See CurlDriver."""
        return self.ask(f"/v2/{repository}/manifests/{TAG}", "-X", "DELETE")

    def _put(self, path: str, content: bytes, *options: str) -> Outcome:
        body = self.home / "body"
        body.write_bytes(content)
        return self.ask(path, "-T", str(body), *options)
