"""Retention and garbage collection, by the settings."""

from authproxy.clock import parse_window
from authproxy.config.sections.storage import GarbageCollection as GarbageCollectionSettings
from authproxy.config.sections.storage import UploadPurging
from authproxy.config.settings import Settings
from authproxy.maintenance.gc.collector import CollectOptions
from authproxy.maintenance.gc.job import GarbageCollection, space_of
from authproxy.maintenance.gc.options import Untagged
from authproxy.maintenance.gc.pace import Pace
from authproxy.maintenance.retention.run import make_retention_job
from authproxy.metrics.metrics import Metrics
from authproxy.policy.load import load_all
from authproxy.storage.driver import Driver


def make_collection(driver: Driver, settings: Settings, *, metrics: Metrics | None = None) -> GarbageCollection:
    """For settings with a storage in a folder."""
    assert settings.storage is not None
    assert settings.storage.filesystem is not None
    row, root = settings.storage.gc, settings.storage.filesystem.rootdirectory
    policies = None if settings.policies is None else settings.policies.path
    return GarbageCollection(
        driver,
        collect_options(row, settings.storage.maintenance.uploadpurging),
        interval_s=row.interval.total_seconds(),
        window=None if row.window is None else parse_window(row.window),
        pace=Pace(1 - row.pace / 100),
        retention=None if policies is None else make_retention_job(driver, policies),
        has_retention=lambda: policies is not None and bool(load_all(policies).retention),
        space=lambda: space_of(root),
        metrics=metrics,
    )


def collect_options(row: GarbageCollectionSettings, uploads: UploadPurging) -> CollectOptions:
    """How a run collects, by `storage.gc` and `storage.maintenance.uploadpurging`."""
    return CollectOptions(
        grace_s=row.grace.total_seconds(),
        trash_s=row.trash.total_seconds(),
        untagged=Untagged(row.untagged),
        min_free=row.minfree / 100,
        uploads_age=uploads.age if uploads.enabled and not uploads.dryrun else None,
    )
