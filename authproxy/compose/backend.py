"""What stands behind the edge: our own core above a storage driver, or another registry."""

from authproxy.asgi import App
from authproxy.compose.parts import Parts
from authproxy.compose.rules import core_rules
from authproxy.compose.upstream import make_upstream
from authproxy.config.model import Settings
from authproxy.config.storage import Storage, UploadPurging
from authproxy.metrics.families import UPLOADS_PURGED
from authproxy.metrics.metrics import Metrics
from authproxy.proxy.restrict import Restrict
from authproxy.registry.core import Core
from authproxy.registry.purge import FIRST_WITHIN_S, PurgeUploads
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem import FilesystemDriver
from authproxy.storage.memory import MemoryDriver


def make_backend(settings: Settings, parts: Parts) -> App:
    """The backend of these settings. Raises StartError where its folder cannot be used."""
    if settings.upstream is not None:
        upstream = make_upstream(settings.upstream, parts)
        return upstream if settings.policies is None else Restrict(upstream)
    assert settings.storage is not None
    driver = _make_driver(settings.storage)
    parts.closers.append(driver.close)
    maintenance = settings.storage.maintenance
    if maintenance.uploadpurging.enabled and not maintenance.readonly.enabled:
        parts.runners["purge uploads"] = _purge(driver, maintenance.uploadpurging, parts.metrics).run
    return Core(driver, core_rules(settings))


def _purge(driver: Driver, row: UploadPurging, metrics: Metrics) -> PurgeUploads:
    return PurgeUploads(
        driver,
        age=row.age,
        interval=row.interval,
        dry_run=row.dryrun,
        # An interval of less than CNCF Distribution's first hour is meant to be one.
        first_within_s=min(FIRST_WITHIN_S, row.interval.total_seconds()),
        removed=lambda count: metrics.count(UPLOADS_PURGED, by=count),
    )


def _make_driver(storage: Storage) -> Driver:
    if storage.filesystem is not None:
        return FilesystemDriver(storage.filesystem.rootdirectory, threads=storage.filesystem.maxthreads)
    return MemoryDriver()
