"""Policy files → a PolicySet, and the cases that stand beside the rules: all files or none.

What a file may say: `shape.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from authproxy.config.document.tree import read_document
from authproxy.errors import StartError
from authproxy.policy.cases import Case
from authproxy.policy.file_schema import parse_policy
from authproxy.policy.model import PolicySet, Rule

SUFFIXES = (".yaml", ".yml")


class PolicyError(StartError):
    """Policies that cannot be loaded: one line for each fault, `file:line: key: what is wrong; allowed: …`."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """All that the files say together."""

    policies: PolicySet
    cases: tuple[Case, ...]


def load_policies(path: Path) -> PolicySet:
    """The rules of one file or folder. Raises PolicyError as `load_all` does."""
    return load_all(path).policies


def load_all(path: Path) -> Loaded:
    """Load one file, or all files of a folder that end in .yaml or .yml and do not begin with a dot.

    Subfolders are not read. Raises PolicyError where any file is at fault, two rules share a name, or there is no
    file at all; an OSError is its cause where a file could not be read.
    """
    rules: list[Rule] = []
    cases: list[Case] = []
    faults: list[str] = []
    unread: OSError | None = None
    for file in _policy_files(path):
        try:
            parsed = parse_policy(read_document(file))
        except StartError as exc:
            faults.append(str(exc))
            unread = exc.__cause__ if isinstance(exc.__cause__, OSError) else unread
        else:
            rules.extend(parsed.rules)
            cases.extend(parsed.cases)
    faults.extend(_shared_names(rules))
    if faults:
        raise PolicyError("\n".join(faults)) from unread
    return Loaded(PolicySet(tuple(rules)), tuple(cases))


def _policy_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    try:
        entries = sorted(path.iterdir())
    except OSError as exc:
        raise PolicyError(f"{path}: cannot be read: {exc.strerror}") from exc
    # A link that leads nowhere is kept: leaving it out could leave out a deny.
    files = [file for file in entries if file.suffix in SUFFIXES and file.name[0] != "." and not file.is_dir()]
    if not files:
        raise PolicyError(f"{path}: holds no policy, so nobody could do anything; allowed: files named *.yaml or *.yml")
    return files


def _shared_names(rules: list[Rule]) -> Iterator[str]:
    first: dict[str, Rule] = {}
    for rule in rules:
        earlier = first.setdefault(rule.name, rule)
        if earlier is not rule:
            yield (
                f'{rule.place}: name: "{rule.name}" is already the name of the rule at {earlier.place}; '
                "allowed: a name that no other rule has"
            )
