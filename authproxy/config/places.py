"""Where a configuration is looked for, as texts. `find.py` makes values and messages of it.

It loads next to nothing: `authproxy health` uses it before anything else
(docs/decisions/0064-ask-for-health-without-the-model.md).
"""

import errno
import os

TYPE_CHECKING = False  # typing's constant, without the 4 ms for typing
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The path of the file, not a key of it.
CONFIGURATION_PATH = "REGISTRY_CONFIGURATION_PATH"
HOME = "AUTHPROXY_HOME"
# The configuration in the images of CNCF Distribution 3.x and 2.8.
USUAL_PLACES = ("/etc/distribution/config.yml", "/etc/docker/registry/config.yml")
# Instead of a path.
EMBEDDED = ""

# As for pathlib's `exists`: there is no such file, for whatever reason.
_IS_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP)


def find_place(named: "str | None", environ: "Mapping[str, str]", usual_places: "Sequence[str]") -> "str | None":
    """The path of the file that a command reads, or EMBEDDED; None if there is neither. Raises OSError.

    The rule is in `find.py`.
    """
    if path := named or environ.get(CONFIGURATION_PATH):
        return path
    if was_started(environ.get(HOME) or ""):
        return EMBEDDED
    return next(filter(os.path.isfile, usual_places), None)


def was_started(home: str) -> bool:
    """Whether the embedded default has been started in this folder. Raises OSError if that can't be seen."""
    try:
        os.stat(os.path.join(home, "data", "htpasswd"))  # noqa: PTH116, PTH118 - pathlib takes longer to load than this
    except OSError as exc:
        if exc.errno in _IS_MISSING:
            return False
        raise
    return True
