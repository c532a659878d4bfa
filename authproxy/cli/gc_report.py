"""What `authproxy gc` prints: what a run has done, and what one would do."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from authproxy.cli.output import counted, in_hours, in_words

if TYPE_CHECKING:
    from authproxy.maintenance.gc.collector import CollectOptions
    from authproxy.maintenance.gc.findings import RepositoryFindings, Totals
    from authproxy.maintenance.gc.marking import Marking
    from authproxy.registry.upload_purge import AbandonedUpload
    from authproxy.storage.records import Fields


def show_run(collected: "Fields", *, as_json: bool, is_quiet: bool) -> None:
    """What a run has removed and condemned. `is_quiet`: without the lines for each repository."""
    from authproxy.cli.registry_run import printable

    if as_json:
        typer.echo(json.dumps(collected, indent=2, ensure_ascii=False))
        return
    removed = collected["removed"]
    if not is_quiet:
        for repository, count in collected["removed_links"].items():
            typer.echo(printable(f"{repository}: {counted(count, 'link')} removed"))
        if collected["uploads"]:
            uploads = counted(collected["uploads"], "abandoned upload")
            typer.echo(f"{uploads} of {in_words(collected['upload_bytes'])} removed")
        if collected["trash_ended"]:
            typer.echo(f"the trash: {counted(collected['trash_ended'], 'deletion')} can't be restored any more")
    waits = collected["grace_left_s"]
    condemned = f"{collected['condemned']} links and blobs, {in_words(collected['condemned_bytes'])}"
    if collected["is_waiting"]:
        typer.echo(f"nothing was read: {condemned}, wait for the end of their grace, in about {in_hours(waits)}")
        return
    links = removed["revisions"] + removed["layers"]
    spared = f"; {removed['spared']} were asked for since, and stay" if removed["spared"] else ""
    if links or removed["blobs"] or spared:
        blobs = counted(removed["blobs"], "blob")
        typer.echo(f"freed {in_words(removed['bytes'])}: {blobs} and {counted(links, 'link')} removed{spared}")
    else:
        typer.echo("nothing else was removed" if collected["uploads"] else "nothing was removed")
    if waits is not None:
        typer.echo(
            f"condemned: {condemned}; a run after their grace of {in_hours(waits)} removes what is not needed then"
        )


def show_dry_run(marking: "Marking", uploads: "list[AbandonedUpload]", *, is_quiet: bool) -> None:
    """What a run would remove. `is_quiet`: only the last line."""
    from authproxy.cli.registry_run import printable

    totals = marking.totals
    touched = 0
    for row in marking.repositories():
        touched += row.kept_whole is None
        if not is_quiet:
            typer.echo(printable(line_of(row)))
    if not is_quiet:
        if totals.unlinked_blobs:
            typer.echo(f"no repository: {counted(totals.unlinked_blobs, 'blob')}, {in_words(totals.unlinked_bytes)}")
        if uploads:
            typer.echo(f"{counted(len(uploads), 'abandoned upload')}: {in_words(sum(each.size for each in uploads))}")
        for notice in marking.notices:
            typer.echo(printable(f"note: {notice.repository}{': ' if notice.repository else ''}{notice.what}"))
        if marking.more_notices:
            typer.echo(f"note: {marking.more_notices} more notes are left out")
    typer.echo(
        f"would free {in_words(totals.candidate_bytes)} of {in_words(totals.bytes)}: {totals.candidate_blobs} of"
        f" {counted(totals.blobs, 'blob')}, in {touched} of {totals.repositories} repositories"
    )


def line_of(row: "RepositoryFindings") -> str:
    """What a run would take from a repository."""
    if row.kept_whole is not None:
        return f"{row.repository}: kept whole: {row.kept_whole}"
    parts = (
        (row.untagged, "untagged manifest", "untagged manifests"),
        (row.layers_of_untagged, "layer of untagged manifests", "layers of untagged manifests"),
        (row.unnamed_layers, "layer that no manifest names", "layers that no manifest names"),
    )
    what = ", ".join(f"{count} {one if count == 1 else several}" for count, one, several in parts if count)
    shared = f", and {in_words(row.shared_bytes)} with other repositories" if row.shared_bytes else ""
    return f"{row.repository}: {what}; frees {in_words(row.own_bytes)}{shared}"


def write_json(
    marking: "Marking", uploads: "list[AbandonedUpload]", root: Path, options: "CollectOptions", *, seconds: float
) -> None:
    """The same as JSON."""
    from authproxy.maintenance.gc.report import to_json

    head = {
        "storage": str(root),
        "dry_run": True,
        "untagged": options.untagged.value,
        "seconds": round(seconds, 3),
        "abandoned_uploads": {"uploads": len(uploads), "bytes": sum(each.size for each in uploads)},
    }
    for piece in to_json(marking, head):
        typer.echo(piece, nl=False)
    typer.echo()


def progress_words(totals: "Totals") -> str:
    """How far a run has read."""
    return f"read {counted(totals.blobs, 'blob')}, {totals.repositories} repositories, {counted(totals.tags, 'tag')}"
