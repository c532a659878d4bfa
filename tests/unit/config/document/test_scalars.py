from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from authproxy.config.document.scalars import (
    Address,
    BaseUrl,
    Boolean,
    ByteCount,
    Duration,
    Integer,
    IPNetwork,
    ListenAddress,
    Url,
    format_duration,
    parse_address,
    parse_base_url,
    parse_bool,
    parse_bytes,
    parse_duration,
    parse_int,
    parse_network,
    parse_url,
)

READ: list[tuple[Callable[[str], Any], str, Any]] = [
    (parse_bool, "true", True),
    (parse_bool, "Yes", True),
    (parse_bool, "ON", True),
    (parse_bool, "no", False),
    (parse_bool, "Off", False),
    (parse_bool, "FALSE", False),
    (parse_int, "5000", 5000),
    (parse_int, "-1", -1),
    (parse_int, "+7", 7),
    (parse_int, "010", 10),
    (parse_duration, "5s", timedelta(seconds=5)),
    (parse_duration, "1h30m", timedelta(minutes=90)),
    (parse_duration, "168h", timedelta(days=7)),
    (parse_duration, "300ms", timedelta(milliseconds=300)),
    (parse_duration, "1.5h", timedelta(minutes=90)),
    (parse_duration, "5.s", timedelta(seconds=5)),
    (parse_duration, ".5s", timedelta(milliseconds=500)),
    (parse_duration, "1µs", timedelta(microseconds=1)),
    (parse_duration, "1μs", timedelta(microseconds=1)),  # the Greek letter
    (parse_duration, "1500ns", timedelta(microseconds=2)),
    (parse_duration, "-1m", timedelta(minutes=-1)),
    (parse_duration, "+1m", timedelta(minutes=1)),
    (parse_duration, "0", timedelta()),
    (parse_bytes, "1048577", 1_048_577),
    (parse_bytes, "100MiB", 104_857_600),
    (parse_bytes, "1 GB", 1_000_000_000),
    (parse_address, ":5000", Address("", 5000)),
    (parse_address, "localhost:5000", Address("localhost", 5000)),
    (parse_address, "127.0.0.1:0", Address("127.0.0.1", 0)),
    (parse_address, "[::1]:5000", Address("::1", 5000)),
    (parse_address, "[::]:443", Address("::", 443)),
    (parse_network, "10.0.0.0/8", ip_network("10.0.0.0/8")),
    (parse_network, "127.0.0.1", ip_network("127.0.0.1/32")),
    (parse_network, "fd00::/8", ip_network("fd00::/8")),
    (parse_url, "https://auth.example:5001/token/", "https://auth.example:5001/token"),
    (parse_base_url, "http://127.0.0.1:5001", "http://127.0.0.1:5001"),
    (parse_base_url, "https://[::1]:5001/", "https://[::1]:5001"),
]

REFUSED: list[tuple[Callable[[str], Any], str]] = [
    (parse_bool, ""),
    (parse_bool, "1"),
    (parse_bool, "y"),
    (parse_bool, "tRUE"),
    (parse_bool, "truee"),
    (parse_int, "5000:30"),
    (parse_int, "1.0"),
    (parse_int, "1_000"),
    (parse_int, "٣"),
    (parse_int, "9" * 19),
    (parse_duration, ""),
    (parse_duration, "5"),
    (parse_duration, "s"),
    (parse_duration, "."),
    (parse_duration, "5 s"),
    (parse_duration, "5d"),
    (parse_duration, "1h-5m"),
    (parse_duration, "--5s"),
    (parse_duration, "1e3s"),
    (parse_duration, "٣s"),
    (parse_duration, "300000000000h"),
    (parse_duration, "1s" * 100),
    (parse_address, "5000"),
    (parse_address, "localhost"),
    (parse_address, "localhost:"),
    (parse_address, ":http"),
    (parse_address, ":65536"),
    (parse_address, "::1:5000"),
    (parse_address, "[::1]"),
    (parse_address, "http://localhost:5000"),
    (parse_address, "a b:1"),
    (parse_address, "[:5000"),
    (parse_bytes, "-1"),
    (parse_bytes, "1.5MiB"),
    (parse_bytes, "1mb"),
    (parse_bytes, ""),
    (parse_network, "localhost"),
    (parse_network, "10.0.0.1/8"),
    (parse_network, "10.0.0.0/33"),
    (parse_url, "example:5000"),
    (parse_url, "ftp://example"),
    (parse_url, "https://"),
    (parse_url, "https://a b"),
    (parse_url, "https://a:x"),
    (parse_url, "https://a:0"),
    (parse_url, "https://a?b"),
    (parse_url, "https://a#b"),
    (parse_url, "https://[::1"),
    (parse_url, "https://ä.example"),
    (parse_url, "https://user:secret@a"),
    (parse_base_url, "https://a/v2"),
]


