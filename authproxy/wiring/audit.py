"""The section `audit` → the record function for decisions, and the sinks of its lines."""

import asyncio
from collections.abc import Iterator
from functools import partial

from authproxy.audit.event import Event, Record
from authproxy.audit.file import FileSink, check_place
from authproxy.audit.log import AuditLog
from authproxy.audit.sink import AuditSink
from authproxy.audit.stdout import StdoutSink
from authproxy.audit.syslog import SyslogSink
from authproxy.config.document.scalars import Address
from authproxy.config.sections.audit import Audit as Section
from authproxy.config.sections.audit import AuditSyslog
from authproxy.metrics.families import AUDIT_LINES
from authproxy.wiring.lifespan import Parts


def make_audit(section: Section, parts: Parts) -> Record:
    """A function that records events in every sink of the section. Raises StartError if a file can't be made."""
    audits = [AuditLog(sink) for sink in make_sinks(section)]
    parts.closers.extend(partial(asyncio.to_thread, audit.close) for audit in audits)
    parts.metrics.watch(AUDIT_LINES, partial(_count, audits))
    if len(audits) == 1:
        return audits[0].record
    return partial(_record_everywhere, audits)


def make_sinks(section: Section) -> Iterator[AuditSink]:
    """The sinks of a section, not yet open. Raises StartError if a file can't be made."""
    if section.file is not None:
        check_place(section.file.path)
        yield FileSink(section.file.path, max_bytes=section.file.maxsize, keep=section.file.keep)
    if section.stdout:
        yield StdoutSink()
    if section.syslog is not None:
        yield _syslog(section.syslog)
    if section.webhook is not None:
        from authproxy.audit.webhook import WebhookSink  # with httpx, as all that ask other servers

        headers = [(name, value) for name, values in section.webhook.headers.items() for value in values]
        yield WebhookSink(section.webhook.url, headers=[(name, value.get_secret_value()) for name, value in headers])


def _syslog(section: AuditSyslog) -> SyslogSink:
    address = section.address
    return SyslogSink((address.host, address.port) if isinstance(address, Address) else address)


def _record_everywhere(audits: list[AuditLog], event: Event) -> None:
    for audit in audits:
        audit.record(event)


def _count(audits: list[AuditLog]) -> dict[tuple[str, ...], float]:
    return {
        (audit.name, result): count
        for audit in audits
        for result, count in (("written", audit.written), ("lost", audit.lost))
    }
