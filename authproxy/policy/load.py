"""Policy files → a PolicySet, the entries of retention and the cases of the files: all files or none.

The schema of a file: `file_schema.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from authproxy.config.document.tree import read_document
from authproxy.errors import StartError
from authproxy.policy.cases import Case
from authproxy.policy.file_schema import PolicyFile, parse_policy
from authproxy.policy.model import PolicySet, Rule
from authproxy.policy.retention import RetentionRule
from authproxy.policy.retention_cases import RetentionCase

SUFFIXES = (".yaml", ".yml")


class PolicyError(StartError):
    """Policies that cannot be loaded: a line per fault, `file:line: key: what is wrong; allowed: …`."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The content of all files."""

    policies: PolicySet
    cases: tuple[Case, ...]
    retention: tuple[RetentionRule, ...] = ()
    retention_cases: tuple[RetentionCase, ...] = ()


def load_policies(path: Path) -> PolicySet:
    """The rules of one file or folder. Raises PolicyError as `load_all` does."""
    return load_all(path).policies


def load_all(path: Path, *, needs_rule: bool = True) -> Loaded:
    """Load one file, or the .yaml and .yml files of a folder, except hidden ones.

    Subfolders are not read. Raises PolicyError if a file is wrong, two rules or two entries of retention share a
    name, or there is no rule where one is needed; its cause is an OSError if a file could not be read.
    """
    parsed: list[PolicyFile] = []
    faults: list[str] = []
    unread: OSError | None = None
    for file in _policy_files(path):
        try:
            parsed.append(parse_policy(read_document(file)))
        except StartError as exc:
            faults.append(str(exc))
            unread = exc.__cause__ if isinstance(exc.__cause__, OSError) else unread
    rules = tuple(rule for one in parsed for rule in one.rules)
    retention = tuple(rule for one in parsed for rule in one.retention)
    faults.extend(_shared_names(rules, "rule"))
    faults.extend(_shared_names(retention, "entry"))
    if faults:
        raise PolicyError("\n".join(faults)) from unread
    if needs_rule and not rules:
        raise PolicyError(f"{path}: contains no rule, so no access would be allowed; allowed: rules beside retention")
    return Loaded(
        PolicySet(rules),
        tuple(case for one in parsed for case in one.cases),
        retention,
        tuple(case for one in parsed for case in one.retention_cases),
    )


def _policy_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    try:
        entries = sorted(path.iterdir())
    except OSError as exc:
        raise PolicyError(f"{path}: cannot be read: {exc.strerror}") from exc
    # A dangling symbolic link is an error: skipping it could skip a deny.
    files = [file for file in entries if file.suffix in SUFFIXES and file.name[0] != "." and not file.is_dir()]
    if not files:
        raise PolicyError(f"{path}: contains no policy, so no access would be allowed; allowed: files *.yaml or *.yml")
    return files


def _shared_names(rules: Sequence[Rule] | Sequence[RetentionRule], noun: str) -> Iterator[str]:
    first: dict[str, Rule | RetentionRule] = {}
    for rule in rules:
        earlier = first.setdefault(rule.name, rule)
        if earlier is not rule:
            yield (
                f'{rule.place}: name: "{rule.name}" is already the name of the {noun} at {earlier.place}; '
                f"allowed: a name that no other {noun} has"
            )
