"""`authproxy images delete`: shows which tags are deleted, deletes them, and verifies the result."""

import datetime as dt
import re
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.examples import examples
from authproxy.cli.images.delete_whole import delete_whole
from authproxy.cli.images.deletion_dialog import Dialog
from authproxy.cli.output import counted
from authproxy.cli.registry_options import Ca, Json, PasswordStdin, PlainHttp, User, open_registries, parse_name
from authproxy.cli.registry_run import Report, printable, remote_faults, run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authproxy.digest import Digest
    from authproxy.images.deletion import Deletion
    from authproxy.images.repository import RegistryRepository
    from authproxy.oci.image_name import ImageName
    from authproxy.registry_client.client import RegistryClient

EXAMPLES = examples(
    "authproxy images delete r.example.org/team/app:v1",
    "authproxy images delete --match 'pr-*' --older-than 30d r.example.org/app",
    "authproxy images delete --keep 10 --dry-run r.example.org/team/app",
    "authproxy images delete --dry-run r.example.org/team/old",
)

_AGE = re.compile(r"([0-9]+)([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def delete(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="REF",
            help="Images, or repositories: whole, or with --match, --older-than or --keep what these say.",
        ),
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
    """Delete images, or whole repositories: say which tags go, ask, delete, and look whether they are gone.

    A name without a tag or digest is the whole repository: its tags, indexes, images, signatures and other referrers.
    An authproxy lists also what has no tag; at other registries that stays until their own garbage collection. A
    registry deletes what a tag names, and with it every other tag of the same image: those are shown before it is
    asked. By rules (--match, --older-than, --keep; all that are given must hold, and --keep counts among those that
    match) an image that a kept tag shares is never deleted. The age of an image is the date in its configuration; one
    without a date is never old. Exit code: 0 all is gone, 1 something is not, 2 the command is wrong.
    """
    rules = _Rules.parse(match, older_than, keep)
    wanted: dict[tuple[str, str], list[ImageName | None]] = {}
    for place, name in [_parse(text, by_rules=rules is not None) for text in names]:
        wanted.setdefault(place, []).append(name)
    if not (yes or dry_run or sys.stdin.isatty()):
        raise typer.BadParameter(
            "standard input is not a terminal, so nobody can confirm; use --yes or --dry-run", param_hint="--yes"
        )
    hosts = [host for host, _ in wanted]
    registries = open_registries(user, ca, *hosts, password_stdin=password_stdin, plain_http=plain_http)
    report = Report(as_json=as_json)

    async def work() -> None:
        async with registries:
            for (host, path), named in wanted.items():
                dialog = Dialog(f"{host}/{path}", report, yes=yes, is_dry=dry_run)
                images = [name for name in named if name is not None]
                try:
                    client, repository = await registries.open(host, path), await registries.repository(host, path)
                    if rules is None and len(images) < len(named):
                        await delete_whole(client, path, repository, dialog)
                    else:
                        cleaner = _Cleaner(client, path, repository, dialog)
                        await cleaner.clean(images if rules is None else rules)
                except remote_faults() as error:
                    report.fail(dialog.place, error)

    run(work(), report, "delete")


@dataclass(frozen=True, slots=True)
class _Rules:
    """Which tags of a repository are deleted."""

    match: str | None
    before: dt.datetime | None
    keep: int

    @classmethod
    def parse(cls, match: str | None, older_than: str | None, keep: int) -> "_Rules | None":
        """The rules in the options; None without any. Raises BadParameter."""
        if match is None and older_than is None and not keep:
            return None
        before = None if older_than is None else dt.datetime.now(dt.UTC) - _parse_age(older_than)
        return cls(match, before, keep)


