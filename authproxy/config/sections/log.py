"""`log`: what is told on standard error, CNCF Distribution's section."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from authproxy.config.document.scalars import Boolean
from authproxy.config.document.schema import Section


def _in_lower_case(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class AccessLog(Section):
    """The line for each request, at the level `info`."""

    disabled: Boolean = False
    """Whether requests get no line. Default `false`."""


class Log(Section):
    """What is told on standard error."""

    level: Annotated[Literal["error", "warn", "info", "debug"], BeforeValidator(_in_lower_case)] = "info"
    """The least important messages that are still logged: `error`, `warn`, `info` or `debug`, each with all before it.
    Default `info`, which has a line for each request. No level shows credentials. `loglevel` is its old name."""

    formatter: Literal["text", "json", "logstash"] = "text"
    """The form of a line: `text` (`key=value`), `json`, or `logstash` (JSON with the names that Logstash expects).
    Default `text`."""

    fields: dict[str, str] = Field(default_factory=dict)
    """Fields that every line ends with, `service: registry`. Default: none."""

    reportcaller: Boolean = False
    """Whether a line names the place in the code that it comes from, as `file` and `func`. Default `false`."""

    accesslog: AccessLog = AccessLog()
