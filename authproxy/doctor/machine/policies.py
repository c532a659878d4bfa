"""Do the policies allow anything, and do they mean what their author meant."""

from collections.abc import Iterator

from authproxy.config.mode import Mode
from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.machine.files import find_read_fault
from authproxy.doctor.machine.installation import Installation
from authproxy.doctor.machine.users import KnownUsers
from authproxy.errors import StartError
from authproxy.policy.cases import run_cases
from authproxy.policy.check import check
from authproxy.policy.load import Loaded, load_all
from authproxy.policy.model import Effect, Rule, SubjectKey
from authproxy.policy.shared_names import find_shared_names
from authproxy.program import command


def check_policies(installation: Installation, users: KnownUsers) -> Iterator[Finding]:
    """`users` are those whom the server knows."""
    settings = installation.settings
    if settings.policies is None:
        if settings.mode is Mode.BASIC:
            fix = f"{installation.place('policies')}: {{path: FOLDER}} says who may do what"
            yield Finding(Level.WARNING, "policies", "every user may do everything", fix)
        return
    if (fault := find_read_fault(installation, "policies.path", settings.policies.path)) is not None:
        yield fault
        return
    try:
        loaded = load_all(settings.policies.path)
    except StartError as error:
        for line in str(error).splitlines():
            what, _, fix = line.partition("; ")
            place = installation.place("policies.path")
            yield Finding(Level.FAILED, "policies", what, fix or f"{place}: a file, or a folder of *.yaml")
        return
    yield from _judge(loaded, users)


def _judge(loaded: Loaded, users: KnownUsers) -> Iterator[Finding]:
    rules = loaded.policies.rules
    groups, robots = (users.groups, users.robots) if users.is_known else (None, None)
    unused = check(loaded.policies, loaded.cases, groups=groups, robots=robots)
    # Rules without effect, for any users.
    lines = {(finding.file, finding.line) for finding in check(loaded.policies, loaded.cases)}
    allowing = [rule for rule in rules if rule.effect is Effect.ALLOW and (rule.file, rule.line) not in lines]
    if not any(_applies(rule, users) for rule in allowing):
        why = (
            "no rule allows anything"
            if not allowing
            else "all rules that allow something are for unknown users and groups"
        )
        fix = f"{command('policy explain USER SCOPE')} says why"
        yield Finding(Level.FAILED, "policies", f"no user may do anything: {why}", fix)
    for finding in unused:
        yield Finding(Level.WARNING, "policies", str(finding), command("policy check"))
    shared = list(find_shared_names(loaded.policies, users=users.names, groups=users.groups))
    for sharing in shared:
        yield Finding(
            Level.WARNING, "policies", str(sharing), "give the user or group, or the repositories, another name"
        )
    report = run_cases(loaded.policies, loaded.cases, loaded.retention, loaded.retention_cases)
    for outcome in report.failed:
        what = f"a case fails: {outcome.case.place}: {outcome.case}: {'; '.join(outcome.faults)}"
        yield Finding(Level.FAILED, "policies", what, f"{command('policy test')}; correct the rule, or the case")
    cases = f", {len(report.outcomes)} cases hold" if report.outcomes and not report.failed else ""
    if not unused and not shared and not report.failed and allowing:
        yield Finding(Level.OK, "policies", f"{len(rules)} rules, each with an effect{cases}")


def _applies(rule: Rule, users: KnownUsers) -> bool:
    return not users.is_known or any(_exists(key, users) for key in rule.subjects.any_of)


def _exists(key: SubjectKey, users: KnownUsers) -> bool:
    match key.kind:
        case "user":
            return key.name in users.names
        case "group":
            return key.name in users.groups
        case "robot":
            return key.name in users.robots
        case "any-robot":
            return bool(users.robots)
        case "signed-in":
            return bool(users.names)
        case _:
            return True
