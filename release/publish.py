"""`python -m release.publish`: pushes the image and the Helm chart of dist/, by our own code and Helm's SDK.

Variables say where: IMAGE is the image's repository, CHARTS the one below which the chart goes, both in lower case here
as registries want it; PUBLISH_USER and PUBLISH_PASSWORD sign in. What was pushed is printed with its digest, and
appended to the file that GITHUB_OUTPUT names.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from release.chart import semantic_version
from release.checksums import verify
from release.errors import ReleaseError
from release.plan import ROOT, read_version

# What to write for a variable that is missing.
SETTINGS = {
    "IMAGE": "make publish IMAGE=registry.example.com/authproxy",
    "CHARTS": "make publish CHARTS=registry.example.com/charts",
    "PUBLISH_USER": "make publish PUBLISH_USER=admin",
    "PUBLISH_PASSWORD": "read -rs PUBLISH_PASSWORD && export PUBLISH_PASSWORD",
}


@dataclass(frozen=True, slots=True)
class Destination:
    """Where it goes, and who signs in."""

    image: str
    charts: str
    user: str
    password: str


def main() -> int:
    """Push both. Returns the exit code."""
    try:
        destination = read_destination(os.environ)
        pushed = publish(ROOT / "dist", read_version(ROOT), destination)
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    lines = "".join(f"{name}={value}\n" for name, value in pushed.items())
    print(lines, end="")
    if output := os.environ.get("GITHUB_OUTPUT"):
        with Path(output).open("a", encoding="utf-8") as file:
            file.write(lines)
    return 0


def read_destination(environ: Mapping[str, str]) -> Destination:
    """The four variables. Raises ReleaseError that names the first that is missing."""
    values = []
    for name, setting in SETTINGS.items():
        if not (value := environ.get(name)):
            raise ReleaseError(f"the variable {name} is not set; set it: {setting}")
        values.append(value)
    image, charts, user, password = values
    return Destination(image.lower(), charts.lower(), user, password)


def publish(dist: Path, version: str, destination: Destination) -> dict[str, str]:
    """Push the files of `dist` if SHA256SUMS has them as they are. Returns names and digests."""
    image, chart = dist / f"authproxy-{version}.oci.tar", dist / f"authproxy-{semantic_version(version)}.tgz"
    verify((image, chart))
    return {
        "image": destination.image,
        "image_digest": _push_image(image, version, destination),
        "chart": f"{destination.charts}/authproxy",
        "chart_digest": _push_chart(chart, destination),
    }


def _push_image(file: Path, version: str, destination: Destination) -> str:
    command = [sys.executable, "-m", "authproxy", "images", "push", str(file), f"{destination.image}:{version}"]
    done = subprocess.run(
        [*command, "--json", "--user", destination.user, "--password-stdin"],
        input=destination.password,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ReleaseError(f"the image cannot be pushed: {done.stderr.strip()}")
    return str(json.loads(done.stdout.splitlines()[-1])["digest"])


def _push_chart(file: Path, destination: Destination) -> str:
    import helm_python as helm

    host = destination.charts.partition("/")[0]
    with tempfile.TemporaryDirectory() as folder:
        try:
            with helm.RegistryClient(credentials_file=Path(folder) / "config.json") as client:
                client.login(host, destination.user, destination.password)
                client.push(file, f"oci://{destination.charts}")
                tag = file.stem.removeprefix("authproxy-")
                return str(client.resolve(f"{destination.charts}/authproxy:{tag}")["digest"])
        except helm.HelmError as error:
            raise ReleaseError(f"the chart cannot be pushed: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
