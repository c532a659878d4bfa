"""`authproxy images delete`: images that are really gone afterwards, and nothing that was not meant."""

import datetime as dt
import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.remote_options import Ca, Json, PasswordStdin, PlainHttp, User, open_registries, parse_name
from authproxy.cli.remote_run import Report, remote_faults, run

if TYPE_CHECKING:
    from authproxy.images.deletion import Doomed
    from authproxy.images.registries import Registries
    from authproxy.images.repository import RemoteRepository
    from authproxy.remote.name import ImageName

EXAMPLES = """Examples:

  authproxy images delete registry.example.org/team/app:v1

  authproxy images delete --match 'pr-*' --older-than 30d --dry-run registry.example.org/team/app

  authproxy images delete --keep 10 --yes registry.example.org/team/app registry.example.org/team/db
"""

_AGE = re.compile(r"([0-9]+)([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def delete(
    names: Annotated[
        list[str],
        typer.Argument(metavar="REF...", help="Images; with --match, --older-than or --keep, repositories."),
    ],
    *,
    match: Annotated[str | None, typer.Option(metavar="GLOB", help="Of a repository, the tags like this: pr-*")] = None,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Of a repository, what was made longer ago: 12h, 30d, 8w.")
    ] = None,
    keep: Annotated[int, typer.Option(min=0, metavar="N", help="Of a repository, all but the N newest.")] = 0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, and delete nothing.")] = False,
    user: User = None,
    password_stdin: PasswordStdin = False,
    ca: Ca = None,
    plain_http: PlainHttp = False,
    as_json: Json = False,
) -> None:
    """Delete images: say which tags go, ask, delete, and look whether they are gone.

    A registry deletes what a tag names, and with it every other tag of the same image: those are shown before it is
    asked. By rules (--match, --older-than, --keep) an image that a kept tag shares is never deleted. The age of an
    image is the date in its configuration; one without a date is never old. Exit code: 0 all is gone, 1 something is
    not, 2 the command is wrong, or nobody said yes.
    """
    by_rules = match is not None or older_than is not None or keep > 0
    wanted = [_parse(name, by_rules=by_rules) for name in names]
    before = None if older_than is None else dt.datetime.now(dt.UTC) - _parse_age(older_than)
    registries = open_registries(user, ca, password_stdin=password_stdin, plain_http=plain_http)
    report = Report(as_json=as_json)

    async def work() -> None:
        async with registries:
            for name in wanted:
                place = f"{name.host}/{name.repository}"
                try:
                    repository = await registries.repository(name.host, name.repository)
                    doomed = (
                        await _find_by_rules(registries, name, repository, report, match, before, keep)
                        if by_rules
                        else await _find_one(registries, name, repository)
                    )
                    if not doomed:
                        typer.echo(f"{place}: nothing to delete", err=True)
                        continue
                    if _may(place, doomed, report, yes=yes, dry_run=dry_run):
                        await _delete_all(repository, place, doomed, report)
                except remote_faults() as error:
                    report.fail(str(name) if not by_rules else place, error)

    run(work(), report, "delete")


async def _find_one(
    registries: "Registries", name: "ImageName", repository: "RemoteRepository"
) -> "tuple[Doomed, ...]":
    from authproxy.images.content import Missing
    from authproxy.images.deletion import Tagged, find_doomed, look_up
    from authproxy.images.listing import tags

    digest = await repository.find_digest(name.digest or name.reference)
    if digest is None:
        raise Missing(f"{name}: the registry has no such image")
    every = [tag async for tag in tags(await registries.open(name.host), name.repository)]
    all_tags = await look_up(repository, every)
    if name.tag is not None and name.digest is None:
        return find_doomed([Tagged(str(name.tag), digest)], all_tags)
    from authproxy.images.deletion import Doomed

    return (Doomed(digest, (), tuple(sorted(tag for tag, named in all_tags.items() if named == digest))),)


async def _find_by_rules(
    registries: "Registries",
    name: "ImageName",
    repository: "RemoteRepository",
    report: Report,
    match: str | None,
    before: dt.datetime | None,
    keep: int,
) -> "tuple[Doomed, ...]":
    from fnmatch import fnmatchcase

    from authproxy.images.deletion import choose_old, date, find_doomed, look_up
    from authproxy.images.listing import tags

    every = [tag async for tag in tags(await registries.open(name.host), name.repository)]
    all_tags = await look_up(repository, every)
    matching = {tag: digest for tag, digest in all_tags.items() if match is None or fnmatchcase(tag, match)}
    found = find_doomed(choose_old(await date(repository, matching), keep, before), all_tags)
    for doomed in found:
        if doomed.shared:
            kept = f"{name.host}/{name.repository}:{doomed.meant[0]}"
            report.say(
                f"kept {kept}: {', '.join(doomed.shared)} is the same image",
                name=kept,
                outcome="kept",
                shared=doomed.shared,
            )
    return tuple(doomed for doomed in found if not doomed.shared)


def _may(place: str, doomed: "tuple[Doomed, ...]", report: Report, *, yes: bool, dry_run: bool) -> bool:
    """Show what would go, and ask."""
    for one in doomed:
        also = f"; with it {', '.join(one.shared)}" if one.shared else ""
        what = ", ".join(one.meant) or str(one.digest)
        line = f"{'would delete' if dry_run else 'to delete'} {place}: {what} ({one.digest}){also}"
        if dry_run:
            report.say(
                line, name=place, outcome="would be deleted", digest=str(one.digest), tags=one.meant, shared=one.shared
            )
        elif not yes:
            typer.echo(line, err=True)
    if dry_run or yes:
        return yes and not dry_run
    if not sys.stdin.isatty():
        typer.echo("authproxy: nobody is there to ask: say --yes, or --dry-run", err=True)
        raise typer.Exit(2)
    if not typer.confirm(f"Delete {len(doomed)} image{'s' if len(doomed) > 1 else ''}?", err=True):
        raise typer.Exit(2)
    return True


async def _delete_all(repository: "RemoteRepository", place: str, doomed: "tuple[Doomed, ...]", report: Report) -> None:
    from authproxy.images.deletion import delete as delete_image

    for one in doomed:
        names = [f"{place}:{tag}" for tag in (*one.meant, *one.shared)] or [f"{place}@{one.digest}"]
        try:
            fault = await delete_image(repository, one)
        except remote_faults() as error:
            fault = str(error)
        for name in names:
            if fault is None:
                report.say(f"deleted {name} {one.digest}", name=name, outcome="deleted", digest=str(one.digest))
            else:
                report.fail(name, fault)


def _parse(text: str, *, by_rules: bool) -> "ImageName":
    name = parse_name(text)
    says_which = "@" in text or ":" in text.rpartition("/")[2]
    if by_rules and says_which:
        raise typer.BadParameter(f"{text}: rules are for a whole repository: leave out its tag", param_hint="REF")
    if not by_rules and not says_which:
        raise typer.BadParameter(
            f"{text}: say which image: a tag or a digest, or rules (--match, --keep)", param_hint="REF"
        )
    return name


def _parse_age(text: str) -> dt.timedelta:
    found = _AGE.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no age: 12h, 30d or 8w", param_hint="--older-than")
    return dt.timedelta(**{_UNITS[found[2]]: int(found[1])})
