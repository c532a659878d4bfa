"""The backend behind the edge: our own core above a storage driver, another registry, or several of them."""

import re

import structlog

from authproxy.asgi import App
from authproxy.config.document.regex import compile_pattern
from authproxy.config.sections.storage import Filesystem, InMemory, Scrub, Storage, UploadPurging
from authproxy.config.sections.token import Token
from authproxy.config.sections.upstreams import UpstreamEntry
from authproxy.config.sections.validation import Urls, Validation
from authproxy.config.settings import Settings
from authproxy.content import ContentFor
from authproxy.errors import StartError
from authproxy.metrics.families import UPLOADS_PURGED
from authproxy.metrics.metrics import Metrics
from authproxy.oci.manifest import Platform
from authproxy.proxy.permissions import EnforcePermissions
from authproxy.proxy.renaming import RenamedBackend, Renaming
from authproxy.proxy.router import Branch, Router
from authproxy.registry.core import Core
from authproxy.registry.options import ManifestRules, Pattern, Rules
from authproxy.registry.pull_log import PullLog
from authproxy.registry.pull_merge import PullMerge
from authproxy.registry.upload_purge import FIRST_WITHIN_S, PurgeUploads
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.storage.memory import MemoryDriver
from authproxy.storage.records import Records
from authproxy.wiring.lifespan import Parts

log = structlog.get_logger(__name__)


def make_backend(settings: Settings, parts: Parts) -> App:
    """The backend of these settings. Raises StartError if its folder cannot be used."""
    if settings.upstreams:
        return _make_router(settings, parts)
    if settings.upstream is not None:
        from authproxy.wiring.upstream import make_upstream  # a registry of our own needs none of it

        return _restricted(make_upstream(settings.upstream, parts, settings.token), settings)
    return _make_core(settings, parts)


def _make_router(settings: Settings, parts: Parts) -> App:
    """All entries; those that differ only in names are one registry, with one connection pool."""
    made: list[tuple[UpstreamEntry, App]] = []
    branches: list[Branch] = []
    for number, entry in enumerate(settings.upstreams):
        same = entry.as_upstream()
        registry = next((app for key, app in made if key == same), None)
        if registry is None:
            registry = (
                _make_core(settings, parts) if entry.backend else _make_entry(number, entry, parts, settings.token)
            )
            made.append((same, registry))
        renaming = Renaming(entry.rename.strip or "", entry.rename.add or "")
        app = RenamedBackend(registry, renaming) if renaming else registry
        app = app if entry.backend else _restricted(app, settings)
        branches.append(
            Branch(entry.base, app, registry, renaming, is_listed=entry.catalog, content=_content_of(registry))
        )
    match branches:
        case [Branch(base="", renaming=Renaming(strip="", add=""), app=app, is_listed=True)]:
            return app
        case _:
            return Router(branches, max_entries=settings.catalog.maxentries)


def _content_of(registry: App) -> ContentFor | None:
    """Direct access to the content of the core; None for an upstream, whose content is read by requests."""
    if not isinstance(registry, Core):
        return None
    content = registry.content
    return lambda _: content


def _make_entry(number: int, entry: UpstreamEntry, parts: Parts, token: Token | None) -> App:
    from authproxy.wiring.upstream import make_upstream

    try:
        return make_upstream(entry, parts, token)
    except StartError as exc:
        # Only the key at the beginning: a host may be named `upstream.…` too.
        raise StartError(re.sub(r"^upstream\.", f"upstreams.{number}.", str(exc))) from exc


def _restricted(app: App, settings: Settings) -> App:
    """Another registry, which doesn't know our rules, with a layer that enforces them if there are policies."""
    return app if settings.policies is None else EnforcePermissions(app)


def _make_core(settings: Settings, parts: Parts) -> Core:
    assert settings.storage is not None
    driver = _make_driver(settings.storage)
    parts.closers.append(driver.close)
    maintenance = settings.storage.maintenance
    if maintenance.uploadpurging.enabled and not maintenance.readonly.enabled:
        parts.runners["purge uploads"] = _purge(driver, maintenance.uploadpurging, parts.metrics).run
    if settings.storage.scrub.enabled and not maintenance.readonly.enabled:
        _add_scrub(driver, settings.storage.scrub, parts)
    if settings.storage.filesystem is not None and not maintenance.readonly.enabled:
        _add_collection(driver, settings, parts)
    return Core(driver, core_rules(settings), pulls=_record_pulls(driver, settings.storage, parts))


