"""`log`: the log on standard error, CNCF Distribution's section."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from authproxy.config.document.scalars import Boolean
from authproxy.config.document.schema import Section


def _in_lower_case(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class AccessLog(Section):
    """The line for each request, at the level `info`."""

    disabled: Boolean = False
    """Whether these lines are omitted. Default `false`."""


class Log(Section):
    """The log on standard error."""

    level: Annotated[Literal["error", "warn", "info", "debug"], BeforeValidator(_in_lower_case)] = "info"
    """The lowest level that is logged: `error`, `warn`, `info` or `debug`; each includes those before it. Default
    `info`, which has a line for each request. No level shows credentials. `loglevel` is the old name of this key."""

    formatter: Literal["text", "json", "logstash"] = "text"
    """The form of a line: `text` (`key=value`), `json`, or `logstash` (JSON with the names that Logstash expects).
    Default `text`."""

    fields: dict[str, str] = Field(default_factory=dict)
    """Fields at the end of every line, such as `service: registry`. Default: none."""

    reportcaller: Boolean = False
    """Whether a line has its place in the code, as `file` and `func`. Default `false`."""

    accesslog: AccessLog = AccessLog()
