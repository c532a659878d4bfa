"""`authproxy images delete HOST/REPOSITORY`: shows what it holds, deletes that, and verifies the result."""

from typing import TYPE_CHECKING

import typer

from authproxy.cli.images.deletion_dialog import Dialog
from authproxy.cli.output import counted, in_words
from authproxy.cli.registry_run import printable, remote_faults

if TYPE_CHECKING:
    from authproxy.digest import Digest
    from authproxy.images.repository import RegistryRepository
    from authproxy.images.whole_repository import Contents, Part
    from authproxy.registry_client.client import RegistryClient

# Manifests that are shown before a question.
MAX_SHOWN = 30


async def delete_whole(client: "RegistryClient", path: str, repository: "RegistryRepository", dialog: Dialog) -> None:
    """Find everything in a repository, ask the user, delete. Raises what the registry raises."""
    from authproxy.images.whole_repository import find_contents

    contents = await find_contents(client, path, repository)
    if not contents.parts and not contents.dangling:
        _hint(f"{dialog.place}: nothing to delete")
        return
    _show(contents, dialog)
    if not contents.is_complete:
        _hint(
            f"{dialog.place}: the registry doesn't list all manifests; those that no tag, index or subject leads to"
            " stay until its own garbage collection"
        )
    if dialog.confirm(f"Delete the repository {dialog.place}? [y/N] "):
        kept = await _delete_parts(repository, contents, dialog)
        if await _is_empty(client, path, repository, kept, dialog) and not kept:
            extent = "as a whole" if contents.is_complete else "as far as the registry lists it"
            _say_whole(f"deleted {dialog.place} {extent}", "deleted", contents, dialog)


def _show(contents: "Contents", dialog: Dialog) -> None:
    """Say what would be deleted: for a dry run everything, before a question the beginning."""
    counts = f"{counted(contents.tags, 'tag')}, {counted(len(contents.parts), 'manifest')}"
    summary = f"{dialog.place} as a whole: {counts}, {in_words(contents.size)}"
    if dialog.is_dry:
        for part in contents.parts:
            fields = {"digest": str(part.digest), "tags": part.tags, "size": part.size}
            text = f"would delete {_line(part, dialog)}"
            dialog.report.say(text, name=dialog.place, outcome="would be deleted", **fields)
        for tag in contents.dangling:
            text = f"would delete {dialog.place}: {tag}, which leads to no manifest"
            dialog.report.say(text, name=dialog.place, outcome="would be deleted", tags=[tag])
        _say_whole(f"would delete {summary}", "would be deleted", contents, dialog)
        return
    for tag in contents.dangling[:MAX_SHOWN]:
        _hint(f"to delete {dialog.place}: {tag}, which leads to no manifest")
    for part in contents.parts[:MAX_SHOWN]:
        _hint(f"to delete {_line(part, dialog)}")
    if (more := len(contents.parts) - MAX_SHOWN) > 0:
        _hint(f"to delete {dialog.place}: {counted(more, 'more manifest')}, which --dry-run shows")
    _hint(f"to delete {summary}")


def _line(part: "Part", dialog: Dialog) -> str:
    size = "" if part.size is None else f", {in_words(part.size)}"
    return f"{dialog.place}: {', '.join(part.tags) or 'without a tag'} ({part.digest}){size}"


async def _delete_parts(repository: "RegistryRepository", contents: "Contents", dialog: Dialog) -> "frozenset[Digest]":
    """Delete the manifests. Returns those that stay; the user knows why."""
    from authproxy.images.repository import NeededBy
    from authproxy.images.whole_repository import delete_parts

    kept = []
    async for part, error in delete_parts(repository, contents.parts):
        for name in dialog.names(part.digest, part.tags):
            if error is None:
                dialog.say_deleted(name, part.digest)
            elif isinstance(error, NeededBy):
                dialog.say_needed(name, part.digest, error.namer)
            else:
                dialog.report.fail(name, str(error).removeprefix(f"{dialog.place}@{part.digest}: "))
        if error is not None:
            kept.append(part.digest)
    return frozenset(kept)


async def _is_empty(
    client: "RegistryClient", path: str, repository: "RegistryRepository", kept: "frozenset[Digest]", dialog: Dialog
) -> bool:
    """Look what is left beside `kept`, and delete tags without a manifest. Says what stays."""
    from authproxy.images.whole_repository import find_left

    is_empty = True
    for name, digest in await find_left(client, path, repository):
        if digest is None:
            is_empty &= await _delete_dangling(repository, name.removeprefix(":"), dialog)
        elif digest not in kept:
            dialog.report.fail(f"{dialog.place}{name}", "it was pushed meanwhile, and stays")
            is_empty = False
    return is_empty


async def _delete_dangling(repository: "RegistryRepository", tag: str, dialog: Dialog) -> bool:
    name = f"{dialog.place}:{tag}"
    try:
        await repository.delete_tag(tag)
    except remote_faults() as error:
        dialog.report.fail(name, error)
        return False
    dialog.report.say(f"deleted {name}, which led to no manifest", name=name, outcome="deleted")
    return True


def _say_whole(text: str, outcome: str, contents: "Contents", dialog: Dialog) -> None:
    counts = {"tags": contents.tags, "manifests": len(contents.parts), "size": contents.size}
    dialog.report.say(text, name=dialog.place, outcome=outcome, whole={**counts, "complete": contents.is_complete})


def _hint(text: str) -> None:
    typer.echo(printable(text), err=True)
