import asyncio

import pytest

from authproxy.images.copying import Copier
from authproxy.images.registries import Registries
from authproxy.images.transfer import NoProgress
from authproxy.oci.image_name import parse_image_name
from authproxy.registry_client.docker_config import Login
from authproxy.registry_client.errors import RegistryClientError
from authproxy.registry_client.trust import Trust

HEX = "0" * 64

TARGETS = [
    ("a.b/team/app:v1", "c.d", "c.d/team/app:v1"),
    ("a.b/team/app:v1", "c.d/", "c.d/team/app:v1"),
    ("a.b/team/app:v1", "c.d/mirror/", "c.d/mirror/team/app:v1"),
    ("alpine", "c.d", "c.d/alpine:latest"),
    ("a.b/team/app:v1", "c.d/app", "c.d/app:v1"),
    ("a.b/team/app:v1", "c.d/app:v2", "c.d/app:v2"),
    ("a.b/team/app:v1", "localhost:5000/app", "localhost:5000/app:v1"),
    (f"a.b/app@sha256:{HEX}", "c.d/app:v2", "c.d/app:v2"),
    (f"a.b/app@sha256:{HEX}", f"c.d/app@sha256:{HEX}", f"c.d/app@sha256:{HEX}"),
    (f"a.b/app:v1@sha256:{HEX}", "c.d/", "c.d/app:v1"),
]


def copier(destination: str) -> Copier:
    return Copier(Registries(Trust(), None, {}), destination, None, False, asyncio.Semaphore(1), NoProgress())


@pytest.mark.parametrize(("source", "destination", "target"), TARGETS)
def test_image_goes_to(source: str, destination: str, target: str) -> None:
    assert copier(destination)._target(parse_image_name(source)) == target


@pytest.mark.parametrize(
    ("destination", "why"),
    [("c.d/", "give the full name"), ("c.d", "give the full name"), ("c.d/app", "use c.d/app:TAG")],
)
def test_digest_has_no_name_to_keep(destination: str, why: str) -> None:
    with pytest.raises(RegistryClientError, match=why):
        copier(destination)._target(parse_image_name(f"a.b/app@sha256:{HEX}"))


async def test_password_is_for_its_registry_alone() -> None:
    login = Login("alice", "secret")
    registries = Registries(Trust(), login, {"HOME": "/nowhere"}, "a.b")
    assert await registries._find_login("a.b", "") == login
    assert await registries._find_login("c.d", "") is None