@pytest.mark.parametrize(("parse", "text", "value"), READ, ids=[f"{p.__name__} {t}" for p, t, _ in READ])
def test_read(parse: Callable[[str], Any], text: str, value: Any) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(("parse", "text"), REFUSED, ids=[f"{p.__name__} {t[:20]}" for p, t in REFUSED])
def test_refused_with_a_sentence(parse: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ValueError, match=r"allowed: |write only the host"):
        parse(text)


def test_a_password_in_a_url_is_not_repeated_in_the_message() -> None:
    with pytest.raises(ValueError, match="user or password") as caught:
        parse_url("https://user:secret@host")
    assert "secret" not in str(caught.value)


FORMATTED = {"90m": "1h30m", "300s": "5m", "1500ms": "1.5s", "0": "0s", "-90s": "-1m30s", "1us": "0.000001s"}


@pytest.mark.parametrize(("text", "formatted"), FORMATTED.items())
def test_a_duration_is_written_shortly(text: str, formatted: str) -> None:
    assert format_duration(parse_duration(text)) == formatted


@given(st.timedeltas(min_value=timedelta(days=-100_000), max_value=timedelta(days=100_000)))
def test_a_written_duration_is_read_back(value: timedelta) -> None:
    assert parse_duration(format_duration(value)) == value


@given(st.text("0123456789.+-hmsnuµ ", max_size=20))
def test_any_text_is_a_duration_or_a_sentence(text: str) -> None:
    try:
        value = parse_duration(text)
    except ValueError:
        return
    assert parse_duration(format_duration(value)) == value


@given(st.sampled_from(["", "::1", "localhost", "10.0.0.1"]), st.integers(0, 65_535))
def test_a_written_address_is_read_back(host: str, port: int) -> None:
    assert parse_address(str(Address(host, port))) == Address(host, port)


KINDS: dict[str, tuple[Any, str, Any]] = {
    "Boolean": (Boolean, "no", False),
    "Integer": (Integer, "12", 12),
    "ByteCount": (ByteCount, "1MiB", 1_048_576),
    "Duration": (Duration, "5m", timedelta(minutes=5)),
    "ListenAddress": (ListenAddress, ":5000", Address("", 5000)),
    "IPNetwork": (IPNetwork, "::1", ip_network("::1")),
    "Url": (Url, "https://a/b", "https://a/b"),
    "BaseUrl": (BaseUrl, "https://a", "https://a"),
}


@pytest.mark.parametrize(("kind", "text", "value"), KINDS.values(), ids=KINDS)
def test_a_model_takes_text_and_typed_values_but_no_nests(kind: Any, text: str, value: Any) -> None:
    adapter = TypeAdapter(kind)
    assert adapter.validate_python(text) == value
    assert adapter.validate_python(value) == value
    for nest in ([text], {"host": text}, None):
        with pytest.raises(ValidationError, match="expected one value"):
            adapter.validate_python(nest)
