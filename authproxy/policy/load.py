"""Policy files → a PolicySet: all of them or none. What a file may say: `shape.py`."""

from collections.abc import Iterator
from pathlib import Path

from authproxy.config.document import read_document
from authproxy.errors import StartError
from authproxy.policy.model import PolicySet, Rule
from authproxy.policy.shape import parse_rules

SUFFIXES = (".yaml", ".yml")


class PolicyError(StartError):
    """Policies that cannot be loaded: one line for each fault, `file:line: key: what is wrong; allowed: …`."""


def load_policies(path: Path) -> PolicySet:
    """Load one file, or all files of a folder that end in .yaml or .yml and do not begin with a dot.

    Subfolders are not read. Raises PolicyError where any file is at fault, two rules share a name, or there is no
    file at all.
    """
    rules: list[Rule] = []
    faults: list[str] = []
    for file in _policy_files(path):
        try:
            rules.extend(parse_rules(read_document(file)))
        except StartError as exc:
            faults.append(str(exc))
    faults.extend(_shared_names(rules))
    if faults:
        raise PolicyError("\n".join(faults))
    return PolicySet(tuple(rules))


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
