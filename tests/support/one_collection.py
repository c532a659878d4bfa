"""One run of a collector over a folder, as a process of its own, without a lease: it may run beside others.

Arguments: the storage's folder, the grace and the time in the trash in seconds. Prints "removed LINKS BLOBS", "waiting"
or "superseded".
"""

import asyncio
import sys
from pathlib import Path

from authproxy.maintenance.gc.collector import CollectOptions, Collector
from authproxy.maintenance.gc.options import Untagged
from authproxy.maintenance.gc.sweep import Superseded
from authproxy.storage.filesystem.driver import FilesystemDriver


async def main() -> str:
    """The word to print."""
    root, grace_s, trash_s = sys.argv[1:]
    driver = FilesystemDriver(Path(root), threads=2)
    try:
        options = CollectOptions(float(grace_s), float(trash_s), Untagged.REMOVE)
        done = await Collector(driver, options).run()
    except Superseded:
        return "superseded"
    finally:
        await driver.close()
    swept = done.swept
    return "waiting" if done.is_waiting else f"removed {swept.revisions + swept.layers} {swept.blobs}"


if __name__ == "__main__":
    print(asyncio.run(main()))  # noqa: T201 - its answer
