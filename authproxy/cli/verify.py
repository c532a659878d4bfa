"""`authproxy verify`: is what is stored what it should be; if not, who is hit, and what repairs it."""

import json
import os
import secrets
import shlex
import shutil
import signal
import sys
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from authproxy.cli.errors import tell
from authproxy.cli.examples import examples
from authproxy.cli.json_output import AsJson, in_json
from authproxy.cli.local_storage import StorageOption, act_as_owner, find_root
from authproxy.cli.output import counted, in_words
from authproxy.cli.registry_options import Ca, PasswordStdin, PlainHttp, User, open_registries, parse_registry
from authproxy.cli.registry_run import INTERRUPTED, STOPPED, printable
from authproxy.cli.settings import ConfigArgument, ConfigToo, named_config
from authproxy.errors import StartError, Unavailable
from authproxy.program import command

if TYPE_CHECKING:
    from authproxy.digest import Digest
    from authproxy.images.registries import Registries
    from authproxy.maintenance.verify.findings import Finding
    from authproxy.maintenance.verify.position import Position
    from authproxy.maintenance.verify.sample import Sample
    from authproxy.maintenance.verify.verification import Verified
    from authproxy.registry_client.client import RegistryClient
    from authproxy.storage.driver import Driver

EXAMPLES = examples(
    "authproxy verify",
    "authproxy verify --storage /var/lib/registry --rate 50MB/s",
    "authproxy verify --sample 1%",
    "authproxy verify --resume verify.json config.yml",
    "authproxy verify --repair --from m.example.org",
)

DAMAGED, UNKNOWN = 1, 2

# Findings of one kind that are shown; all that were kept are in the JSON.
MAX_SHOWN = 50
# Images that are named in one line.
MAX_NAMED = 5
# How the fix of damaged content begins.
PUSH_AGAIN = "push it again"
# How often the line of progress changes, in seconds.
SHOWN_EVERY_S = 0.3


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
        root = find_root(named, storage)
        writes = _may_write(named, storage, repairs=repair, is_dry=dry_run)
        with _progress_file(resume) as progress:
            code = run.go(root, registries, progress, writes=writes, words=_own_words(named, storage))
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

    def go(self, root: Path, registries: "Registries", progress: "_ProgressFile", *, writes: bool, words: str) -> int:
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
        self, root: Path, registries: "Registries", progress: "_ProgressFile", *, writes: bool, words: str
    ) -> int:
        import asyncio

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
            line = _Line(progress)
            try:
                verification = Verification(
                    driver,
                    position,
                    sample=self._sample,
                    rate=self._rate,
                    isolates=writes,
                    at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                    watcher=line,
                )
                verified = await verification.run()
                line.end()
                repaired = _Repaired()
                if self._repairs:
                    await repaired.repair(driver, source, verified)
            except (OSError, Unavailable) as error:
                raise StartError(f"{root} can't be read: {error}") from error
            finally:
                line.end()
                await driver.close()
        progress.remove()
        if self._as_json:
            typer.echo(in_json(_to_json(root, verified, repaired.failures, words)))
        else:
            _Text(verified, repaired, words, is_sample=self._sample is not None).show()
        return _exit_code(verified)


class _Repaired:
    """What came of --repair: why some findings stay, by what identifies each, and whether to look again."""

    def __init__(self) -> None:
        self.failures: dict[str, str] = {}
        self.has_more = False

    async def repair(self, driver: "Driver", source: "_Registry | None", verified: "Verified") -> None:
        """Repair what can be repaired."""
        from authproxy.maintenance.verify.repair import Repair

        self.has_more = await Repair(driver, source).repair(verified, self._note)

    def _note(self, finding: "Finding", why: str | None) -> None:
        if why is None:
            self.failures.pop(_key(finding), None)
        else:
            self.failures[_key(finding)] = why


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


