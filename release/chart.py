"""The Helm chart, authproxy-<version>.tgz: deploy/chart as `helm package` packs it, but the same bytes each time.

The variable IMAGE names the image that the chart starts by default, without its tag.
"""

import gzip
import io
import os
import re
import tarfile
from pathlib import Path

from release.errors import ReleaseError
from release.plan import Plan

NAME = "authproxy"
# PEP 440 as far as our versions use it; Helm takes SemVer 2.
VERSION = re.compile(r"(\d+\.\d+\.\d+)(?:(a|b|rc)(\d+))?")
IMAGE = re.compile(r"[a-z0-9]([-a-z0-9._:/]*[a-z0-9])?")


def make(plan: Plan) -> list[Path]:
    """Pack the chart, with this release's version and image."""
    version = semantic_version(plan.version)
    file = plan.dist / f"{NAME}-{version}.tgz"
    file.write_bytes(pack(contents(plan, version), plan.epoch))
    return [file]


def contents(plan: Plan, version: str) -> dict[str, bytes]:
    """The chart's files by their paths below its folder."""
    folder = plan.root / "deploy" / "chart"
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    found = {name: path.read_bytes() for name, path in files.items() if not path.name.startswith(".")}
    found["LICENSE"] = (plan.root / "LICENSE").read_bytes()
    found["Chart.yaml"] = _set(found["Chart.yaml"], "version", version)
    found["Chart.yaml"] = _set(found["Chart.yaml"], "appVersion", plan.version)
    if image := os.environ.get("IMAGE", "").lower():  # an owner may have capitals, a repository not
        if not IMAGE.fullmatch(image):
            raise ReleaseError(f"IMAGE={image} is no name of an image; give it without tag and digest")
        found["values.yaml"] = _set(found["values.yaml"], "  repository", image)
    return found


def pack(files: dict[str, bytes], epoch: int) -> bytes:
    """The archive: nothing in it but names, contents and one time."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=epoch) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in sorted(files, key=lambda name: (name != "Chart.yaml", name)):
            entry = tarfile.TarInfo(f"{NAME}/{name}")
            entry.size, entry.mtime, entry.mode = len(files[name]), epoch, 0o644
            archive.addfile(entry, io.BytesIO(files[name]))
    return packed.getvalue()


def semantic_version(version: str) -> str:
    """0.2.0rc1 as 0.2.0-rc.1. Raises ReleaseError for a version that Helm would not take."""
    if (found := VERSION.fullmatch(version)) is None:
        raise ReleaseError(f"{version} is no version for a Helm chart: take X.Y.Z, or X.Y.ZrcN")
    return found[1] + (f"-{found[2]}.{found[3]}" if found[2] else "")


def _set(text: bytes, key: str, value: str) -> bytes:
    changed, count = re.subn(rf"(?m)^{key}: .*$", f"{key}: {value}", text.decode())
    if count != 1:
        raise ReleaseError(f"deploy/chart: {count} lines begin with {key!r}, and one is expected")
    return changed.encode()
