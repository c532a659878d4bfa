"""The whole examination of our own configuration and machine, in the order of a start."""

from collections.abc import Iterator, Sequence

from authproxy.doctor.finding import Finding, Level
from authproxy.doctor.machine.account import ServingAccount
from authproxy.doctor.machine.certificate import check_certificate
from authproxy.doctor.machine.clock import check_clock
from authproxy.doctor.machine.files import check_files
from authproxy.doctor.machine.installation import Installation
from authproxy.doctor.machine.keys import check_keys
from authproxy.doctor.machine.names import check_names
from authproxy.doctor.machine.policies import check_policies
from authproxy.doctor.machine.ports import check_ports
from authproxy.doctor.machine.space import check_space
from authproxy.doctor.machine.users import KnownUsers, check_users
from authproxy.program import command


def examine(installation: Installation, account: ServingAccount) -> Sequence[Finding]:
    """What will not work. Ports are checked as the account that starts the server, files as the one that serves."""
    findings = [account.judge(), *_check_configuration(installation)]
    if account.files is not None:
        # Python imports some modules at their first use, which fails as an account that cannot read them.
        list(_check_all(installation))
    with account.as_starter:
        findings += check_ports(installation)
    with account.as_server:
        findings += _check_rest(installation)
    return findings


def _check_all(installation: Installation) -> Iterator[Finding]:
    yield from check_ports(installation)
    yield from _check_rest(installation)


def _check_configuration(installation: Installation) -> Iterator[Finding]:
    for warning in installation.loaded.warnings:
        yield Finding(Level.WARNING, "configuration", " ".join(warning.split()))
    upstreams = installation.settings.upstream is not None or any(
        entry.url for entry in installation.settings.upstreams
    )
    if upstreams:
        what = "the registries behind it were not checked, since that needs the network"
        yield Finding(Level.WARNING, "configuration", what, command("doctor --upstream"))


def _check_rest(installation: Installation) -> Iterator[Finding]:
    users = KnownUsers()
    yield from check_files(installation)
    yield from check_certificate(installation)
    yield from check_names(installation)
    yield from check_keys(installation)
    yield from check_users(installation, users)
    yield from check_policies(installation, users)
    yield from check_space(installation)
    yield from check_clock(installation)
