"""What one file says about one user."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of an htpasswd file, or an item of users.yaml."""

    name: str
    hashed: str | None = field(default=None, repr=False)  # bcrypt; None: this file has no password for the user
    groups: frozenset[str] = frozenset()
    disabled: bool = False
