"""The scrub: a verification in the background, slow, and continued where it was interrupted."""

import datetime as dt
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from authproxy.errors import Unavailable
from authproxy.maintenance.jobs import Job
from authproxy.maintenance.verify.findings import Finding, Kind, Severity
from authproxy.maintenance.verify.position import Position, PositionInvalid, Stage
from authproxy.maintenance.verify.verification import Verification
from authproxy.metrics.families import SCRUB_FINDINGS, SCRUB_READ_BYTES
from authproxy.metrics.metrics import Metrics
from authproxy.storage import state_layout
from authproxy.storage.driver import Driver
from authproxy.storage.records import Fields, Records, RecordUnreadable

log = structlog.get_logger(__name__)

NAME = "scrub"

# Findings that the record of the position keeps: a record is small content.
MAX_RECORDED = 1000

# The least time between two writes of the position, in seconds: an SD card is worn by each.
SAVE_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class ScrubOptions:
    """How often, and how fast: bytes a second."""

    interval_s: float
    rate: int


def scrub_job(driver: Driver, options: ScrubOptions, metrics: Metrics) -> Job:
    """The job that verifies the whole storage, and puts what is damaged in quarantine."""
    return Job(NAME, Scrub(driver, options.rate, metrics).work, options.interval_s)


class Scrub:
    """One scrub after the other. Two at once read everything twice, and find the same."""

    def __init__(
        self,
        driver: Driver,
        rate: int,
        metrics: Metrics,
        *,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._driver = driver
        self._records = Records(driver)
        self._rate = rate
        self._metrics = metrics
        self._now = now
        self._counted_bytes = 0
        self._counted: Counter[Severity] = Counter()

    async def work(self) -> Fields:
        """Go on with an interrupted scrub, or begin one. Returns the report for the record of the job."""
        position = await self._find_position()
        # An earlier process has counted these.
        self._counted_bytes = position.read_bytes
        self._counted = Counter({severity: position.count(severity) for severity in Severity})
        verification = Verification(
            self._driver,
            position,
            rate=self._rate,
            isolates=True,
            at=self._now().isoformat(timespec="seconds"),
            watcher=self,
            save_every_s=SAVE_EVERY_S,
        )
        verified = await verification.run()
        for finding in position.findings:
            if finding.severity is not Severity.WARNING:
                _log(finding)
        await self._driver.delete(state_layout.scrub())
        return {
            "blobs": position.blobs,
            "read_bytes": position.read_bytes,
            "repositories": position.repositories,
            **{severity: position.count(severity) for severity in Severity},
            "quarantined": len(verified.isolated),
        }

    async def save(self, position: Position) -> None:
        """See Watcher: a record, so that the next process goes on."""
        self.saw(position)
        if position.stage is Stage.DONE:
            return
        fields = position.to_json()
        fields["findings"] = fields["findings"][:MAX_RECORDED]
        try:
            await self._records.update(state_layout.scrub(), lambda _: {"position": fields})
        except (OSError, Unavailable) as error:  # a full disk: the scrub goes on
            log.warning("the position of the scrub is not kept", reason=str(error))

    def saw(self, position: Position) -> None:
        """See Watcher: count it."""
        self._metrics.count(SCRUB_READ_BYTES, by=position.read_bytes - self._counted_bytes)
        self._counted_bytes = position.read_bytes
        for severity in Severity:
            count = position.count(severity)
            self._metrics.count(SCRUB_FINDINGS, severity, by=count - self._counted[severity])
            self._counted[severity] = count

    async def _find_position(self) -> Position:
        new = Position(seed="")
        try:
            record = await self._records.read(state_layout.scrub())
            return new if record is None else Position.from_json(record.fields["position"])
        except (RecordUnreadable, PositionInvalid, KeyError):
            await self._driver.delete(state_layout.scrub())
            return new


def _log(finding: Finding) -> None:
    log.error(
        "the scrub found damage" if finding.severity is Severity.DAMAGED else "the scrub could not read everything",
        kind=str(finding.kind),
        reason=finding.message,
        path=finding.where,
        repository=finding.repository,
        images=list(finding.hit),
        is_quarantined=finding.kind is Kind.CONTENT_DAMAGED,
    )
