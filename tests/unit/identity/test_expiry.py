import datetime as dt

import pytest

from authproxy.identity.expiry import format_expiry, parse_expiry


@pytest.mark.parametrize(
    ("text", "moment", "shown"),
    [
        ("2026-12-31", "2027-01-01T00:00:00+00:00", "2026-12-31"),
        ("2026-12-31T18:00:00Z", "2026-12-31T18:00:00+00:00", "2026-12-31T18:00:00Z"),
        ("2026-12-31 18:00:00+02:00", "2026-12-31T16:00:00+00:00", "2026-12-31T16:00:00Z"),
        ("2027-01-01T00:00:00Z", "2027-01-01T00:00:00+00:00", "2026-12-31"),
    ],
)
def test_a_day_is_good_to_its_end_and_a_time_to_the_second(text: str, moment: str, shown: str) -> None:
    assert parse_expiry(text) == dt.datetime.fromisoformat(moment)
    assert format_expiry(parse_expiry(text)) == shown


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "31.12.2026", "2026-12-31T18:00", "9999-12-31", "1e9"])
def test_what_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write 2026-12-31 \(to its end, in UTC\)"):
        parse_expiry(text)
