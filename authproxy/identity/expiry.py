"""The expiry of a user, as files and operators write it: `2026-12-31`, or `2026-12-31T18:00:00Z`."""

import datetime as dt

_DAY = dt.timedelta(days=1)
_DATE_LENGTH = len("2026-12-31")


def parse_expiry(text: str) -> dt.datetime:
    """The first moment, in UTC, at which the user has expired. A day includes its end, in UTC.

    ISO 8601, as Python reads it; a time must have its zone. Raises ValueError with a message that says what is allowed.
    """
    try:
        if len(text) <= _DATE_LENGTH:
            return dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), dt.UTC) + _DAY
        moment = dt.datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(
        f"{text[:40]!r} is neither a day nor a time with its zone; write 2026-12-31 (to its end, in UTC) or"
        " 2026-12-31T18:00:00Z"
    )


def to_scalar(expires: dt.datetime) -> dt.date | dt.datetime:
    """The value that `parse_expiry` reads as this moment: a day if the moment is its end, otherwise a time in UTC."""
    if expires.timetz() == dt.time(tzinfo=dt.UTC):
        return expires.date() - _DAY
    return expires


def format_expiry(expires: dt.datetime) -> str:
    """The same as text; `parse_expiry` reads it."""
    return to_scalar(expires).isoformat().replace("+00:00", "Z")
