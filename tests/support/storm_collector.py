"""A collector of a storm: a process that collects and runs retention again and again, until it is killed.

Arguments: the storage's folder, the grace and the time in the trash in seconds, the file of policies. Each run that
ends prints what it has removed: revisions, layers, blobs, and what it spared.
"""

import asyncio
import random
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from authproxy.maintenance.gc.collector import CollectOptions, Collector
from authproxy.maintenance.gc.options import Untagged
from authproxy.maintenance.gc.sweep import Superseded
from authproxy.maintenance.retention.deleting import StoreDeleter
from authproxy.maintenance.retention.run import carry_out, load_retention
from authproxy.maintenance.ticks import Ticks
from authproxy.reference import Repository
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.records import Records

# The repository that retention is about.
FLEETING = "storm/fleeting"
POLICY = f"""\
version: 1
rules:
  - {{name: all, allow: ["*"], to: {{everyone: true}}, on: {{repositories: ["**"]}}}}
retention:
  - name: the newest three
    on: {{repositories: [{FLEETING}]}}
    keep: [{{newest: 3}}]
"""


async def collect(driver: Driver, options: CollectOptions, ticks: Ticks) -> None:
    """One run. Another collector may take over."""
    with suppress(Superseded):
        done = await Collector(driver, options, ticks=ticks).run()
        if not done.is_waiting:
            swept = done.swept
            print(swept.revisions, swept.layers, swept.blobs, swept.spared, flush=True)  # noqa: T201


async def retain(driver: Driver, policies: Path) -> None:
    """One run of retention, as `authproxy policy retention` does it."""
    retention = load_retention(policies, None, datetime.now(UTC))
    plan = await retention.plan(driver, Repository(FLEETING))
    if plan is not None:
        async for _ in carry_out(plan, StoreDeleter(driver)):
            pass


async def main() -> None:
    """Until this process is killed."""
    root, grace_s, trash_s, policies = sys.argv[1:]
    driver = FilesystemDriver(Path(root), threads=2)
    options = CollectOptions(float(grace_s), float(trash_s), Untagged.REMOVE)
    ticks = Ticks(Records(driver), tick_s=options.tick_s)
    while True:
        await collect(driver, options, ticks)
        await retain(driver, Path(policies))
        await asyncio.sleep(random.uniform(0.1, 0.6))  # noqa: S311 - no secret


if __name__ == "__main__":
    asyncio.run(main())
