"""`audit`: the destinations of the chained log of decisions. All of it is ours."""

from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

from pydantic import Field, PlainSerializer, PlainValidator, model_validator

from authproxy.config.document.messages import conflict
from authproxy.config.document.scalars import Address, Boolean, ByteCount, Count, Url, parse_address, read_as
from authproxy.config.document.schema import Section
from authproxy.config.sections.headers import SecretHeaders

MIB = 1024 * 1024


def _parse_target(text: str) -> Address | Path:
    return Path(text) if text.startswith("/") else parse_address(text)


def _read_target(value: Any) -> Any:
    return read_as((Address, Path), _parse_target, value)


SyslogAddress: TypeAlias = Annotated[Address | Path, PlainValidator(_read_target), PlainSerializer(str)]


class AuditFile(Section):
    """A file for the lines, with mode 0600, rotated by size.

    With several workers, the second one writes `audit-2.log` beside `audit.log`, and so on.
    """

    path: Path
    """The file, such as `/var/log/authproxy/audit.log`. Its folder must exist."""

    maxsize: ByteCount = 100 * MIB
    """The size at which the file becomes `audit.log.1` and a new one begins. Default `100MiB`."""

    keep: Count = 10
    """How many of those older files each worker keeps. Default 10."""


class AuditSyslog(Section):
    """A syslog daemon that receives the lines, one per datagram, by RFC 5424."""

    address: SyslogAddress = Path("/dev/log")
    """The path of a Unix socket, or `host:port` for UDP. Default `/dev/log`. Over UDP a line may get lost unnoticed."""


class AuditWebhook(Section):
    """An HTTP server that receives the lines in batches, by POST, as `application/x-ndjson`."""

    url: Url
    """The URL to post to. After a response other than 2xx the batch is sent again, except for 400, 413 and 422."""

    headers: SecretHeaders = Field(default_factory=dict)
    """Headers to send, each with the list of its values. Default: none. They are never shown."""


class Audit(Section):
    """A log of every issued token and every refusal, one JSON line each, chained by hash.

    One or several of the keys below; each has a chain of its own. Default: no such log.
    """

    file: AuditFile | None = None

    stdout: Boolean = False
    """Whether the lines go to standard output, beside the messages of the start. Default `false`."""

    syslog: AuditSyslog | None = None

    webhook: AuditWebhook | None = None

    @model_validator(mode="after")
    def _check_destination(self) -> Self:
        if not (self.file or self.stdout or self.syslog or self.webhook):
            raise conflict("no destination is set; write file: {path: …}, stdout, syslog or webhook", ())
        return self
