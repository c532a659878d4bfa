"""What every deletion asks and says, by images or by whole repositories."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from authproxy.cli.registry_run import Report, ask

if TYPE_CHECKING:
    from authproxy.digest import Digest


class Dialog:
    """The deletion in one repository, `place`, as its user sees it."""

    def __init__(self, place: str, report: Report, *, yes: bool, is_dry: bool) -> None:
        self.place = place
        self.report = report
        self.is_dry = is_dry
        self._yes = yes

    def confirm(self, question: str) -> bool:
        """Whether to delete now: ask, unless it is decided already."""
        if self.is_dry or self._yes:
            return not self.is_dry
        if ask(question):
            return True
        self.report.fail(self.place, "nothing was deleted: not confirmed")
        return False

    def names(self, digest: "Digest", tags: Sequence[str]) -> list[str]:
        """The names of a manifest: by its tags, or by its digest."""
        return [f"{self.place}:{tag}" for tag in tags] or [f"{self.place}@{digest}"]

    def say_deleted(self, name: str, digest: "Digest") -> None:
        """A name that is gone."""
        self.report.say(f"deleted {name} {digest}", name=name, outcome="deleted", digest=str(digest))

    def say_needed(self, name: str, digest: "Digest", namer: "Digest") -> None:
        """A name that stays, because another manifest that stays needs it."""
        fields = {"digest": str(digest), "needed_by": str(namer)}
        self.report.say(f"kept {name} {digest}: needed by {namer}", name=name, outcome="kept", **fields)
