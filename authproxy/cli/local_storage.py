"""The storage that a command on this machine reads: the configuration's, or a folder of any registry."""

import importlib
import os
import pkgutil
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from authproxy.cli.settings import find_loaded
from authproxy.errors import StartError, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from authproxy.config.settings import Settings
    from authproxy.files.owner_rights import Account
    from authproxy.storage.driver import Driver

StorageOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--storage",
        metavar="FOLDER",
        help="The storage of any registry, without a configuration: the folder above docker/registry/v2.",
    ),
]

# What commands import only when they need it: these packages as a whole, and modules of others.
_LATE_PACKAGES = ("authproxy.audit", "authproxy.storage", "authproxy.registry", "authproxy.maintenance")
_LATE_MODULES = (
    "asyncio",
    "concurrent.futures.thread",
    "encodings.ascii",
    "authproxy.cli.registry_run",
    "authproxy.log.configure",
    "authproxy.wiring.audit",
    "authproxy.wiring.collection",
)

# What the folder of a storage contains.
_WITHIN = ("docker", "registry", "v2")


def find_root(config: Path | None, storage: Path | None) -> Path:
    """The folder of the storage. Raises StartError where there is none."""
    return find_local(config, storage)[1]


def find_local(config: Path | None, storage: Path | None) -> "tuple[Settings | None, Path]":
    """The settings, without `storage`, and the folder of the storage. Raises StartError where there is none."""
    if storage is not None and config is not None:
        raise typer.BadParameter(
            "--storage is read without a configuration: name one of the two", param_hint="--storage"
        )
    settings = None if storage is not None else find_loaded(config).settings
    return settings, root_of(settings, storage)


def root_of(settings: "Settings | None", storage: Path | None) -> Path:
    """The folder `storage`, or that of the settings. Raises StartError where there is none."""
    if storage is not None:
        return _find_storage(storage)
    if settings is None:
        raise StartError("there is no configuration that names a storage; name a folder: --storage FOLDER")
    if settings.storage is None:
        raise StartError(
            "there is no storage section in the configuration: the content is in another registry, which collects its"
            " garbage itself; name a folder that has a registry's content: --storage FOLDER"
        )
    if settings.storage.filesystem is None:
        raise StartError(
            "storage.inmemory: the content is in the memory of the server; name a folder: --storage FOLDER"
        )
    return _find_storage(settings.storage.filesystem.rootdirectory)


def is_read_only(settings: "Settings | None") -> bool:
    """Whether the settings say that nothing writes to the storage."""
    return settings is not None and settings.storage is not None and settings.storage.maintenance.readonly.enabled


@asynccontextmanager
async def opened(root: Path, *, read_only: bool = False) -> "AsyncIterator[Driver]":
    """The driver of a storage, for the length of a block. Raises StartError for the errors of the storage there."""
    from authproxy.cli.registry_run import printable
    from authproxy.storage.filesystem.driver import FilesystemDriver

    driver = FilesystemDriver(root, read_only=read_only)
    try:
        yield driver
    except OSError as error:
        raise StartError(printable(f"{error.filename or root}: {error.strerror or error}")) from error
    except Unavailable as error:
        raise StartError(printable(f"{root}: {error}")) from error
    finally:
        await driver.close()


def act_as_owner(root: Path) -> None:
    """For good: root becomes the account that decides where the folder's names lead.

    Otherwise a symbolic link there could show any file of this machine to that account: in an error message, for
    example. See docs/decisions/0046-act-as-the-owner-of-a-folder.md. Raises StartError where that isn't possible.
    """
    from authproxy.files.owner_rights import find_place

    if os.geteuid() != 0 or (account := find_place(root / Path(*_WITHIN)).account) is None:
        return
    try:
        os.setgroups([])
        if not _may_read_program(account):
            _load_all()
        os.setgid(account.gid)
        os.setuid(account.uid)
    except PermissionError as error:
        raise StartError(
            f"{root} belongs to {account}, and root may not act as that account ({error.strerror}): run this command as"
            " that account"
        ) from error


def _may_read_program(account: "Account") -> bool:
    """Whether an account can import Python's modules and ours: not where root has installed them below /root."""
    os.setegid(account.gid)
    os.seteuid(account.uid)
    try:
        return all(os.access(file, os.R_OK, effective_ids=True) for file in (os.__file__, __file__))
    finally:
        os.seteuid(0)
        os.setegid(0)


def _load_all() -> None:
    """Import all that a command uses from now on."""
    for name in _LATE_MODULES:
        importlib.import_module(name)
    for package in _LATE_PACKAGES:
        for found in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            importlib.import_module(found.name)


def _find_storage(folder: Path) -> Path:
    """Also from the folder of repositories and blobs itself, and those on the way."""
    for depth in range(len(_WITHIN) + 1):
        missing = Path(*_WITHIN[depth:])
        above = _WITHIN[:depth]
        if tuple(folder.resolve().parts[-depth:] if depth else ()) == above and (folder / missing).is_dir():
            return folder.resolve().parents[depth - 1] if depth else folder
    raise StartError(f"{folder} holds no registry's content: there is no folder {folder / Path(*_WITHIN)}")
