"""The certificate of a running server: a renewed pair of files is in use from the next handshake on.

Certificate and key are two files, and a renewal writes one after the other. So both are read into memory, a new context
is made of them, and it replaces the one in use only if it is complete and valid. A context in use is never changed:
loading into it takes two steps, and a handshake between them would fail. See
docs/decisions/0049-serve-a-renewed-certificate.md.
"""

import datetime as dt
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import structlog

from authproxy.clock import Clock
from authproxy.errors import StartError
from authproxy.files.reload import DoesNotLoad, Reloaded
from authproxy.server.tls_context import KeyPair, check_not_expired, make_tls, read_leaf, read_pair

log = structlog.get_logger(__name__)

# How long the files may be incomplete or not match before it is an error: a slow copy of both is done by then.
SETTLES_WITHIN_S = 5.0


class LiveContext(ssl.SSLContext):
    """Passes each new connection to the context of the pair in use.

    It has no certificate itself. Sessions and tickets belong to `current`: after a change none is resumed, and every
    client gets the new certificate at its next connection.
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
    """A pair in use, and its context."""

    pair: KeyPair
    context: ssl.SSLContext
    expires: float  # in seconds since 1970

    @classmethod
    def of(cls, pair: KeyPair) -> "_Serving":
        """Make the context of a pair. Raises StartError if the pair cannot be used."""
        return cls(pair, make_tls(pair), read_leaf(pair).not_valid_after_utc.timestamp())


class LiveTls(Reloaded[_Serving]):
    """The certificate and the key in use, and their two files.

    `context` is for all connections of a process. A worker that is forked while the files are broken uses the pair that
    its parent has read. Raises StartError if the pair cannot be used.
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
        """Read the pair of two files. Raises StartError if it can't be read, can't be used or has expired."""
        pair = read_pair(certificate, key)
        check_not_expired(pair, dt.datetime.now(dt.UTC))
        return cls(pair)

    def __repr__(self) -> str:
        return f"LiveTls({', '.join(repr(str(file)) for file in self._files)})"

    def expiries(self) -> Mapping[tuple[str, ...], float]:
        """When the certificate in use expires, in seconds since 1970, by its file; for the metrics."""
        return {(str(self._files[0]),): self.current.expires}

    def refresh(self) -> None:
        """See Reloadable. A fault is raised only after SETTLES_WITHIN_S, the time for a copy of both files.

        Files that can't be used are read again at every check.
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
        """Raise StartError if clients would refuse the new pair now, and still accept the one in use."""
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
