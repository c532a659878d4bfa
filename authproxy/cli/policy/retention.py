"""`authproxy policy retention`: shows which images the policies keep, and removes the others."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.audited import record_change
from authproxy.cli.examples import examples
from authproxy.cli.local_storage import StorageOption, act_as_owner, is_read_only, root_of
from authproxy.cli.output import counted, in_words
from authproxy.cli.policy.files import PoliciesOption, find_rules
from authproxy.cli.policy.reporting import reporting
from authproxy.cli.registry_options import Json
from authproxy.cli.registry_run import Report, ask, run
from authproxy.cli.settings import ConfigOption
from authproxy.errors import StartError, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from authproxy.maintenance.retention.plan import PlannedImage, RetentionPlan
    from authproxy.maintenance.retention.run import Retention
    from authproxy.policy.retention import Image
    from authproxy.reference import Repository
    from authproxy.storage.driver import Driver

EXAMPLES = examples(
    "authproxy policy retention --dry-run",
    "authproxy policy retention --dry-run --policies draft.yaml --storage /var/lib/registry",
    "authproxy policy retention --yes team/app",
)

# Names that are longer push the columns behind them to the right.
MAX_WIDTH = 40


def retention(
    repositories: Annotated[
        list[str] | None, typer.Argument(metavar="REPOSITORY", help="Repositories; without any, all.")
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    storage: StorageOption = None,
    policies: PoliciesOption = None,
    as_json: Json = False,
    config: ConfigOption = None,
) -> None:
    """Say of each image which entry of retention keeps or removes it, and how much that frees; then remove.

    Works on the storage on this machine, beside the server. Asks before it removes something from a repository. What is
    removed is in the trash for a while. Bytes that other repositories need too are freed with the last of them.

    Exit code 0: all is done; 1: something was not removed or not decided; 2: nothing was done, a file cannot be used.
    """
    from authproxy.maintenance.retention.run import load_retention
    from authproxy.policy.retention import RetentionRefused

    if not (yes or dry_run or sys.stdin.isatty()):
        raise typer.BadParameter(
            "standard input is not a terminal, so nobody can confirm; use --yes or --dry-run", param_hint="--yes"
        )
    named = [_parse(name) for name in repositories or ()]
    with reporting():
        settings, path = find_rules(policies, config)
        root = root_of(settings, storage)
        if not dry_run and storage is None and is_read_only(settings):
            raise StartError("storage.maintenance.readonly is on, so nothing may be removed; use --dry-run")
        try:
            loaded = load_retention(path, None, datetime.now(UTC), needs_rule=policies is None)
        except RetentionRefused as exc:
            raise StartError(f"{exc}; so nothing was decided and nothing removed") from None
        if not loaded.loaded.retention:
            raise StartError(
                f"{path}: has no entry of retention; write one: retention: [{{name: …, on: …, keep: […]}}]"
            )
        act_as_owner(root)
        command = _Command(root, loaded, Report(as_json=as_json), yes=yes, is_dry=dry_run)
        try:
            run(command.run(named), command.report, "retention")
        finally:
            if command.removed:
                record_change(f"removed {command.removed} by the retention of {path}", settings)


def _parse(name: str) -> "Repository":
    from authproxy.errors import NameInvalid
    from authproxy.reference import parse_repository

    try:
        return parse_repository(name)
    except NameInvalid:
        raise typer.BadParameter(
            f"{name!r} is not the name of a repository; allowed: one such as team/app, without host and tag",
            param_hint="REPOSITORY",
        ) from None


class _Command:
    """One run of the command."""

    def __init__(self, root: Path, retention: "Retention", report: Report, *, yes: bool, is_dry: bool) -> None:
        self.report = report
        self._root = root
        self._retention = retention
        self._yes = yes
        self._is_dry = is_dry
        self._frees = 0
        self._removed = 0
        self._touched = 0

    @property
    def removed(self) -> str:
        """What was removed, in words; empty if nothing was."""
        return f"{counted(self._removed, 'image')} in {self._where}" if self._removed else ""

    @property
    def _where(self) -> str:
        return counted(self._touched, "repository", "repositories")

    async def run(self, named: "list[Repository]") -> None:
        """Decide and remove, repository by repository. Raises StartError."""
        from dataclasses import replace

        from authproxy.registry.pull_times import PullTimes
        from authproxy.storage import state_layout
        from authproxy.storage.filesystem.driver import FilesystemDriver
        from authproxy.storage.records import Records

        driver = FilesystemDriver(self._root, read_only=self._is_dry)
        try:
            if not self._is_dry:
                await self._check_clock(driver)
            self._retention = replace(self._retention, pull_times=await PullTimes.load(driver))
            async for repository in _named_or_all(driver, named, self.report):
                try:
                    await self._run_in(driver, repository, is_named=bool(named))
                except (Unavailable, OSError) as exc:
                    self.report.fail(repository, exc)
            if not self.report.as_json:
                self._sum_up(is_collected=await Records(driver).read(state_layout.gc_enabled()) is not None)
        finally:
            await driver.close()

    def _sum_up(self, *, is_collected: bool) -> None:
        if self._is_dry:
            self.report.say(f"would free {in_words(self._frees)} in {self._where}")
        elif self._removed:
            free = "the garbage collector frees" if is_collected else "collection is off; `authproxy gc --enable` frees"
            self.report.say(f"removed {self.removed}, into the trash; {free} {in_words(self._frees)}")
        else:
            self.report.say("nothing was removed")

    async def _check_clock(self, driver: "Driver") -> None:
        """A clock that was set makes images old: then only someone who looks may go on. Raises StartError."""
        from authproxy.maintenance.retention.steady_clock import SteadyClock
        from authproxy.storage.records import Records

        look = await SteadyClock(Records(driver)).look(self._retention.now)
        if look.why and self._yes:
            raise StartError(f"{look.why}; if the time is right, run this without --yes")
        if look.why:
            typer.echo(f"authproxy: {look.why}; it is {_written(self._retention.now)} now: is that right?", err=True)

    async def _run_in(self, driver: "Driver", repository: "Repository", *, is_named: bool) -> None:
        """Decide about a repository and carry it out."""
        from authproxy.policy.retention import Outcome, RetentionRefused

        try:
            plan = await self._retention.plan(driver, repository)
        except RetentionRefused as exc:
            self.report.fail(repository, exc)
            return
        if plan is None:
            if is_named:
                typer.echo(f"{repository}: no entry of retention is about it, so all stays", err=True)
            return
        removing = plan.with_outcome(Outcome.REMOVED)
        self._show(plan)
        if self._is_dry:
            self._frees += plan.frees
            self._touched += bool(removing)
        elif removing and (self._yes or ask(f"Remove {counted(len(removing), 'image')} of {repository}? [y/N] ")):
            await self._remove(driver, plan)
        elif removing:
            self.report.fail(repository, "nothing was removed: not confirmed")

    def _show(self, plan: "RetentionPlan") -> None:
        from authproxy.policy.retention import Outcome

        repository, now = plan.contents.repository, self._retention.now
        removing = plan.with_outcome(Outcome.REMOVED)
        if not self.report.as_json:
            head = f"{repository}: {counted(len(plan.images), 'image')}, {len(removing)} to remove"
            self.report.say(f"{head}, frees {in_words(plan.frees)}" if removing else head)
        width = min(MAX_WIDTH, max((len(_name(one.retained.image)) for one in plan.images), default=0))
        for one in plan.images:
            image, outcome, reason = one.retained
            verb = {Outcome.KEPT: "keep", Outcome.REMOVED: "remove", Outcome.DRY: "report"}[outcome]
            if self.report.as_json and (outcome is not Outcome.REMOVED or self._is_dry):
                self._say_json(repository, one, "kept" if outcome is Outcome.KEPT else "would be removed", reason)
            elif not self.report.as_json:
                times = f"{_age('pushed', image.pushed, now):17} {_age('pulled', image.pulled, now):17}"
                frees = in_words(one.frees) if outcome is not Outcome.KEPT else ""
                self.report.say(f"  {verb:6} {_name(image):{width}} {times} {frees:6} {reason}".rstrip())
        if plan.contents.unread:
            first = plan.contents.unread[0]
            typer.echo(
                f"authproxy: {repository}: {first} cannot be read, so tags go and all manifests stay;"
                " `authproxy verify` says what is wrong",
                err=True,
            )

    async def _remove(self, driver: "Driver", plan: "RetentionPlan") -> None:
        from authproxy.maintenance.retention.deleting import StoreDeleter
        from authproxy.maintenance.retention.run import carry_out

        repository = plan.contents.repository
        removed = 0
        async for one in carry_out(plan, StoreDeleter(driver)):
            image = one.planned.retained.image
            if one.why_not:
                self.report.fail(f"{repository}{':' if image.tag else '@'}{image.tag or image.digest}", one.why_not)
                continue
            removed += 1
            self._frees += one.planned.frees
            if self.report.as_json:
                self._say_json(repository, one.planned, "removed", one.planned.retained.reason)
        self._removed += removed
        self._touched += bool(removed)
        if not self.report.as_json:
            self.report.say(f"{repository}: removed {counted(removed, 'image')}")

    def _say_json(self, repository: str, one: "PlannedImage", outcome: str, reason: str) -> None:
        image = one.retained.image
        self.report.say(
            "",
            repository=repository,
            tag=image.tag,
            digest=str(image.digest),
            pushed=None if image.pushed is None else image.pushed.isoformat(),
            pulled=None if image.pulled is None else image.pulled.isoformat(),
            outcome=outcome,
            reason=reason,
            frees=one.frees,
        )


async def _named_or_all(driver: "Driver", named: "list[Repository]", report: Report) -> "AsyncIterator[Repository]":
    from authproxy.registry.links import is_known
    from authproxy.registry.repository_walk import all_repositories

    if not named:
        async for repository in all_repositories(driver):
            yield repository
    for repository in named:
        if await is_known(driver, repository):
            yield repository
        else:
            report.fail(repository, "there is no such repository")


def _name(image: "Image") -> str:
    """The tag, or the beginning of the digest."""
    return image.tag or f"@{image.digest.algorithm}:{image.digest.hex[:12]}"


def _age(what: str, time: datetime | None, now: datetime) -> str:
    """`pushed 3d ago`; how long ago in its largest unit."""
    if time is None:
        return f"{what} unknown"
    minutes = max(now - time, timedelta()) // timedelta(minutes=1)
    for unit, length in (("d", 24 * 60), ("h", 60)):
        if minutes >= length:
            return f"{what} {minutes // length}{unit} ago"
    return f"{what} {minutes}m ago"


def _written(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"
