"""`authproxy images delete`: shows which tags are deleted, deletes them, and verifies the result."""

import datetime as dt
import re
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.examples import examples
from authproxy.cli.registry_options import Ca, Json, PasswordStdin, PlainHttp, User, open_registries, parse_name
from authproxy.cli.registry_run import Report, ask, printable, remote_faults, run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authproxy.digest import Digest
    from authproxy.images.deletion import Deletion
    from authproxy.images.registries import Registries
    from authproxy.images.repository import RegistryRepository
    from authproxy.oci.image_name import ImageName

EXAMPLES = examples(
    "authproxy images delete r.example.org/team/app:v1",
    "authproxy images delete --match 'pr-*' --older-than 30d r.example.org/app",
    "authproxy images delete --keep 10 --dry-run r.example.org/team/app",
)

_AGE = re.compile(r"([0-9]+)([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def delete(
    names: Annotated[
        list[str],
        typer.Argument(metavar="REF", help="Images; with --match, --older-than or --keep, repositories."),
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
    asked. By rules (--match, --older-than, --keep; all that are given must hold, and --keep counts among those that
    match) an image that a kept tag shares is never deleted. The age of an image is the date in its configuration; one
    without a date is never old. Exit code: 0 all is gone, 1 something is not, 2 the command is wrong.
    """
    rules = _Rules.parse(match, older_than, keep)
    wanted: dict[tuple[str, str], list[ImageName]] = {}
    for name in [_parse(text, by_rules=rules is not None) for text in names]:
        wanted.setdefault((name.host, name.repository), []).append(name)
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
                cleaner = _Cleaner(host, path, registries, report, yes=yes, is_dry=dry_run)
                try:
                    await cleaner.clean(named if rules is None else rules)
                except remote_faults() as error:
                    report.fail(cleaner.place, error)

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
    """Deletes in one repository."""

    def __init__(
        self, host: str, repository: str, registries: "Registries", report: Report, *, yes: bool, is_dry: bool
    ) -> None:
        self.place = f"{host}/{repository}"
        self._host = host
        self._repository = repository
        self._registries = registries
        self._report = report
        self._yes = yes
        self._is_dry = is_dry

    async def clean(self, what: "list[ImageName] | _Rules") -> None:
        """Find the images, ask the user, delete. Raises what the registry raises."""
        from authproxy.images.deletion import resolve_tags
        from authproxy.images.listing import tags

        repository = await self._registries.repository(self._host, self._repository)
        client = await self._registries.open(self._host)
        all_tags = await resolve_tags(repository, [tag async for tag in tags(client, self._repository)])
        if isinstance(what, _Rules):
            deletions = await self._find_by_rules(repository, what, all_tags)
        else:
            deletions = await self._find_named(repository, what, all_tags)
        if not deletions:
            if not self._report.faults:
                typer.echo(f"{self.place}: nothing to delete", err=True)
        elif self._may(deletions):
            await self._delete(repository, deletions)

    async def _find_named(
        self, repository: "RegistryRepository", names: "list[ImageName]", all_tags: "Mapping[str, Digest]"
    ) -> "tuple[Deletion, ...]":
        from authproxy.images.deletion import plan_deletions

        wanted = []
        for name in names:
            digest = await repository.find_digest(name.digest or name.reference)
            if digest is None:
                self._report.fail(str(name), "the registry has no such image")
            else:
                wanted.append((None if name.digest is not None or name.tag is None else str(name.tag), digest))
        return plan_deletions(wanted, all_tags)

    async def _find_by_rules(
        self, repository: "RegistryRepository", rules: _Rules, all_tags: "Mapping[str, Digest]"
    ) -> "tuple[Deletion, ...]":
        from authproxy.images.deletion import choose_old, plan_deletions, read_dates

        matching = {
            tag: digest for tag, digest in all_tags.items() if rules.match is None or fnmatchcase(tag, rules.match)
        }
        dated, faults = await read_dates(repository, matching)
        for digest, why in faults.items():
            self._report.fail(f"{self.place}@{digest}", f"{why}; it is kept")
        found = plan_deletions([(one.tag, one.digest) for one in choose_old(dated, rules.keep, rules.before)], all_tags)
        free = []
        for deletion in found:
            if not deletion.shared and deletion.digest not in faults:
                free.append(deletion)
            elif deletion.shared:
                name = f"{self.place}:{deletion.tags[0]}"
                text = f"kept {name}: {', '.join(deletion.shared)} is the same image"
                self._report.say(text, name=name, outcome="kept", digest=str(deletion.digest), shared=deletion.shared)
        return tuple(free)

    def _may(self, deletions: "tuple[Deletion, ...]") -> bool:
        """Show what would be deleted, and ask the user."""
        for one in deletions:
            also = f"; with it {', '.join(one.shared)}" if one.shared else ""
            line = f"{self.place}: {', '.join(one.tags) or one.digest} ({one.digest}){also}"
            if self._is_dry:
                self._report.say(
                    f"would delete {line}",
                    name=self.place,
                    outcome="would be deleted",
                    digest=str(one.digest),
                    tags=one.tags,
                    shared=one.shared,
                )
            else:
                typer.echo(printable(f"to delete {line}"), err=True)
        if self._is_dry or self._yes:
            return self._yes and not self._is_dry
        if ask(f"Delete {len(deletions)} image{'s' if len(deletions) > 1 else ''}? [y/N] "):
            return True
        self._report.fail(self.place, "nothing was deleted: not confirmed")
        return False

    async def _delete(self, repository: "RegistryRepository", deletions: "tuple[Deletion, ...]") -> None:
        from authproxy.images.deletion import delete as delete_image

        for one in deletions:
            names = [f"{self.place}:{tag}" for tag in (*one.tags, *one.shared)] or [f"{self.place}@{one.digest}"]
            try:
                fault = await delete_image(repository, one)
            except remote_faults() as error:
                fault = str(error)
            for name in names:
                if fault is None:
                    self._report.say(
                        f"deleted {name} {one.digest}", name=name, outcome="deleted", digest=str(one.digest)
                    )
                else:
                    self._report.fail(name, fault)


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
