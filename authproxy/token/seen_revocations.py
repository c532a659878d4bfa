"""The newest revocations that were seen, noted in the folder of the keys, which is not backed up with the storage.

    keys/.revocations        {"<id of the table>": {"number": 7, "latest": 1768464002, "seal": "…", "store": "…"}}

A storage that was restored from a backup has older ones, or none: that is how it is noticed. There is an entry for each
storage that the keys are used with.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from authproxy.errors import StartError
from authproxy.files.atomic import locked, read_private, write_private
from authproxy.program import command
from authproxy.token.revocation_table import Seen, is_continued

log = structlog.get_logger(__name__)

FILE = ".revocations"
# Entries that are kept, those of the latest change.
MAX_STORES = 64


class SeenFile:
    """The file in a folder of keys. `store` names the storage whose revocations are looked at."""

    def __init__(self, folder: Path, store: str) -> None:
        self._path = folder / FILE
        self._store = store
        self._is_writable = True

    def __repr__(self) -> str:
        return f"SeenFile({str(self._path)!r}, {self._store!r})"

    def find(self, table_id: str) -> Seen:
        """What was noted of a table; "": the storage has none. Raises StartError.

        A storage without a table had the one that was noted for it, or else it is another storage, with which logins
        that these keys gave were not used: then the entry has no id.
        """
        entries = self._read()
        if table_id:
            return _seen(table_id, entries[table_id]) if table_id in entries else Seen()
        noted = [_seen(found, entry) for found, entry in entries.items() if entry["store"] == self._store]
        if noted:
            return max(noted, key=lambda seen: seen.number)
        of_others = [_seen("", entry) for entry in entries.values()]
        return max(of_others, key=lambda seen: seen.latest, default=Seen())

    def note(self, seen: Seen) -> None:
        """Note it, unless something newer was noted. A folder that can't be written is a warning. Raises StartError."""
        try:
            if self.find(seen.id) == seen:
                return
            with locked(self._path):
                entries = dict(self._read())
                if not is_continued(self.find(seen.id), seen):
                    return
                entries.pop(seen.id, None)
                entry = {"number": seen.number, "latest": seen.latest, "seal": seen.seal, "store": self._store}
                kept = list(entries.items())[-(MAX_STORES - 1) :]
                write_private(self._path, json.dumps(dict([*kept, (seen.id, entry)])).encode() + b"\n")
        except OSError as exc:
            if self._is_writable:
                # If the storage is restored from a backup while no node runs, what was revoked since is accepted again.
                log.warning("the latest revocation is not noted", file=str(self._path), reason=exc.strerror)
            self._is_writable = False

    def _read(self) -> Mapping[str, Mapping[str, Any]]:
        try:
            entries = json.loads(read_private(self._path))
        except FileNotFoundError:
            return {}
        except OSError as exc:
            raise StartError(f"token.keys: cannot read {self._path}: {exc.strerror}; check its permissions") from exc
        except (ValueError, RecursionError) as exc:
            raise self._damaged() from exc
        if not isinstance(entries, dict) or not all(map(_is_entry, entries.values())):
            raise self._damaged()
        return entries

    def _damaged(self) -> StartError:
        return StartError(
            f"token.keys: {self._path} is damaged; remove it, and end all logins: {command('token revoke --all')}"
        )


def _seen(table_id: str, entry: Mapping[str, Any]) -> Seen:
    return Seen(table_id, entry["number"], entry["latest"], entry["seal"])


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    numbers = entry.get("number"), entry.get("latest")
    texts = entry.get("seal"), entry.get("store")
    return all(isinstance(text, str) for text in texts) and all(
        isinstance(number, int | float) and 0 <= number < float("inf") for number in numbers
    )
