"""Operating system errors that the operator must fix: a full or broken disk, no descriptors left.

The log reports each at `error` once a minute; clients get 503 and retry.
"""

import errno
import os

from authproxy.log.alarms import sound

# The disk, or the account's share of it, is full.
FULL = (errno.ENOSPC, errno.EDQUOT)

_MESSAGES = {
    errno.ENOSPC: "the registry's storage is full",
    errno.EDQUOT: "the registry's storage is full",
    errno.EROFS: "the registry's storage is read-only",
    errno.EIO: "the registry's storage has a fault",
    errno.ESTALE: "the registry's storage has a fault",
    errno.EMFILE: "the registry has too many files open",
    errno.ENFILE: "the registry has too many files open",
}


def report_machine_fault(error: OSError, where: str = "") -> str | None:
    """Log an alarm and return the message for clients; None, without an alarm, for any other error.

    `where` is the folder concerned if the error names no file. Thread-safe.
    """
    message = _MESSAGES.get(error.errno or 0)
    if message is not None:
        path = error.filename if error.filename is not None else where
        sound("the machine has a fault", reason=os.strerror(error.errno or 0), path=str(path))
    return message
