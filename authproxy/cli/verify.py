"""`authproxy verify`: is what is stored what it should be; if not, who is hit, and what repairs it."""

import secrets
import shlex
import signal
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authproxy.cli.audited import record_change
from authproxy.cli.errors import tell
from authproxy.cli.examples import examples
from authproxy.cli.json_output import AsJson, in_json
from authproxy.cli.local_storage import StorageOption, act_as_owner, find_local, is_read_only
from authproxy.cli.output import counted
from authproxy.cli.progress_line import ProgressLine
from authproxy.cli.registry_options import Ca, PasswordStdin, PlainHttp, User, open_registries, parse_registry
from authproxy.cli.registry_run import INTERRUPTED, STOPPED
from authproxy.cli.settings import ConfigArgument, ConfigToo, named_config
from authproxy.cli.verify_report import UNKNOWN, Repaired, TextReport, exit_code, progress_words, to_json
from authproxy.cli.verify_resume import ProgressFile, opened_progress_file
from authproxy.errors import StartError, Unavailable
from authproxy.program import command

if TYPE_CHECKING:
    from authproxy.config.settings import Settings
    from authproxy.digest import Digest
    from authproxy.images.registries import Registries
    from authproxy.maintenance.verify.position import Position
    from authproxy.maintenance.verify.sample import Sample
    from authproxy.maintenance.verify.verification import Verified
    from authproxy.registry_client.client import RegistryClient

EXAMPLES = examples(
    "authproxy verify",
    "authproxy verify --storage /var/lib/registry --rate 50MB/s",
    "authproxy verify --sample 1%",
    "authproxy verify --resume verify.json config.yml",
    "authproxy verify --repair --from m.example.org",
)


def verify(
    config: ConfigArgument = None,
    *,
    storage: StorageOption = None,
    sample: Annotated[
        str | None,
        typer.Option(metavar="N|N%", help="Read only so many blobs, chosen at random, and no links: 1000 or 5%."),
    ] = None,
    seed: Annotated[str | None, typer.Option(help="Choose the blobs of an earlier sample again.")] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep the progress in this file, and go on if there is one.", dir_okay=False),
    ] = None,
    rate: Annotated[
        str | None, typer.Option(metavar="SIZE/s", help="Read no more than this in a second: 50MB/s.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing, not even the quarantine.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what can be repaired without a push.")] = False,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="REGISTRY", help="With --repair: fetch content from here: HOST, or HOST/PREFIX."
        ),
    ] = None,
    user: User = None,
    password_stdin: PasswordStdin = False,
    ca: Ca = None,
    plain_http: PlainHttp = False,
    as_json: AsJson = False,
    config_option: ConfigToo = None,
) -> None:
    """Read all that is stored, compare it with its digests, and look whether links, manifests and tags fit together.

    It runs beside the server. What is damaged for certain goes into quarantine: for clients it is missing then, so the
    next push brings it again. --storage and --dry-run write nothing. Exit code: 0 nothing is damaged, 1 something is,
    2 something could not be read, or the command is wrong.
    """
    if source is not None and not repair:
        raise typer.BadParameter("it needs --repair", param_hint="--from")
    if repair and dry_run:
        raise typer.BadParameter("--repair writes: leave out one of the two", param_hint="--dry-run")
    named = named_config(config, config_option)
    run = _Run(
        sample=_parse_sample(sample, seed),
        rate=_parse_rate(rate),
        repairs=repair,
        source=None if source is None else _parse_source(source),
        as_json=as_json,
    )
    registries = open_registries(
        user,
        ca,
        *([run.source[0]] if run.source else []),
        password_stdin=password_stdin,
        plain_http=plain_http,
    )
    try:
        settings, root = find_local(named, storage)
        writes = repair if storage is not None else _may_write(settings, repairs=repair, is_dry=dry_run)
        with opened_progress_file(resume) as progress:
            code = run.go(root, registries, progress, writes=writes, words=_own_words(named, storage))
        if run.changes:
            record_change(f"verified {root}: {', '.join(run.changes)}", settings)
    except StartError as error:
        tell(error)
        code = UNKNOWN
    raise typer.Exit(code)


