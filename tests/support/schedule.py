"""Which tests run together in one test process, and in which order the processes take them up.

Tests that share a server, a daemon or an image stay together, so that it is started once. Those that wait longest come
first: nothing long is left for the end, when one process would run alone.
"""

import os

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.support.server import MAX_TEST_PROCESSES

# Folders whose session fixtures are dear: a daemon, an image that is built, other registries.
SHARING_FOLDERS = ("tests/deploy", "tests/images", "tests/clients", "tests/peers")
# Files that wait long for a server of each parametrization: groups by the words of the test's id that name it.
SPLIT_FILES = {"tests/faults/test_certificate_renewed.py": ("[one worker", "[two workers")}
# The order of the groups. What computes most and waits least comes last.
ORDER = (
    "tests/deploy",
    "tests/clients",
    "tests/images",
    "tests/release",
    "tests/faults/test_certificate_renewed.py",
    "tests/faults/test_watchers.py",
    "tests/peers",
    "tests/faults/test_stopped_between_steps.py",
    "tests/faults/test_storm.py",
    "tests/faults/test_second_reader.py",
    "tests/faults",
    "tests/chart",
    "tests/protocol",
    "tests/house",
    "tests/unit",
)
# The tests wait for other processes and for intervals more than half of their time.
PROCESSES_PER_CORE = 2.5


def group_of(nodeid: str) -> str:
    """The group that a test runs in: its folder's, where that shares; else its file's, or its part of the file's."""
    path = nodeid.partition("::")[0]
    if folder := next((folder for folder in SHARING_FOLDERS if path.startswith(f"{folder}/")), None):
        return folder
    return path + next((words for words in SPLIT_FILES.get(path, ()) if words in nodeid), "")


def rank(nodeid: str) -> int:
    """The place of a test's group in the order."""
    return next((place for place, prefix in enumerate(ORDER) if nodeid.startswith(prefix)), len(ORDER))


def processes() -> int:
    """How many test processes run the long tests side by side."""
    return min(round(PROCESSES_PER_CORE * len(os.sched_getaffinity(0))), MAX_TEST_PROCESSES)


class ByGroup(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
    """Gives whole groups to processes that have nothing left, in the order of collection."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
