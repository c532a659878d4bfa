"""Root runs our commands in a folder that the service's account owns: it does nothing there that the account may not.

The account of these tests is a real one: what it puts in place of our files is made by a process of its own.
"""

import datetime as dt
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from authproxy.identity.accounts import add_user
from authproxy.token.keyring import KeyRing
from authproxy.token.revocations import revoke
from tests.support.binaries import binary
from tests.support.program import Outcome, environment, run, succeed
from tests.support.server import AUTHPROXY

SERVICE = 65532
SECRET = b"root's alone\n"
# A command that waits for a pipe would wait for ever.
ENDS_WITHIN_S = 60
# The link that is swapped in is there half of the time: one of so many commands meets it at each of its steps.
RUNS = 5

ALICE_REVOKED = f".{sha256(b'alice').hexdigest()[:32]}.json.lock"

ADD = ("user", "add", "carol", "--group", "team", "--password-stdin")
ROTATE = ("key", "rotate")
REVOKE = ("token", "revoke", "alice")


@dataclass(frozen=True)
class Site:
    """`own` belongs to root alone, `served` to the service; both are in a folder that everybody may pass."""

    folder: Path

    @property
    def own(self) -> Path:
        """Where root keeps what nobody else may see."""
        return self.folder / "own"

    @property
    def served(self) -> Path:
        """What the service works in."""
        return self.folder / "served"

    @property
    def config(self) -> Path:
        """A configuration of root's, which names the service's files."""
        return self.folder / "config.yml"

    def root(self, *arguments: str) -> Outcome:
        """A command of ours as root, with a password on its standard input."""
        return run(
            *(AUTHPROXY, *arguments, "--config", str(self.config)),
            env=environment(self.folder),
            cwd=self.folder,
            stdin="a long enough password\n",
            timeout_s=ENDS_WITHIN_S,
        )

    def service(self, script: str) -> None:
        """Lines of shell as the service's account, in its folder."""
        succeed(*as_service(script), env=environment(self.folder), cwd=self.served)

    def of_root(self) -> dict[str, tuple[int, int, int, bytes]]:
        """All below `own`: owner, group, mode and content."""
        found = {}
        for path in sorted([self.own, *self.own.rglob("*")]):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            found[path.name] = (status.st_uid, status.st_gid, status.st_mode, content)
        return found


def as_service(script: str) -> tuple[str, ...]:
    """The command line for lines of shell as the service's account, with no other rights."""
    account = (f"--reuid={SERVICE}", f"--regid={SERVICE}", "--clear-groups")
    return (binary("setpriv"), *account, binary("bash"), "-ec", script)


def configuration(served: Path) -> str:
    """All that commands change lies in `served`."""
    return f"""\
version: 0.1
storage: {{filesystem: {{rootdirectory: {served}/registry}}}}
http: {{addr: 127.0.0.1:0}}
token: {{service: test, keys: {served}/keys, state: {served}/state}}
identities: [{{htpasswd: {{path: {served}/htpasswd}}}}, {{users: {{path: {served}/users.yaml}}}}]
policies: {{path: {served}/policies}}
audit: {{file: {{path: {served}/audit.log}}}}
"""


def without_hints(outcome: Outcome) -> str:
    """Standard error without the commands to type next."""
    return "".join(line for line in outcome.err.splitlines(keepends=True) if not line.startswith("next: "))


@pytest.fixture
def site() -> Iterator[Site]:
    """A site with users, keys and a revocation."""
    site = Site(Path(tempfile.mkdtemp(prefix="authproxy-test-")))
    try:
        site.folder.chmod(0o711)
        site.own.mkdir(mode=0o700)
        (site.own / "secret").write_bytes(SECRET)
        (site.own / "secret").chmod(0o600)
        site.served.mkdir(mode=0o755)
        os.chown(site.served, SERVICE, SERVICE)
        site.config.write_text(configuration(site.served))
        KeyRing.open(site.served / "keys")
        add_user(site.served / "htpasswd", site.served / "users.yaml", "alice", "alice's password", ["team"], cost=4)
        revoke(site.served / "state", "alice", dt.datetime.now(dt.UTC))
        yield site
    finally:
        shutil.rmtree(site.folder)


