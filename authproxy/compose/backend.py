"""What stands behind the edge: our own core above a storage driver, or another registry."""

from authproxy.asgi import App
from authproxy.compose.parts import Parts
from authproxy.compose.rules import core_rules
from authproxy.config.model import Settings
from authproxy.config.storage import Storage
from authproxy.proxy.upstream import Upstream
from authproxy.registry.core import Core
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem import FilesystemDriver
from authproxy.storage.memory import MemoryDriver


def make_backend(settings: Settings, parts: Parts) -> App:
    """The backend of these settings. Raises StartError where its folder cannot be used."""
    if settings.upstream is not None:
        upstream = Upstream(
            settings.upstream.url,
            pass_authorization=settings.upstream.authorization == "pass",
            ca=settings.upstream.ca,
        )
        parts.closers.append(upstream.aclose)
        return upstream
    assert settings.storage is not None
    driver = _make_driver(settings.storage)
    parts.closers.append(driver.close)
    return Core(driver, core_rules(settings))


def _make_driver(storage: Storage) -> Driver:
    if storage.filesystem is not None:
        return FilesystemDriver(storage.filesystem.rootdirectory, threads=storage.filesystem.maxthreads)
    return MemoryDriver()