class _Cleaner:
    """Deletes images of one repository."""

    def __init__(self, client: "RegistryClient", path: str, repository: "RegistryRepository", dialog: Dialog) -> None:
        self._client = client
        self._path = path
        self._repository = repository
        self._dialog = dialog
        self._place = dialog.place
        self._report = dialog.report

    async def clean(self, what: "list[ImageName] | _Rules") -> None:
        """Find the images, ask the user, delete. Raises what the registry raises."""
        from authproxy.images.deletion import resolve_tags
        from authproxy.images.listing import tags

        all_tags = await resolve_tags(self._repository, [tag async for tag in tags(self._client, self._path)])
        if isinstance(what, _Rules):
            deletions = await self._find_by_rules(what, all_tags)
        else:
            deletions = await self._find_named(what, all_tags)
        if not deletions:
            if not self._report.faults:
                typer.echo(f"{self._place}: nothing to delete", err=True)
        elif self._may(deletions):
            await self._delete(deletions, by_rules=isinstance(what, _Rules))

    async def _find_named(self, names: "list[ImageName]", all_tags: "Mapping[str, Digest]") -> "tuple[Deletion, ...]":
        from authproxy.images.deletion import plan_deletions

        wanted = []
        for name in names:
            digest = await self._repository.find_digest(name.digest or name.reference)
            if digest is None:
                self._report.fail(str(name), "the registry has no such image")
            else:
                wanted.append((None if name.digest is not None or name.tag is None else str(name.tag), digest))
        return plan_deletions(wanted, all_tags)

    async def _find_by_rules(self, rules: _Rules, all_tags: "Mapping[str, Digest]") -> "tuple[Deletion, ...]":
        from authproxy.images.deletion import choose_old, plan_deletions, read_dates

        matching = {
            tag: digest for tag, digest in all_tags.items() if rules.match is None or fnmatchcase(tag, rules.match)
        }
        dated, faults = await read_dates(self._repository, matching)
        for digest, why in faults.items():
            self._report.fail(f"{self._place}@{digest}", f"{why}; it is kept")
        found = plan_deletions([(one.tag, one.digest) for one in choose_old(dated, rules.keep, rules.before)], all_tags)
        free = []
        for deletion in found:
            if not deletion.shared and deletion.digest not in faults:
                free.append(deletion)
            elif deletion.shared:
                name = f"{self._place}:{deletion.tags[0]}"
                text = f"kept {name}: {', '.join(deletion.shared)} is the same image"
                self._report.say(text, name=name, outcome="kept", digest=str(deletion.digest), shared=deletion.shared)
        return tuple(free)

    def _may(self, deletions: "tuple[Deletion, ...]") -> bool:
        """Show what would be deleted, and ask the user."""
        for one in deletions:
            also = f"; with it {', '.join(one.shared)}" if one.shared else ""
            line = f"{self._place}: {', '.join(one.tags) or one.digest} ({one.digest}){also}"
            if self._dialog.is_dry:
                self._report.say(
                    f"would delete {line}",
                    name=self._place,
                    outcome="would be deleted",
                    digest=str(one.digest),
                    tags=one.tags,
                    shared=one.shared,
                )
            else:
                typer.echo(printable(f"to delete {line}"), err=True)
        return self._dialog.confirm(f"Delete {counted(len(deletions), 'image')}? [y/N] ")

    async def _delete(self, deletions: "tuple[Deletion, ...]", *, by_rules: bool) -> None:
        from authproxy.images.deletion import delete as delete_image
        from authproxy.images.repository import NeededBy

        for one in deletions:
            needed, fault = None, None
            try:
                fault = await delete_image(self._repository, one)
            except NeededBy as error:
                needed = error
            except remote_faults() as error:
                fault = str(error)
            for name in self._dialog.names(one.digest, (*one.tags, *one.shared)):
                if needed is not None and by_rules:
                    self._dialog.say_needed(name, one.digest, needed.namer)
                elif fault is not None or needed is not None:
                    self._report.fail(name, fault or needed)
                else:
                    self._dialog.say_deleted(name, one.digest)


def _parse(text: str, *, by_rules: bool) -> "tuple[tuple[str, str], ImageName | None]":
    """The host and the repository that a name leads to, and the image; None: the whole repository, or by rules."""
    name = parse_name(text)
    says_which = "@" in text or ":" in text.rpartition("/")[2]
    if by_rules and says_which:
        raise typer.BadParameter(f"{text}: rules are for a whole repository: leave out its tag", param_hint="REF")
    return (name.host, name.repository), name if says_which else None


def _parse_age(text: str) -> dt.timedelta:
    found = _AGE.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no age: 12h, 30d or 8w", param_hint="--older-than")
    return dt.timedelta(**{_UNITS[found[2]]: int(found[1])})