def owners(folder: Path) -> set[tuple[int, int]]:
    """Of a folder and all below it."""
    return {(path.lstat().st_uid, path.lstat().st_gid) for path in [folder, *folder.rglob("*")]}


def test_what_root_makes_and_changes_is_the_services(site: Site) -> None:
    for command in (ADD, ("user", "disable", "alice"), ROTATE, ("key", "export", "--for", "distribution"), REVOKE):
        outcome = site.root(*command)
        assert (outcome.code, without_hints(outcome)) == (0, f"configuration: {site.config}\n"), str(outcome)
    assert owners(site.served) == {(SERVICE, SERVICE)}
    storage = site.served / "registry"  # its folder is private, and what is in it has the modes of all content
    files = [path for path in site.served.rglob("*") if path.is_file() and not path.is_relative_to(storage)]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(storage.stat().st_mode) == 0o700
    assert list(storage.glob("authproxy/v1/tokens/*/revocations"))
    assert site.served.joinpath("audit.log").read_text().count("\n") == 4
    assert (site.folder / "authproxy-bundle.pem").stat().st_uid == 0


# What the service puts in its folder, and a command of root's that comes by it.
PLACES = {
    "lock of htpasswd": (".htpasswd.lock", ADD),
    "htpasswd": ("htpasswd", ADD),
    "lock of users": (".users.yaml.lock", ADD),
    "users": ("users.yaml", ADD),
    "audit log": ("audit.log", ADD),
    "lock of the audit log": (".audit.log.lock", ADD),
    "lock of the key ring": ("keys/.secret.lock", ROTATE),
    "lock of a revocation": (f"state/revoked/{ALICE_REVOKED}", REVOKE),
    "revocation": (f"state/revoked/{ALICE_REVOKED.removesuffix('.lock').removeprefix('.')}", REVOKE),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_link_leads_root_nowhere(site: Site, place: tuple[str, tuple[str, ...]]) -> None:
    name, command = place
    before = site.of_root()
    site.service(f"ln -sfn {site.own / 'secret'} {name}")
    outcome = site.root(*command)
    assert site.of_root() == before, str(outcome)
    assert "Traceback" not in outcome.text
    assert SECRET.decode().strip() not in outcome.text
    assert outcome.err, "it says that something is wrong"


@pytest.mark.parametrize("name", [".htpasswd.lock", "audit.log"])
def test_a_link_to_a_missing_file_makes_none(site: Site, name: str) -> None:
    before = site.of_root()
    site.service(f"ln -sfn {site.own / 'new'} {name}")
    outcome = site.root(*ADD)
    assert site.of_root() == before, str(outcome)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_pipe_is_not_waited_for(site: Site, place: tuple[str, tuple[str, ...]]) -> None:
    name, command = place
    site.service(f"rm -f {name}; mkfifo {name}")
    outcome = site.root(*command)
    assert "Traceback" not in outcome.text
    assert "is not a regular file" in outcome.text, str(outcome)


@pytest.mark.parametrize("name", ["keys", "state", "state/revoked"])
def test_a_folder_that_is_a_link_leads_root_nowhere(site: Site, name: str) -> None:
    shutil.copytree(site.served / "keys", site.own / "keys")
    before = site.of_root()
    site.service(f"mv {name} was; ln -s {site.own / 'keys'} {name}")
    command = ROTATE if name == "keys" else REVOKE
    outcome = site.root(*command)
    assert site.of_root() == before, str(outcome)
    assert outcome.code == 1, str(outcome)
    assert str(SERVICE) in outcome.err
    assert str(site.served) in outcome.err


@pytest.mark.parametrize(
    "name", ["registry", "registry/authproxy", "registry/authproxy/v1/tokens", "registry/.authproxy"]
)
def test_a_link_in_the_storage_leads_root_nowhere(site: Site, name: str) -> None:
    assert site.root(*REVOKE).code == 0
    before = site.of_root()
    site.service(f"rm -rf {name}; ln -s {site.own} {name}")
    outcome = site.root("token", "revoke", "bob")
    assert site.of_root() == before, str(outcome)
    assert outcome.code == 1, str(outcome)
    assert "Traceback" not in outcome.text


def test_commands_while_the_service_swaps_files_for_links(site: Site) -> None:
    swap = "while [ -e {going} ]; do ln -sfn {secret} {name}; rm -f {name}; done"
    going = site.folder / "going"
    going.touch()
    names = [name for name, command in PLACES.values() if (command == ADD and "lock" in name) or name == "audit.log"]
    before = site.of_root()
    swaps = [
        subprocess.Popen(
            as_service(swap.format(going=going, secret=site.own / "secret", name=site.served / name)),
            env=environment(site.folder),
            stderr=subprocess.DEVNULL,
        )
        for name in names
    ]
    try:
        outcomes = [site.root("user", "add", f"user{number}", "--password-stdin") for number in range(RUNS)]
    finally:
        going.unlink()  # not killed: the command that a killed shell had started would go on in a folder being removed
        for process in swaps:
            process.wait()
    assert site.of_root() == before
    assert not any("Traceback" in outcome.text for outcome in outcomes)


def test_a_folder_that_the_account_may_not_reach_is_named(site: Site) -> None:
    site.folder.chmod(0o700)
    outcome = site.root(*ADD)
    assert outcome.code == 1, str(outcome)
    assert f"{site.folder} does not let that account pass" in outcome.err


def test_a_link_of_roots_own_is_followed(site: Site) -> None:
    """An operator keeps the users beside the configuration, and links them into the service's folder."""
    shutil.move(site.served / "htpasswd", site.own / "htpasswd")
    (site.served / "htpasswd").symlink_to(site.own / "htpasswd")
    outcome = site.root(*ADD)
    assert (outcome.code, without_hints(outcome)) == (0, f"configuration: {site.config}\n"), str(outcome)
    assert (site.served / "htpasswd").is_symlink()
    assert "carol:" in (site.own / "htpasswd").read_text()


def test_a_link_of_the_services_to_a_file_of_its_own_is_followed(site: Site) -> None:
    site.service("mkdir elsewhere; mv htpasswd elsewhere/; ln -s elsewhere/htpasswd htpasswd")
    outcome = site.root(*ADD)
    assert (outcome.code, without_hints(outcome)) == (0, f"configuration: {site.config}\n"), str(outcome)
    assert "carol:" in (site.served / "elsewhere" / "htpasswd").read_text()
    assert owners(site.served) == {(SERVICE, SERVICE)}


def test_a_config_map_is_read_through_its_links(site: Site) -> None:
    """As Kubernetes mounts one: users → ..data/users, ..data → a folder that is named after its time."""
    mount, dated = site.folder / "mount", site.folder / "mount" / "..2026_01_01"
    dated.mkdir(parents=True)
    mount.chmod(0o777)
    shutil.copy(site.served / "htpasswd", dated / "htpasswd")
    (mount / "..data").symlink_to(dated.name)
    (mount / "htpasswd").symlink_to("..data/htpasswd")
    site.config.write_text(site.config.read_text().replace(f"{site.served}/htpasswd", f"{mount}/htpasswd"))
    outcome = site.root("user", "list")
    assert (outcome.code, without_hints(outcome)) == (0, f"configuration: {site.config}\n"), str(outcome)
    assert outcome.out.startswith("alice")


def test_the_group_of_a_file_that_is_there_is_kept(site: Site) -> None:
    """A program in front reads the file by a group that the service is not in."""
    os.chown(site.served / "htpasswd", SERVICE, 4)
    (site.served / "htpasswd").chmod(0o640)
    assert site.root(*ADD).code == 0
    status = (site.served / "htpasswd").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (SERVICE, 4, 0o640)


def test_a_root_of_another_group_has_that_group_again(site: Site) -> None:
    """A container may run as `0:1000`: what such a process makes afterwards in its own folder is of its own group."""
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from authproxy.files.owner_rights import rights_at\n"
        "os.setgid(1000)\n"
        "with rights_at(Path(sys.argv[1])):\n"
        "    pass\n"
        "Path(sys.argv[2]).touch()\n"
    )
    made = site.own / "made"
    succeed(sys.executable, "-c", script, str(site.served / "x"), str(made), env=environment(site.folder), cwd=site.own)
    assert (made.stat().st_uid, made.stat().st_gid) == (0, 1000)