class _ProgressFile:
    """The file of --resume, opened as the account that runs the command; without one nothing is kept."""

    def __init__(self, path: Path | None, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def load(self, sample: "Sample | None") -> "Position":
        """The position of an interrupted run, or a new one. Raises StartError."""
        from authproxy.maintenance.verify.position import Position, PositionInvalid

        new = Position("" if sample is None else sample.seed, "" if sample is None else str(sample))
        if self.path is None or not (content := os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)):
            return new
        try:
            found = Position.from_json(json.loads(content))
        except (PositionInvalid, ValueError) as error:
            why = str(error) if isinstance(error, PositionInvalid) else "it is not what a verification has saved"
            raise StartError(f"--resume {self.path}: {why}; remove it to begin again") from None
        if found.sample != new.sample or (sample is not None and found.seed != sample.seed):
            raise StartError(
                f"--resume {self.path}: the run before had {_sample_words(found)}; repeat that, or remove the file"
            )
        return found

    def save(self, position: "Position") -> None:
        """Replace the content, in place: the account may not be allowed to replace the file."""
        if self.path is None:
            return
        content = json.dumps(position.to_json()).encode()
        try:
            os.pwrite(self._descriptor, content, 0)
            os.ftruncate(self._descriptor, len(content))
        except OSError as error:  # a full disk: the run goes on
            typer.echo(f"authproxy: warning: the progress is not kept: {self.path}: {error.strerror}", err=True)

    def remove(self) -> None:
        """The run is complete: empty, the file is that of a run which has not begun."""
        if self.path is not None:
            os.ftruncate(self._descriptor, 0)


def _sample_words(position: "Position") -> str:
    return f"--sample {position.sample} --seed {position.seed}" if position.sample else "no --sample"


@contextmanager
def _progress_file(path: Path | None) -> Iterator[_ProgressFile]:
    if path is None:
        yield _ProgressFile(None, -1)
        return
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StartError(f"--resume {path}: {error.strerror}") from error
    try:
        yield _ProgressFile(path, descriptor)
    finally:
        os.close(descriptor)


class _Line:
    """See `verification.Watcher`: one line on a terminal, nothing elsewhere."""

    def __init__(self, progress: _ProgressFile) -> None:
        self._progress = progress
        self._is_shown = sys.stderr.isatty()
        self._next = 0.0
        self._width = 0

    async def save(self, position: "Position") -> None:
        """See Watcher."""
        self._progress.save(position)

    def saw(self, position: "Position") -> None:
        """See Watcher."""
        if not self._is_shown or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + SHOWN_EVERY_S
        text = _progress_text(position)[: shutil.get_terminal_size().columns - 1]
        sys.stderr.write(f"\r{text.ljust(self._width)}")
        sys.stderr.flush()
        self._width = len(text)

    def end(self) -> None:
        """Remove the line."""
        if self._width:
            sys.stderr.write(f"\r{' ' * self._width}\r")
            sys.stderr.flush()
            self._width = 0


def _progress_text(position: "Position") -> str:
    from authproxy.maintenance.verify.findings import Severity
    from authproxy.maintenance.verify.position import Stage

    damaged = f", {position.count(Severity.DAMAGED)} damaged" if position.count(Severity.DAMAGED) else ""
    if position.stage is Stage.BLOBS:
        # Digests are spread evenly, so their first digits say how far it is.
        share = int(position.content.hex[:4], 16) / 0x10000 if position.content is not None else 0
        return f"blobs: {share:.0%}, {position.blobs} read, {in_words(position.read_bytes)}{damaged}"
    return f"repositories: {position.repositories}, at {printable(position.repository)[:60]}{damaged}"


