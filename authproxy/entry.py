"""Where the command `authproxy` begins.

Containers ask `authproxy health` every few seconds. If the server is healthy, this is known before the command line is
loaded, in a tenth of its time; why, and what that takes: docs/decisions/0064-ask-for-health-without-the-model.md.
"""

import os
import sys

TYPE_CHECKING = False  # typing's constant, without the 4 ms for typing
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TIMEOUT_S, _MIN_TIMEOUT_S = 5.0, 0.1  # those of cli/health.py


def main() -> None:
    """Run the command line: `authproxy health` of a healthy server here, everything else in `cli/`."""
    if sys.argv[1:2] == ["health"]:
        try:
            if _is_healthy(sys.argv[2:], os.environ):
                print("healthy", flush=True)  # noqa: T201 - what the command prints
                return
        except TimeoutError:
            # The time that was given is over: what follows finds the words for it.
            sys.argv += ["--timeout", str(_MIN_TIMEOUT_S)]
        except (OSError, ValueError, OverflowError):
            pass
    from authproxy.cli import main as run

    run()


def _is_healthy(arguments: "Sequence[str]", environ: "Mapping[str, str]") -> bool:
    """Whether the server is healthy. False also if that can't be said here. Raises OSError."""
    from authproxy.config.places import EMBEDDED, USUAL_PLACES, find_place

    options = _parse(arguments)
    if options is None:
        return False
    named, embedded, timeout_s = options
    place = EMBEDDED if embedded else find_place(named, environ, USUAL_PLACES)
    if place is None:
        return False
    from authproxy.config.endpoint import read_endpoint

    endpoint = read_endpoint(place, environ)
    if endpoint is None:
        return False
    from authproxy.doctor.quick_health import is_healthy

    return is_healthy(endpoint, timeout_s)


def _parse(arguments: "Sequence[str]") -> "tuple[str | None, bool, float] | None":
    """The configuration, whether it is --embedded, and the time; None for a line that only the command line reads."""
    named: list[str] = []
    embedded, timeout_s = False, _TIMEOUT_S
    rest = iter(arguments)
    for word in rest:
        if word == "--embedded":
            embedded = True
        elif word == "--timeout":
            value = next(rest, "")
            if not value.replace(".", "", 1).isdecimal() or not value.isascii() or float(value) < _MIN_TIMEOUT_S:
                return None
            timeout_s = float(value)
        elif word == "--config":
            named.append(next(rest, ""))
        elif word.startswith("-"):
            return None
        else:
            named.append(word)
    if len(named) > 1 or "" in named or (named and embedded):
        return None
    return (named[0] if named else None), embedded, timeout_s