MAKES = {
    "htpasswd": "from authproxy.identity.htpasswd import provision_htpasswd as make",
    "keys": "from authproxy.token.keyring import KeyRing; make = KeyRing.open",
    "certificates": (
        "import datetime as dt; from authproxy.certificates import make_certificates;"
        " make = lambda folder: make_certificates(folder, ['localhost'], now=dt.datetime.now(dt.UTC))"
    ),
}


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_no_code_is_loaded_with_the_rights_of_the_account(site: Site, make: str) -> None:
    """Root's packages may lie where no other account can read them."""
    script = (
        "import importlib.abc, sys\n"
        "from pathlib import Path\n"
        "from authproxy.files.owner_rights import acts_as_another\n"
        f"{make}\n"
        "class Noting(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        assert not acts_as_another(), name\n"
        "sys.meta_path.insert(0, Noting())\n"
        "make(Path(sys.argv[1]))\n"
    )
    made = site.served / "made"
    succeed(sys.executable, "-c", script, str(made), env=environment(site.folder), cwd=site.own)
    assert owners(made) == {(SERVICE, SERVICE)}


def swap_socket(site: Site) -> None:
    site.service(f"ln -s {site.own / 'secret'} front.sock")


def swap_audit_log(site: Site) -> None:
    site.service(f"ln -sfn {site.own / 'secret'} audit.log")


