"""The section `health` → the checks while the registry runs; and the reasons why this node is not ready."""

from collections.abc import Iterator, Sequence
from functools import partial

from authproxy.config.sections.health import HttpCheck, TcpCheck
from authproxy.config.settings import Settings
from authproxy.edge.maintenance import MaintenanceFile
from authproxy.edge.probes import Reasons
from authproxy.health.check import Check
from authproxy.health.check_kinds import file_check, look_at_folder, storage_check, tcp_check
from authproxy.health.checks import Checks
from authproxy.storage.layout import ROOT
from authproxy.wiring.lifespan import Parts


def make_checks(settings: Settings) -> Checks:
    """The checks of the section `health`."""
    health = settings.health
    return Checks(
        [
            *_storage(settings),
            *(file_check(row.file, interval=row.interval) for row in health.file),
            *map(_http, health.http),
            *map(_tcp, health.tcp),
        ]
    )


def _storage(settings: Settings) -> Iterator[Check]:
    """Checks of the storage folders. Memory always works, and the storage behind an upstream is not ours."""
    row, storage = settings.health.storagedriver, settings.storage
    if not row.enabled or storage is None:
        return
    is_read_only = storage.maintenance.readonly.enabled
    for root in settings.storage_folders.values():
        # A start makes ROOT, unless the storage is read-only: then it may be missing in a folder without any push.
        look = partial(look_at_folder, root if is_read_only else root / ROOT, for_writing=not is_read_only)
        yield storage_check(look, interval=row.interval, threshold=row.threshold)


def _http(row: HttpCheck) -> Check:
    from authproxy.health.http_check import http_check

    return http_check(
        row.uri,
        status=row.statuscode,
        headers=[(name, value.get_secret_value()) for name, values in row.headers.items() for value in values],
        interval=row.interval,
        timeout=row.timeout,
        threshold=row.threshold,
    )


def _tcp(row: TcpCheck) -> Check:
    return tcp_check(row.addr.host, row.addr.port, interval=row.interval, timeout=row.timeout, threshold=row.threshold)


def make_reasons(parts: Parts, maintenance: MaintenanceFile | None) -> Reasons:
    """The function that each probe calls: cheap, and only about this process."""

    def reasons() -> Sequence[str]:
        found = [
            f"{name} could not be checked for {age_s:.0f} seconds; the log says why"
            for name, age_s in parts.watch.overdue().items()
        ]
        if maintenance is not None and maintenance.reason is not None:
            found.append("maintenance")
        if parts.checks.failing:
            found.append("a health check fails; /debug/health on the debug port says which")
        if parts.drain.has_begun:
            found.append("this node is shutting down")
        return found

    return reasons
