"""What the matrix asks of a client: its deeds, each with what somebody has logged in with."""

import base64
import json
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from tests.clients.matrix.table import Verb
from tests.support.image import Image
from tests.support.program import Outcome
from tests.support.server import Server

TAG = "v1"


@dataclass(frozen=True, slots=True)
class Login:
    """What a client holds of somebody. All of it empty: nobody has logged in."""

    user: str = ""
    password: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    access_token: str = field(default="", repr=False)

    def as_config(self, host: str) -> str:
        """The file that docker, podman, buildah and skopeo keep it in: docker's config.json, which has them all."""
        if self == Login():
            return json.dumps({"auths": {}})
        entry = {}
        if self.user:
            entry["auth"] = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if self.refresh_token:
            entry["identitytoken"] = self.refresh_token
        if self.access_token:
            entry["registrytoken"] = self.access_token
        return json.dumps({"auths": {host: entry}})


@dataclass(frozen=True, slots=True)
class Setting:
    """Where clients work. The registry holds each of `bases` as `<repository>:v1`, and `fresh` nowhere."""

    server: Server
    right: Login
    bases: dict[str, Image]  # by repository
    fresh: Image


class Driver(Protocol):
    """One client. Repositories are names without host and tag; the tag is always TAG. A deed ends well with code 0."""

    def pull(self, login: Login, repository: str) -> Outcome:
        """Fetch an image with all its layers."""

    def push(self, login: Login, repository: str) -> Outcome:
        """Send the image that the registry has not seen."""

    def mount(self, login: Login, source: str, repository: str) -> Outcome:
        """Push the base image that the client knows from the repository `source`."""


@runtime_checkable
class DeletingDriver(Driver, Protocol):
    """One that can delete too."""

    def delete(self, login: Login, repository: str) -> Outcome:
        """Remove the image."""


def perform(driver: Driver, login: Login, verb: Verb, repository: str, source: str | None = None) -> Outcome:
    """One deed; `source` is the repository that a mount begins with."""
    match verb:
        case Verb.PULL:
            return driver.pull(login, repository)
        case Verb.PUSH:
            return driver.push(login, repository)
        case Verb.DELETE:
            assert isinstance(driver, DeletingDriver), f"{driver} deletes nothing"
            return driver.delete(login, repository)
        case Verb.MOUNT:
            assert source is not None, "a mount begins somewhere"
            return driver.mount(login, source, repository)
