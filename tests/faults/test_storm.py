"""Pushers, pullers and deleters at once, and a server that is killed again and again: nothing promised is lost.

A short storm; `make soak` has the long ones.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.aftermath import collect_to_the_end, find_faults
from tests.support.ledger import Name
from tests.support.server import Server, running_server
from tests.support.storm import Storm

SEED = 20_260_801
STORM_S = 60.0
CALM_STORM_S = 2.0
# The server lives so long before it is killed, at least and at most; a start takes a second or two of it.
LIVES_S = (2.0, 5.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Two workers, TLS and tokens; this test kills it."""
    with running_server(tmp_path / "server", {"REGISTRY_HTTP_WORKERS": "2"}) as running:
        yield running


async def test_nothing_that_was_promised_is_lost_and_nothing_half_written_shows(server: Server) -> None:
    storm = Storm(server, SEED)
    await storm.rage(STORM_S, kill_every_s=LIVES_S)
    faults = storm.faults + await find_faults(server, storm.ledger)
    faults += await collect_to_the_end(server, storm.ledger)
    assert not faults, storm.report(faults)


async def test_a_loss_would_be_found(server: Server) -> None:
    """Damage of each kind, done by hand: what a storm looks for is found where it is."""
    storm = Storm(server, SEED)
    await storm.rage(CALM_STORM_S, kill_every_s=None, collects=False)
    assert not storm.faults, storm.report(storm.faults)
    assert not await find_faults(server, storm.ledger)
    root = server.storage / "docker" / "registry" / "v2"
    tag, digest = storm.ledger.certain()[0]
    image = Name(tag.repository, digest)
    manifests = root / "repositories" / image.repository / "_manifests"
    server.stop()
    algorithm, name = image.reference.split(":")
    revision = manifests / "revisions" / algorithm / name
    shutil.rmtree(revision)  # an image that was promised
    half = root / "blobs" / "sha256" / "00" / ("00" * 32) / "data"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half of something")  # a blob that is not what it is called
    never = manifests / "tags" / "never-pushed" / "current" / "link"
    never.parent.mkdir(parents=True)
    never.write_text("sha256:" + "00" * 32)  # a tag that points at nothing
    server.start()
    found = "\n".join(await find_faults(server, storm.ledger))
    assert f"{image}: 404" in found
    assert f"{half} has 17 bytes of something else" in found
    assert "never-pushed was never pushed" in found
