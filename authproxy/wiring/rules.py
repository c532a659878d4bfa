"""What the operator's sections mean to the core: `storage`, `validation`, `policy`, `catalog`, `tags` → Rules."""

from authproxy.config.document.regex import compile_pattern
from authproxy.config.sections.validation import Urls, Validation
from authproxy.config.settings import Settings
from authproxy.registry.options import ManifestRules, Pattern, Platform, Rules


def core_rules(settings: Settings) -> Rules:
    """The rules of a registry with these settings, which keep their content in `storage`."""
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
        platform_list=tuple(Platform(listed.architecture, listed.os) for listed in indexes.platformlist),
        allowed_urls=_allowed(validation.manifests.urls),
        denied_urls=tuple(map(compile_pattern, validation.manifests.urls.deny)),
        classes=frozenset(classes) or None,
    )


def _allowed(urls: Urls) -> tuple[Pattern, ...] | None:
    """Without `allow` everything that is not denied.

    OCI Image 1.1, "Layer Descriptors": a layer with urls need not be here. CNCF Distribution refuses all of them where
    neither list is given.
    """
    return tuple(map(compile_pattern, urls.allow)) or None
