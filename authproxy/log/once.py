"""Messages that only one of a server's worker processes logs, once."""

import hashlib
from pathlib import Path


class LogOnce:
    """Remembers which messages were logged. `folder` is shared by all workers of a server; None: there is only one."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._claimed: set[str] = set()  # by this process

    def __repr__(self) -> str:
        return f"LogOnce({self._folder}, claimed={len(self._claimed)})"

    def claim(self, message: str) -> bool:
        """True for the first worker that claims this message; that worker logs it.

        If the shared folder is unusable, the message may be logged twice, but never zero times.
        """
        name = f"said-{hashlib.sha256(message.encode('utf-8', 'surrogatepass')).hexdigest()}"
        if name in self._claimed:
            return False
        self._claimed.add(name)
        if self._folder is not None:
            try:
                (self._folder / name).touch(mode=0o600, exist_ok=False)
            except OSError as exc:
                return not isinstance(exc, FileExistsError)
        return True
