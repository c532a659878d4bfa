"""What the processes of one server say once for all of them."""

import hashlib
from pathlib import Path


class Once:
    """Remembers what was said. `folder` is that of all processes of a server; None: there is but this one."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._said: set[str] = set()  # by this process

    def __repr__(self) -> str:
        return f"Once({self._folder}, said={len(self._said)})"

    def is_first(self, what: str) -> bool:
        """Whether nobody has said this: then the caller does. Rather twice than never, where the folder fails."""
        name = f"said-{hashlib.sha256(what.encode('utf-8', 'surrogatepass')).hexdigest()}"
        if name in self._said:
            return False
        self._said.add(name)
        if self._folder is not None:
            try:
                (self._folder / name).touch(mode=0o600, exist_ok=False)
            except OSError as exc:
                return not isinstance(exc, FileExistsError)
        return True
