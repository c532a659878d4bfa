"""Test cases for rules imported from zot: for each grant a caller and a repository, decided by zot's rules."""

from collections.abc import Iterator, Mapping
from typing import Any

from authproxy.importing.imported import is_nameable
from authproxy.importing.zot.config import AccessControl, Grant, Section
from authproxy.importing.zot.doublestar import ZotGlob
from authproxy.reference import is_repository

_ACTIONS = {"read": "pull", "create": "push", "delete": "delete"}
_ANYBODY = "somebody"


def make_cases(
    control: AccessControl, globs: Mapping[str, ZotGlob | None], *, has_catalog: bool
) -> Iterator[dict[str, Any]]:
    """Cases for `tests:`; `globs` by their texts. Sections with conditions, also the admin's, get no case."""
    for section in control.sections:
        glob = globs[section.text]
        deciding = [*section.grants, *([control.admin] if control.admin else [])]
        if glob is None or glob.globs is None or any(grant.conditions for grant in deciding):
            continue
        for repository in (str(one).replace("**", "app").replace("*", "app") for one in glob.globs[:1]):
            if is_repository(repository) and _decides(section, repository, control, globs):
                for grant in deciding:
                    yield from _cases(grant, deciding, repository)
    if has_catalog:
        yield {"who": {"user": _ANYBODY}, "what": "registry:catalog:*", "expected": "allow"}


def _decides(section: Section, repository: str, control: AccessControl, globs: Mapping[str, ZotGlob | None]) -> bool:
    matching = []
    for other in control.sections:
        glob = globs[other.text]
        if glob is None:
            return False
        if glob.matches(repository):
            matching.append(len(other.text.encode()))
    longest = len(section.text.encode())
    return matching.count(longest) == 1 and max(matching) == longest


def _cases(grant: Grant, deciding: list[Grant], repository: str) -> Iterator[dict[str, Any]]:
    name = next((user for user in grant.users if is_nameable(user)), "" if grant.is_for_anonymous else _ANYBODY)
    groups = [] if not name or grant.users else list(filter(is_nameable, grant.groups[:1]))
    if not (grant.users or groups or grant.is_for_signed_in or grant.is_for_anonymous):
        return
    given: set[str] = set()
    for one in deciding:
        is_theirs = name in one.users or set(groups) & set(one.groups)
        if is_theirs or (one.is_for_signed_in if name else one.is_for_anonymous):
            given |= one.actions
    # A caller who may create but not update pushes new tags only: in every state, no tag may be changed.
    keeps_tags = "create" in given and "update" not in given
    asked = {theirs: ours for theirs, ours in _ACTIONS.items() if not (keeps_tags and theirs == "create")}
    who = {"anonymous": True} if not name else {"user": name} | ({"groups": groups} if groups else {})
    why = f"The grant of line {grant.line}."
    for expected, is_given in (("allow", True), ("deny", False)):
        actions = [ours for theirs, ours in asked.items() if (theirs in given) is is_given]
        if actions:
            yield {"who": who, "what": f"repository:{repository}:{','.join(actions)}", "expected": expected, "why": why}
    if keeps_tags:
        yield {"who": who, "what": f"repository:{repository}:overwrite", "tag": "v1", "expected": "deny", "why": why}
