"""The server's certificate while it runs: a renewed pair of files serves from the next handshake on.

Certificate and key are two files, and a renewal writes one after the other. So both are read into memory, a new context
is made of them beside the one that serves, and only a complete and valid one takes its place. A context that serves is
never changed: loading into it is two steps, and a handshake between them would fail. See
docs/decisions/0049-serve-a-renewed-certificate.md.
"""

import datetime as dt
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import structlog

from authproxy.clock import Clock
from authproxy.errors import StartError
from authproxy.files.reload import DoesNotLoad, Reloaded
from authproxy.server.tls_context import KeyPair, check_not_expired, make_tls, read_leaf, read_pair

log = structlog.get_logger(__name__)

# How long the files may be unsound or not fit each other before an error says so: a slow copy of both is done by then.
SETTLES_WITHIN_S = 5.0


class LiveContext(ssl.SSLContext):
    """Hands each new connection to the context of the pair that serves now.

    It holds no certificate itself. Sessions and tickets belong to `current`: after a change none is resumed, and every
    client meets the new certificate at its next connection.
    """

    current: ssl.SSLContext

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        """See ssl.SSLContext."""
        return self.current.wrap_socket(*args, **options)

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """See ssl.SSLContext."""
        return self.current.wrap_bio(*args, **options)


@dataclass(frozen=True, slots=True)
class _Serving:
    """A pair that serves, and what was made of it."""

    pair: KeyPair
    context: ssl.SSLContext
    expires: float  # in seconds since 1970

    @classmethod
    def of(cls, pair: KeyPair) -> "_Serving":
        """Raises StartError if the pair cannot serve."""
        return cls(pair, make_tls(pair), read_leaf(pair).not_valid_after_utc.timestamp())


class LiveTls(Reloaded[_Serving]):
    """A certificate and its key that serve, and the two files they come from.

    `context` is for all connections of a process. Pickled, it takes the pair along: a worker that starts while the
    files are broken serves what its parent has read. Raises StartError if the pair cannot serve.
    """

    part: ClassVar = "certificate"
    takes_access_away: ClassVar = False

    def __init__(self, pair: KeyPair, *, now: Clock = time.time) -> None:
        self.context = LiveContext(ssl.PROTOCOL_TLS_SERVER)
        self._now = now
        self._files = pair.certificate_file, pair.key_file
        self._unsound_since: float | None = None
        super().__init__(*self._files, begin_with=lambda: _Serving.of(pair))
        self._serve()

    @classmethod
    def open(cls, certificate: Path, key: Path) -> "LiveTls":
        """The pair of two files. Raises StartError where it can't be read, is unsound or has expired."""
        pair = read_pair(certificate, key)
        check_not_expired(pair, dt.datetime.now(dt.UTC))
        return cls(pair)

    def __repr__(self) -> str:
        return f"LiveTls({', '.join(repr(str(file)) for file in self._files)})"

    def __reduce__(self) -> "tuple[Callable[[KeyPair], LiveTls], tuple[KeyPair]]":
        return LiveTls, (self.current.pair,)

    def expiries(self) -> Mapping[tuple[str, ...], float]:
        """When the certificate that serves ends, in seconds since 1970, by its file: what metrics read."""
        return {(str(self._files[0]),): self.current.expires}

    def refresh(self) -> None:
        """See Reloadable. A fault raises once the files had time to settle; until then it is none.

        Files that cannot serve are read at every look until they can.
        """
        self._report_expiry()
        try:
            super().refresh()
        except (DoesNotLoad, StartError, OSError):
            now = self._now()
            if self._unsound_since is None:
                self._unsound_since = now
            if now - self._unsound_since >= SETTLES_WITHIN_S:
                raise
        else:
            self._unsound_since = None

    def _load(self) -> _Serving:
        pair = read_pair(*self._files)
        if pair == self.current.pair:
            return self.current
        self._check_dates(pair)
        return _Serving.of(pair)

    def _changed(self) -> None:
        self._serve()
        log.info("certificate reloaded", file=str(self._files[0]), expires=_day(self.current.expires))

    def _serve(self) -> None:
        self.context.current = self.current.context
        self._has_reported_expiry = False

    def _check_dates(self, pair: KeyPair) -> None:
        """Raises StartError if clients would refuse the pair as of now, and still take the one that serves."""
        now = dt.datetime.fromtimestamp(self._now(), dt.UTC)
        check_not_expired(pair, now)
        begins = read_leaf(pair).not_valid_before_utc
        if begins > now and now.timestamp() < self.current.expires:
            raise StartError(
                f"http.tls.certificate: {pair.certificate_file} is not valid before {begins:%Y-%m-%d %H:%M} UTC;"
                " it serves from then on"
            )

    def _report_expiry(self) -> None:
        if not self._has_reported_expiry and self._now() > self.current.expires:
            self._has_reported_expiry = True
            log.error(
                "the certificate has expired and clients refuse it; renew it",
                file=str(self._files[0]),
                expires=_day(self.current.expires),
            )


def _day(moment: float) -> str:
    return f"{dt.datetime.fromtimestamp(moment, dt.UTC):%Y-%m-%d}"
