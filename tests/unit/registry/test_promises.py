"""Promises beside a collector that has lost its lists."""

import json

from authproxy.digest import Digest
from authproxy.reference import Repository
from authproxy.registry.gc_marks import Kind, mark_of
from authproxy.registry.promises import Promises
from authproxy.storage import state_layout
from authproxy.storage.memory import MemoryDriver
from authproxy.storage.records import Records

APP = Repository("team/app")
BLOB = Digest.of(b"a blob")


async def test_where_the_condemned_list_is_missing_everything_may_be_condemned() -> None:
    """A collector that has slept has removed the lists of what became the current epoch meanwhile."""
    driver = MemoryDriver()
    epoch = "0123456789abcdef"
    mark = mark_of(Kind.BYTES, None, BLOB)
    fields = {"epoch": epoch, "shards": [f"{mark[0]:02x}"], "tick": 1}
    deleting = {"deleting": {"batch": "fedcba9876543210", "until": 0.0}}
    assert await Records(driver).create(state_layout.gc_state(), fields | deleting)
    promises = Promises(driver)
    await promises.keep_pushed_blob(APP, BLOB, BLOB)
    assert await driver.read([state_layout.gc_revived_mark(epoch, mark.hex())]) == [b"1"]
    [state] = await driver.read([state_layout.gc_state()])
    assert state is not None
    assert json.loads(state)["deleting"] is None
