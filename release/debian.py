"""Debian packages for any architecture: resolved, verified and downloaded by apt in a state folder of its own.

Needs no root, and does not touch the packages of this machine. apt verifies the archive's signature by Debian's
keyring.
"""

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from release.cache import cache_folder
from release.checksums import digest_of
from release.errors import ReleaseError
from release.program import run

SUITE = "trixie"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SNAPSHOT = re.compile(r"\d{8}T\d{6}Z")
SNAPSHOTS = "http://snapshot.debian.org/archive"

# By the label in the archive's Release file: the address to use if this machine's apt has none with that label.
ARCHIVES = {"Debian": "http://deb.debian.org/debian", "Debian-Security": "http://deb.debian.org/debian-security"}
FOLDERS = {"Debian": "debian", "Debian-Security": "debian-security"}

# Options of this machine's apt that apply here too: proxies, certificates, retries, and whether a mirror that is behind
# may be used. None turns the verification of signatures off.
CONNECTION = re.compile(r"Acquire::(http|https|Retries|ForceIPv[46]|Check-Valid-Until|Check-Date)\b.*;")


@dataclass(frozen=True, slots=True)
class Package:
    """A package in a downloaded file."""

    name: str
    version: str
    architecture: str  # or `all`
    sha256: str
    file: Path
    control: str = field(repr=False)  # the paragraph in the package

    @property
    def source(self) -> tuple[str, str]:
        """Name and version of the source package."""
        found = re.search(r"^Source: (\S+)(?: \((.+)\))?$", self.control, re.MULTILINE)
        return (found[1], found[2] or self.version) if found else (self.name, self.version)


def download(architecture: str, names: Iterable[str], omit: Iterable[str], snapshot: str = "") -> list[Package]:
    """Packages and what they depend on, sorted by name, without those of `omit`.

    `snapshot` is a time of snapshot.debian.org, 20261130T000000Z; by default it is the current archive. Raises
    ReleaseError.
    """
    with _apt(architecture, snapshot) as apt:
        apt.get("update", "--error-on=any")
        uris = apt.get("install", "--print-uris", "--yes", "-qq", *names)
        # 'http://…/libc6_2.41-12%2bdeb13u5_arm64.deb' libc6_2.41-12+deb13u5_arm64.deb 2488872 SHA256:…
        found = {line.split()[1].partition("_")[0] for line in uris.splitlines() if line.startswith("'")}
        wanted = sorted(found - set(omit))
        return apt.fetch(wanted)


@contextmanager
def _apt(architecture: str, snapshot: str) -> Iterator["_Apt"]:
    if not KEYRING.exists():
        raise ReleaseError(f"{KEYRING} is missing: install the package debian-archive-keyring")
    if snapshot and not SNAPSHOT.fullmatch(snapshot):
        raise ReleaseError(f"SNAPSHOT is {snapshot!r}; write a time of snapshot.debian.org, 20261130T000000Z")
    with tempfile.TemporaryDirectory(prefix="authproxy-apt-") as name:
        folder = Path(name)
        for below in ("state/lists/partial", "cache/archives/partial", "etc/parts", "log"):
            (folder / below).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "etc/sources.list").write_text(sources(snapshot))
        (folder / "apt.conf").write_text(_configuration(folder, architecture, snapshot))
        yield _Apt(folder)


def sources(snapshot: str) -> str:
    """The archives as lines of sources.list: the release, its updates and its security updates."""
    addresses = (
        {label: f"{SNAPSHOTS}/{folder}/{snapshot}" for label, folder in FOLDERS.items()} if snapshot else _mirrors()
    )
    main, security = addresses["Debian"], addresses["Debian-Security"]
    lines = ((main, SUITE), (main, f"{SUITE}-updates"), (security, f"{SUITE}-security"))
    return "".join(f"deb [signed-by={KEYRING}] {address} {suite} main\n" for address, suite in lines)


def _mirrors() -> dict[str, str]:
    listing = run("apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)", "Created-By: Packages")
    found = dict(ARCHIVES)
    for line in reversed(listing.splitlines()):  # the first one of each label counts
        match line.split():
            case ["Debian", label, address] if label in found:
                found[label] = address.rstrip("/")
            case _:
                continue
    return found


def _configuration(folder: Path, architecture: str, snapshot: str) -> str:
    ours = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        # A snapshot is always older than its signature allows.
        **({"Acquire::Check-Valid-Until": "false"} if snapshot else {}),
        "Dir::State": f"{folder}/state",
        "Dir::State::status": f"{folder}/status",
        "Dir::Cache": f"{folder}/cache",
        "Dir::Log": f"{folder}/log",
        "Dir::Etc": f"{folder}/etc",
        "Dir::Etc::parts": "parts",
        "Dir::Etc::sourceparts": "parts",
        "Dir::Etc::preferencesparts": "parts",
    }
    machines = (line for line in run("apt-config", "dump").splitlines() if CONNECTION.fullmatch(line))
    return "\n".join([*machines, *(f'{key} "{value}";' for key, value in ours.items()), ""])


@dataclass(frozen=True, slots=True)
class _Apt:
    folder: Path

    def get(self, *words: str, cwd: Path | None = None) -> str:
        return run("apt-get", *words, env=self._env, cwd=cwd)

    def fetch(self, names: list[str]) -> list[Package]:
        """The packages' candidate versions, downloaded unless the cache has them. Raises ReleaseError."""
        records = [_fields(text) for text in self._records(names)]
        downloads = cache_folder("debs")
        missing = [record for record in records if not _is_whole(downloads / _file_name(record), record["SHA256"])]
        for record in missing:
            (downloads / _file_name(record)).unlink(missing_ok=True)
        if missing:
            with tempfile.TemporaryDirectory(dir=downloads, prefix=".download-") as beside:
                self.get("download", *(f"{one['Package']}={one['Version']}" for one in missing), cwd=Path(beside))
                for file in Path(beside).iterdir():
                    file.rename(downloads / file.name)
        return [_package(downloads / _file_name(record), record) for record in records]

    def _records(self, names: list[str]) -> list[str]:
        shown = run("apt-cache", "show", "--no-all-versions", *names, env=self._env)
        return sorted(filter(None, shown.split("\n\n")))

    @property
    def _env(self) -> dict[str, str]:
        return {"APT_CONFIG": str(self.folder / "apt.conf")}


def _fields(paragraph: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", paragraph, re.MULTILINE))


def _file_name(record: dict[str, str]) -> str:
    # As apt-get download names it: the colon of an epoch is written %3a.
    return f"{record['Package']}_{record['Version'].replace(':', '%3a')}_{record['Architecture']}.deb"


def _is_whole(file: Path, sha256: str) -> bool:
    return file.exists() and digest_of(file) == sha256


def _package(file: Path, record: dict[str, str]) -> Package:
    if not _is_whole(file, record["SHA256"]):
        raise ReleaseError(f"{file} does not have the digest that the archive's index gives: {record['SHA256']}")
    return Package(
        record["Package"],
        record["Version"],
        record["Architecture"],
        record["SHA256"],
        file,
        run("dpkg-deb", "--field", str(file)),
    )