@pytest.mark.parametrize("swap", [swap_socket, swap_audit_log], ids=["socket", "audit log"])
def test_a_server_that_is_root_follows_no_link_of_the_service(site: Site, swap: Callable[[Site], None]) -> None:
    site.config.write_text(site.config.read_text().replace("127.0.0.1:0", f"{site.served}/front.sock"))
    (site.served / "policies").mkdir()
    shutil.copy("policies/default.yaml", site.served / "policies" / "default.yaml")
    before = site.of_root()
    swap(site)
    env = environment(site.folder)
    with subprocess.Popen([AUTHPROXY, "serve", str(site.config)], env=env, stderr=subprocess.PIPE) as server:
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:
            server.terminate()
        assert server.wait(ENDS_WITHIN_S) in (0, 1, -signal.SIGTERM)
    assert site.of_root() == before


def test_a_link_in_the_storage_shows_root_nothing(site: Site) -> None:
    """`gc` names what is damaged, and the reason."""
    blobs = f"registry/docker/registry/v2/blobs/sha256/ab/{'ab' * 32}"
    revision = f"registry/docker/registry/v2/repositories/app/_manifests/revisions/sha256/{'ab' * 32}"
    (site.own / "secret").write_text('{"schemaVersion": 2, "mediaType": "a secret type"}')
    site.service(
        f"mkdir -p {blobs} {revision}; printf sha256:{'ab' * 32} > {revision}/link;"
        f" ln -s {site.own / 'secret'} {blobs}/data"
    )
    outcome = site.root("gc")
    assert outcome.code == 1, str(outcome)
    assert "can't be read (Permission denied)" in outcome.err
    assert "a secret type" not in outcome.text
