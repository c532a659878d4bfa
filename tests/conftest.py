"""What holds for every test: where shared parts are found, and which programs may be started."""

import gc
import sys
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]

# `tests.support` and `benchmarks` are found in the clone. Behind everything else, so that `authproxy` is the installed
# one: the built wheel under `make test`, which tests/house/test_environment.py checks.
sys.path.append(str(Path(__file__).parents[1]))

from tests.support.binaries import refuse_unlisted
from tests.support.default_ports import refuse_default_ports
from tests.support.plain_log import is_plain, log_plainly
from tests.support.schedule import ByGroup, processes, rank
from tests.support.server import Server

# The same examples in every run, so that a red run is about the change; few for `make check`, the library's number
# for `make test`. `pytest --hypothesis-profile=explore tests/unit` looks for new ones. None has a deadline: how long an
# example takes, to make or to run, says more about the machine than about us.
UNTIMED = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("repeatable", UNTIMED, derandomize=True)
hypothesis.settings.register_profile("quick", UNTIMED, derandomize=True, max_examples=10)
hypothesis.settings.register_profile("explore", UNTIMED, derandomize=False, max_examples=1000)
hypothesis.settings.load_profile("repeatable")

log_plainly()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make test` has time for a server for each row of the protocol's tables; `make check` has not."""
    parser.addoption("--over-https", action="store_true", help="the protocol's tables against real servers too")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """`-n auto`: one process for each core where tests compute, more where they wait for servers."""
    return processes() if config.getoption("--over-https") else None


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByGroup | None:
    """Keep together what shares servers, the longest first, wherever a file's tests must not be torn apart."""
    return ByGroup(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order in which groups are taken up."""
    items.sort(key=lambda item: rank(item.nodeid))


def pytest_collection(session: pytest.Session) -> None:
    """Refuse programs that are on this machine by chance, in every test, however they are started.

    From here on: what pytest's plugins start before is their affair (pytest-xdist asks uname for the processor).
    """
    sys.addaudithook(refuse_unlisted)
    sys.addaudithook(refuse_default_ports)


def pytest_collection_finish() -> None:
    """Let the collector of garbage pass over the thousands of tests that stay: it took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Let no test log with what an application or a command in an earlier one has configured."""
    if not is_plain():
        log_plainly()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the servers of a failed test said."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for name, value in item.funcargs.items():
            if isinstance(value, Server):
                report.sections.append((f"end of the output of {name}", value.output[-8000:]))
    return report