class _Run:
    """One run of the command, by its options."""

    def __init__(
        self,
        *,
        sample: "Sample | None",
        rate: int | None,
        repairs: bool,
        source: tuple[str, str] | None,
        as_json: bool,
    ) -> None:
        self.source = source
        self._sample = sample
        self._rate = rate
        self._repairs = repairs
        self._as_json = as_json
        self.changes: list[str] = []
        """What was changed in the storage, in words."""

    def go(self, root: Path, registries: "Registries", progress: ProgressFile, *, writes: bool, words: str) -> int:
        """Verify and report. Returns the exit code."""
        import asyncio

        try:
            return asyncio.run(self._go(root, registries, progress, writes=writes, words=words))
        except KeyboardInterrupt:
            code = INTERRUPTED
        except asyncio.CancelledError:
            code = STOPPED
        if progress.path is not None:
            typer.echo(f"interrupted; go on: {words} --resume {shlex.quote(str(progress.path))}", err=True)
        return code

    async def _go(
        self, root: Path, registries: "Registries", progress: ProgressFile, *, writes: bool, words: str
    ) -> int:
        import asyncio

        from authproxy.maintenance.verify.repair import Repair
        from authproxy.maintenance.verify.verification import Verification
        from authproxy.storage.filesystem.driver import FilesystemDriver

        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        async with registries:
            source = None
            if self.source is not None:  # before the account changes: stored logins are this one's
                source = _Registry(await _connect(registries, self.source[0]), self.source[1])
            act_as_owner(root)
            position = progress.load(self._sample)
            driver = FilesystemDriver(root, read_only=not writes)
            follower = _Follower(progress)
            try:
                verification = Verification(
                    driver,
                    position,
                    sample=self._sample,
                    rate=self._rate,
                    isolates=writes,
                    at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                    watcher=follower,
                )
                verified = await verification.run()
                follower.end()
                repaired = Repaired()
                if self._repairs:
                    repaired.has_more = await Repair(driver, source).repair(verified, repaired.note)
                self._note_changes(verified, repaired)
            except (OSError, Unavailable) as error:
                raise StartError(f"{root} can't be read: {error}") from error
            finally:
                follower.end()
                await driver.close()
        progress.remove()
        if self._as_json:
            typer.echo(in_json(to_json(root, verified, repaired.failures, words)))
        else:
            TextReport(verified, repaired, words, is_sample=self._sample is not None).show()
        return exit_code(verified)

    def _note_changes(self, verified: "Verified", repaired: Repaired) -> None:
        if verified.isolated:
            self.changes.append(f"put {counted(len(verified.isolated), 'blob')} in quarantine")
        if repaired.done:
            self.changes.append(f"repaired {counted(repaired.done, 'fault')}")


class _Follower:
    """See `verification.Watcher`: by the file of --resume, and by a line on a terminal."""

    def __init__(self, progress: ProgressFile) -> None:
        self._progress = progress
        self._line = ProgressLine()

    async def save(self, position: "Position") -> None:
        """See Watcher."""
        self._progress.save(position)

    def saw(self, position: "Position") -> None:
        """See Watcher."""
        self._line.show(lambda: progress_words(position))

    def end(self) -> None:
        """Remove the line."""
        self._line.end()


class _Registry:
    """See `repair.Source`: another registry, by the client of `images`."""

    def __init__(self, client: "RegistryClient", prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    async def content(self, repository: str, digest: "Digest", size: int | None) -> AsyncGenerator[bytes, None]:
        """See `repair.Source`."""
        from authproxy.cli.registry_run import remote_faults
        from authproxy.images.repository import RegistryRepository
        from authproxy.maintenance.verify.repair import NotRepaired
        from authproxy.oci.manifest import Descriptor

        try:
            there = RegistryRepository(self._client, f"{self._prefix}{repository}")
            if size is None:
                yield (await there.manifest(digest)).content
                return
            async for piece in there.blob(Descriptor("application/octet-stream", digest, size)):
                yield piece
        except remote_faults() as error:
            raise NotRepaired(str(error)) from error


async def _connect(registries: "Registries", host: str) -> "RegistryClient":
    from authproxy.cli.registry_run import remote_faults

    try:
        return await registries.open(host)
    except remote_faults() as error:
        raise StartError(str(error)) from error


def _parse_sample(text: str | None, seed: str | None) -> "Sample | None":
    from authproxy.maintenance.verify.sample import Sample

    if text is None:
        if seed is not None:
            raise typer.BadParameter("it needs --sample", param_hint="--seed")
        return None
    try:
        return Sample.parse(text, seed or secrets.token_hex(4))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--sample") from None


def _parse_rate(text: str | None) -> int | None:
    from authproxy.config.document.scalars import parse_bytes

    if text is None:
        return None
    if text.isdecimal():
        raise typer.BadParameter(f"{text} is so many bytes: write the unit, such as {text}MB/s", param_hint="--rate")
    try:
        rate = parse_bytes(text.removesuffix("/s"))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--rate") from None
    if not rate:
        raise typer.BadParameter("nothing would ever be read", param_hint="--rate")
    return rate


def _parse_source(text: str) -> tuple[str, str]:
    from authproxy.reference import is_repository

    host, _, prefix = text.removesuffix("/").partition("/")
    if prefix and not is_repository(prefix):
        raise typer.BadParameter(f"{text}: write HOST, or HOST/PREFIX", param_hint="--from")
    return parse_registry(host), f"{prefix}/" if prefix else ""


def _may_write(settings: "Settings | None", *, repairs: bool, is_dry: bool) -> bool:
    """Whether this run may write to the storage. Raises StartError where it has to, and may not."""
    if not is_read_only(settings):
        return not is_dry
    if repairs:
        raise StartError("storage.maintenance.readonly is on, so nothing is repaired; turn it off first")
    return False


def _own_words(config: Path | None, storage: Path | None) -> str:
    """This command, as it can be typed again."""
    if storage is not None:
        return command(f"verify --storage {shlex.quote(str(storage))}")
    return command("verify" if config is None else f"verify {shlex.quote(str(config))}")