def _record_pulls(driver: Driver, storage: Storage, parts: Parts) -> PullLog | None:
    """Record pulls beside the requests. None: content that ends with the process, or a storage that isn't written."""
    if not storage.outlives_the_process:
        return None
    if storage.maintenance.readonly.enabled:
        if parts.once.claim("no pull times"):
            log.warning("pulls are not recorded while storage.maintenance.readonly is on")
        return None
    row = storage.usage
    pulls = PullLog(driver, with_subject=row.pulledby, interval_s=row.interval.total_seconds())
    parts.servers.append(pulls.recording)
    parts.runners["record pulls"] = pulls.run
    parts.runners["merge pulls"] = PullMerge(driver).run
    return pulls


def _add_collection(driver: Driver, settings: Settings, parts: Parts) -> None:
    from authproxy.maintenance.jobs import Jobs
    from authproxy.wiring.collection import make_collection

    collection = make_collection(driver, settings, metrics=parts.metrics)
    parts.runners.update(collection.runners(Jobs(Records(driver), metrics=parts.metrics)))


def _add_scrub(driver: Driver, row: Scrub, parts: Parts) -> None:
    # A registry without a scrub needs none of it.
    from authproxy.maintenance.jobs import Jobs
    from authproxy.maintenance.verify.scrub import ScrubOptions, scrub_job

    job = scrub_job(driver, ScrubOptions(row.interval.total_seconds(), row.rate), parts.metrics)
    parts.runners.update(Jobs(Records(driver), metrics=parts.metrics).runners(job))


def _purge(driver: Driver, row: UploadPurging, metrics: Metrics) -> PurgeUploads:
    return PurgeUploads(
        driver,
        age=row.age,
        interval=row.interval,
        dry_run=row.dryrun,
        # A shorter interval than CNCF Distribution's first hour applies to the first run too.
        first_within_s=min(FIRST_WITHIN_S, row.interval.total_seconds()),
        removed=lambda count: metrics.count(UPLOADS_PURGED, by=count),
    )


def _make_driver(storage: Storage) -> Driver:
    match storage:
        case Storage(filesystem=Filesystem() as row):
            read_only = storage.maintenance.readonly.enabled
            return FilesystemDriver(row.rootdirectory, threads=row.maxthreads, read_only=read_only, makes_reserve=True)
        case Storage(inmemory=InMemory()):
            return MemoryDriver()
        case _:
            raise AssertionError(f"a storage without its driver: {storage.kind}")


def core_rules(settings: Settings) -> Rules:
    """The rules of the core, for settings with `storage`."""
    assert settings.storage is not None
    return Rules(
        delete_enabled=settings.storage.delete.enabled,
        read_only=settings.storage.maintenance.readonly.enabled,
        max_catalog_entries=settings.catalog.maxentries,
        max_tags=settings.tags.maxtags,
        manifests=_manifest_rules(settings.validation, settings.policy.repository.classes),
    )


def _manifest_rules(validation: Validation, classes: tuple[str, ...]) -> ManifestRules:
    indexes = validation.manifests.indexes
    return ManifestRules(
        enabled=validation.is_on,
        index_platforms=indexes.platforms,
        platform_list=tuple(Platform(listed.os, listed.architecture) for listed in indexes.platformlist),
        allowed_urls=_allowed(validation.manifests.urls),
        denied_urls=tuple(map(compile_pattern, validation.manifests.urls.deny)),
        classes=frozenset(classes) or None,
    )


def _allowed(urls: Urls) -> tuple[Pattern, ...] | None:
    """The patterns of `allow`; without any, None: everything that is not denied is allowed.

    OCI Image 1.1, "Layer Descriptors": a layer with urls need not be in the registry. CNCF Distribution refuses all of
    them if neither list is set.
    """
    return tuple(map(compile_pattern, urls.allow)) or None