class _Text:
    """The report for people."""

    def __init__(self, verified: "Verified", repaired: _Repaired, words: str, *, is_sample: bool) -> None:
        self._verified = verified
        self._position = verified.position
        self._repaired = repaired
        self._words = words
        self._is_sample = is_sample

    def show(self) -> None:
        """Print it: what is damaged last but for the summary, since that is read first."""
        from authproxy.maintenance.verify.findings import Kind, Severity

        for severity in (Severity.WARNING, Severity.UNKNOWN, Severity.DAMAGED):
            for kind in Kind:
                found = [one for one in self._position.findings if one.kind is kind and one.severity is severity]
                for finding in found[:MAX_SHOWN]:
                    self._show(finding)
                if (more := self._position.counts[kind] - min(len(found), MAX_SHOWN)) > 0 and found:
                    typer.echo(f"{severity}: {more} more of {kind}: see --json")
        for line in self._summary():
            typer.echo(line)

    def _show(self, finding: "Finding") -> None:
        state = "repaired" if finding.is_repaired else str(finding.severity)
        typer.echo(f"{state}: {_one_line(finding.message)}")
        typer.echo(f"  in {_one_line(finding.where)}")
        if finding.hit_count:
            more = finding.hit_count - min(len(finding.hit), MAX_NAMED)
            also = f" and {more} more" if more else ""
            typer.echo(f"  hits {', '.join(map(_one_line, finding.hit[:MAX_NAMED]))}{also}")
        if (why := self._repaired.failures.get(_key(finding))) is not None:
            typer.echo(f"  not repaired: {_one_line(why)}")
        if fix := finding.fix(self._words):
            typer.echo(f"  fix: {fix}")

    def _summary(self) -> Iterable[str]:
        from authproxy.maintenance.verify.findings import Severity

        position = self._position
        repaired = sum(finding.is_repaired for finding in position.findings)
        counts = [
            f"{position.count(severity) - _repaired(self._verified, severity)} {severity}"
            for severity in (Severity.DAMAGED, Severity.UNKNOWN)
        ]
        counts.append(counted(position.count(Severity.WARNING), "warning"))
        if repaired:
            counts.append(f"{repaired} repaired")
        if self._is_sample:
            yield f"a sample of {position.sample}; the same again: --sample {position.sample} --seed {position.seed}"
        looked = counted(position.blobs, "blob")
        repositories = f" and {counted(position.repositories, 'repository').replace('repositorys', 'repositories')}"
        yield (
            f"read {looked} ({in_words(position.read_bytes)}){'' if self._is_sample else repositories}:"
            f" {', '.join(counts)}"
        )
        if self._verified.isolated:
            yield f"{counted(len(self._verified.isolated), 'blob')} went into quarantine: the next push repairs each"
        yield self._to_do()

    def _to_do(self) -> str:
        from authproxy.maintenance.verify.findings import Severity

        open_ones = [finding for finding in self._position.findings if not finding.is_repaired]
        damaged = [finding for finding in open_ones if finding.severity is Severity.DAMAGED]
        images = list(dict.fromkeys(image for finding in damaged for image in finding.hit))
        for finding in (*damaged, *(one for one in open_ones if one.severity is Severity.UNKNOWN)):
            fix = finding.fix(self._words)
            if images and fix.startswith(PUSH_AGAIN):
                more = f" and {len(images) - MAX_NAMED} more" if len(images) > MAX_NAMED else ""
                fix = f"push {', '.join(map(_one_line, images[:MAX_NAMED]))}{more}{fix.removeprefix(PUSH_AGAIN)}"
            return f"to do: {fix}"
        if self._repaired.has_more:
            return f"to do: {self._words}, again: manifests came back, and what they need was not looked at"
        return "nothing to do"


def _repaired(verified: "Verified", severity: str) -> int:
    return sum(finding.is_repaired and finding.severity == severity for finding in verified.position.findings)


def _exit_code(verified: "Verified") -> int:
    from authproxy.maintenance.verify.findings import Severity

    position = verified.position
    if position.count(Severity.DAMAGED) > _repaired(verified, Severity.DAMAGED):
        return DAMAGED
    return UNKNOWN if position.count(Severity.UNKNOWN) else 0


def _to_json(root: Path, verified: "Verified", failures: dict[str, str], words: str) -> dict[str, Any]:
    from authproxy.maintenance.verify.findings import Severity

    position = verified.position
    return {
        "storage": str(root),
        "sample": position.sample or None,
        "seed": position.seed or None,
        "blobs": position.blobs,
        "read_bytes": position.read_bytes,
        "repositories": position.repositories,
        **{f"{severity}": position.count(severity) for severity in Severity},
        "repaired": sum(finding.is_repaired for finding in position.findings),
        "quarantined": [str(digest) for digest in verified.isolated],
        "findings": [
            {
                **finding.to_json(),
                "severity": finding.severity,
                "fix": finding.fix(words),
                "repaired": finding.is_repaired,
                "not_repaired_because": failures.get(_key(finding)),
            }
            for finding in position.findings
        ],
    }


def _key(finding: "Finding") -> str:
    return f"{finding.kind} {finding.where} {finding.message}"


def _one_line(text: str) -> str:
    return printable(text).replace("\n", "\\n")


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


def _may_write(config: Path | None, storage: Path | None, *, repairs: bool, is_dry: bool) -> bool:
    """Whether this run may write to the storage. Raises StartError where it has to, and may not."""
    from authproxy.cli.settings import load_found
    from authproxy.config.find import find_configuration

    if storage is not None:
        return repairs
    section = load_found(find_configuration(config, os.environ)).settings.storage
    if section is None or not section.maintenance.readonly.enabled:
        return not is_dry
    if repairs:
        raise StartError("storage.maintenance.readonly is on, so nothing is repaired; turn it off first")
    return False


def _own_words(config: Path | None, storage: Path | None) -> str:
    """This command, as it can be typed again."""
    if storage is not None:
        return command(f"verify --storage {shlex.quote(str(storage))}")
    return command("verify" if config is None else f"verify {shlex.quote(str(config))}")
