"""The storage of our own state, and what is kept in it: the revocations of tokens."""

from authproxy.config.sections.token import Token
from authproxy.config.settings import Settings
from authproxy.errors import StartError
from authproxy.storage.driver import Driver
from authproxy.storage.filesystem.driver import FilesystemDriver
from authproxy.token.revocation_store import RevocationStore
from authproxy.token.seen_revocations import SeenFile

# What the key ring's secret for revocations is for.
REVOCATIONS = "revocations"
# For a record that is read once a second, and changed by a command.
THREADS = 2


def open_state(settings: Settings, *, for_writing: bool = True) -> Driver | None:
    """A driver of the folder of our own state; None: nothing lasts. It is apart from that of the content.

    A folder that can't be written, or that of a storage with `maintenance.readonly`, is only read; unless a command
    needs it `for_writing`: then raises StartError.
    """
    place = settings.state_folder
    if place is None:
        return None
    key, folder = place
    has_content = key.startswith("storage.")
    is_frozen = has_content and settings.storage is not None and settings.storage.maintenance.readonly.enabled
    try:
        if for_writing or not is_frozen:
            return FilesystemDriver(folder, threads=THREADS, has_content=has_content, makes_reserve=True)
    except StartError as exc:
        if for_writing:
            raise StartError(_for_key(key, str(exc))) from exc
    try:
        return FilesystemDriver(folder, threads=THREADS, read_only=True)
    except StartError as exc:
        raise StartError(_for_key(key, str(exc))) from exc


def make_revocation_store(settings: Settings, token: Token, secret: bytes, driver: Driver) -> RevocationStore:
    """The revocations in that storage. `secret`: that of the key ring for REVOCATIONS."""
    place = settings.state_folder
    assert place is not None  # there is a driver
    return RevocationStore(driver, secret, SeenFile(token.keys, str(place[1].absolute())))


def _for_key(key: str, message: str) -> str:
    return message.replace("storage.filesystem.rootdirectory", key, 1)
