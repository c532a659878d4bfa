"""The server's certificate while it runs: a renewed pair of files serves from the next handshake on.

Certificate and key are two files, and a renewal writes one after the other. So both are read into memory, a new context
is made of them beside the one that serves, and only a complete and valid one takes its place. A context that serves is
never changed: loading into it is two steps, and a handshake between them would fail. See
docs/decisions/0049-serve-a-renewed-certificate.md.
"""

import datetime as dt
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import structlog

from authproxy.certificates import KeyPair, check_not_expired, make_tls, read_leaf, read_pair
from authproxy.clock import Clock
from authproxy.errors import StartError
from authproxy.files.watcher import fingerprint, loading

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


class LiveTls:
    """A certificate and its key that serve, and the two files they come from (`watch.Reloadable`).

    `context` is for all connections of a process. Pickled, it takes the pair along: a worker that starts while the
    files are broken serves what its parent has read. Raises StartError where the pair can't serve.
    """

    part: ClassVar = "certificate"
    takes_access_away: ClassVar = False

    def __init__(self, pair: KeyPair, *, now: Clock = time.time) -> None:
        self.context = LiveContext(ssl.PROTOCOL_TLS_SERVER)
        self._now = now
        self._refreshing = threading.Lock()
        self._seen = fingerprint()  # of nothing: the first look reads the files, which may have changed since
        self._unsound_since: float | None = None
        self._take(pair, make_tls(pair))

    @classmethod
    def open(cls, certificate: Path, key: Path) -> "LiveTls":
        """The pair of two files. Raises StartError where it can't be read, is unsound or has expired."""
        pair = read_pair(certificate, key)
        check_not_expired(pair, dt.datetime.now(dt.UTC))
        return cls(pair)

    def __repr__(self) -> str:
        return f"LiveTls({str(self._pair.certificate_file)!r}, {str(self._pair.key_file)!r})"

    def __reduce__(self) -> "tuple[Callable[[KeyPair], LiveTls], tuple[KeyPair]]":
        return LiveTls, (self._pair,)

    def expiries(self) -> Mapping[tuple[str, ...], float]:
        """When the certificate that serves ends, in seconds since 1970, by its file: what metrics read."""
        return {(str(self._pair.certificate_file),): self._expires}

    def refresh(self) -> None:
        """See `watch.Reloadable`. A fault raises once the files had time to settle; until then it is no fault."""
        with self._refreshing:
            self._tell_of_end()
            try:
                self._look()
            except (StartError, OSError):
                now = self._now()
                if self._unsound_since is None:
                    self._unsound_since = now
                if now - self._unsound_since >= SETTLES_WITHIN_S:
                    with loading():
                        raise
            else:
                self._unsound_since = None

    def _look(self) -> None:
        """Take what the files hold where they changed. Those that can't serve are read at every look: see `_seen`."""
        seen = fingerprint(self._pair.certificate_file, self._pair.key_file)
        if seen == self._seen:
            return
        pair = read_pair(self._pair.certificate_file, self._pair.key_file)
        if pair != self._pair:
            self._check_dates(pair)
            self._take(pair, make_tls(pair))
            log.info("certificate reloaded", file=str(pair.certificate_file), expires=_day(self._expires))
        self._seen = seen  # of before the reading: a change meanwhile is seen by the next look

    def _check_dates(self, pair: KeyPair) -> None:
        """Raises StartError where clients would refuse the pair as of now, and still take the one that serves."""
        now = dt.datetime.fromtimestamp(self._now(), dt.UTC)
        check_not_expired(pair, now)
        begins = read_leaf(pair).not_valid_before_utc
        if begins > now and now.timestamp() < self._expires:
            raise StartError(
                f"http.tls.certificate: {pair.certificate_file} is not valid before {begins:%Y-%m-%d %H:%M} UTC;"
                " it serves from then on"
            )

    def _take(self, pair: KeyPair, context: ssl.SSLContext) -> None:
        self._pair = pair
        self._expires = read_leaf(pair).not_valid_after_utc.timestamp()
        self._has_told_of_end = False
        self.context.current = context

    def _tell_of_end(self) -> None:
        if not self._has_told_of_end and self._now() > self._expires:
            self._has_told_of_end = True
            log.error(
                "the certificate has expired and clients refuse it; renew it",
                file=str(self._pair.certificate_file),
                expires=_day(self._expires),
            )


def _day(moment: float) -> str:
    return f"{dt.datetime.fromtimestamp(moment, dt.UTC):%Y-%m-%d}"
