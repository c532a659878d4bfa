"""What `authproxy token revoke` changes: the record in the storage, and the files of `token.state`, if it is set."""

import asyncio
import datetime as dt
import math
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TypeAlias

from authproxy.config.load import Loaded
from authproxy.errors import RegistryError, StartError
from authproxy.files.owner_rights import find_place
from authproxy.server.privileges import acting_as
from authproxy.storage.filesystem.driver import LOCKS
from authproxy.storage.layout import STATE
from authproxy.token.keyring import SECRET, read_ring_secret
from authproxy.token.revocation_store import (
    RevocationsDamaged,
    all_revoked,
    imported,
    restored,
    revoked,
)
from authproxy.token.revocation_table import Table
from authproxy.token.revocations import forget, read_files
from authproxy.token.revocations import revoke as revoke_in_files
from authproxy.wiring.state import REVOCATIONS, make_revocation_store, open_state

Change: TypeAlias = Callable[[Table], Table]


def revoke(loaded: Loaded, subject: str | None, before: dt.datetime) -> dt.datetime:
    """Refuse what was issued to a user, or to all (None), before this moment. Durable on return.

    An earlier revocation is never weakened: returns the later of both moments, in full seconds. Raises StartError.
    """
    files = _state_files(loaded)
    in_files = before
    if subject is not None and files is not None:
        in_files = revoke_in_files(files, subject, before)
        if not _has_record(loaded):
            return in_files
    moment = math.ceil(max(before, in_files).timestamp())
    change = all_revoked(moment) if subject is None else revoked(subject, moment)
    table = _change(loaded, change, ends_all=subject is None)
    known = table.all_before if subject is None else table.subjects[subject]
    return dt.datetime.fromtimestamp(known, dt.UTC)


def take_back(loaded: Loaded, subject: str | None) -> bool:
    """Take back the revocation of a user, or of all (None). False: there was none. Raises StartError."""
    files = _state_files(loaded)
    was_in_files = subject is not None and files is not None and forget(files, subject)
    if files is not None and not _has_record(loaded):
        return was_in_files
    changed: list[bool] = []

    def change(table: Table) -> Table:
        after = restored(subject)(table)
        changed.append(after is not table)
        return after

    _change(loaded, change)
    return was_in_files or changed[-1]


def _state_files(loaded: Loaded) -> Path | None:
    token = loaded.settings.token
    return None if token is None else token.state


def _has_record(loaded: Loaded) -> bool:
    """Whether the record can be changed too. If not, the server reads the files, and takes them over at its start."""
    settings = loaded.settings
    assert settings.token is not None  # it has files
    is_frozen = (
        settings.state is None and settings.storage is not None and settings.storage.maintenance.readonly.enabled
    )
    return not (settings.has_core and is_frozen) and (settings.token.keys / SECRET).exists()


def _change(loaded: Loaded, change: Change, *, ends_all: bool = False) -> Table:
    """Change the record in the storage. `ends_all`: put a new one in place of one that is damaged."""
    token, place = loaded.settings.token, loaded.settings.state_folder
    if token is None:
        raise StartError(f"{loaded.origin}: there is no token section, so no tokens are issued that could be revoked")
    if place is None:
        raise StartError(
            f"{loaded.origin}: no folder keeps revocations, so nothing can be revoked; write"
            " state: {filesystem: {rootdirectory: FOLDER}}"
        )
    try:
        secret = read_ring_secret(token.keys, REVOCATIONS)
    except OSError as exc:
        raise StartError(
            f"token.keys: cannot read {token.keys / SECRET}: {exc.strerror}; the first start of the server makes it"
        ) from exc
    moments = {} if token.state is None else read_files(token.state)
    all_changes: Change = lambda table: change(imported(moments)(table))  # noqa: E731 - one line says it
    try:
        with _rights(place[1]), _umask(private=not place[0].startswith("storage.")):
            return asyncio.run(_change_record(loaded, secret, all_changes, ends_all=ends_all))
    except OSError as exc:
        raise StartError(f"cannot write to {place[1]}: {exc.strerror or exc}; run this as its owner") from exc
    except RegistryError as exc:
        raise StartError(f"{place[0]}: {exc}") from exc


async def _change_record(loaded: Loaded, secret: bytes, change: Change, *, ends_all: bool) -> Table:
    token = loaded.settings.token
    driver = open_state(loaded.settings)
    assert token is not None
    assert driver is not None
    store = make_revocation_store(loaded.settings, token, secret, driver)
    try:
        return await store.change(change)
    except RevocationsDamaged:
        if not ends_all:
            raise
        return await store.replace_damaged(change)
    finally:
        await driver.close()


def _rights(folder: Path) -> AbstractContextManager[None]:
    """Root acts as the owner of the folder, in all threads: docs/decisions/0046-act-as-the-owner-of-a-folder.md."""
    if os.geteuid() != 0:
        return nullcontext()
    # In a folder of root's own, what is in it may belong to the service.
    places = (find_place(folder / name) for name in (f"{STATE}/tokens", LOCKS))
    account = next((place.account for place in places if place.account is not None), None)
    return nullcontext() if account is None else acting_as(account.uid, account.gid)


@contextmanager
def _umask(*, private: bool) -> Iterator[None]:
    """Files in a folder for state alone are for its owner; those in a storage are like the others there."""
    before = os.umask(0o077) if private else None
    try:
        yield
    finally:
        if before is not None:
            os.umask(before)
