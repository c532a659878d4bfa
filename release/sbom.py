"""Bills of materials in CycloneDX 1.6, of the wheel and of the image: what they contain, by name, version and licence.

They have no serial number, and the commit's time, so the same release has the same bytes.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from release.architecture import AMD64, Architecture
from release.base import PYTHON
from release.debian import SUITE, Package
from release.dependencies import Wheel, find_wheels, read_wheel
from release.filesystem import FileSystem
from release.layout import rfc3339
from release.plan import Plan
from release.wheel import wheel_of

MEDIA_TYPE = "application/vnd.cyclonedx+json"

# A licence field that is longer is the licence itself.
MAX_NAME = 80
CLASSIFIER = "License :: "

# Source packages whose copyright file is prose; what it says about the files that are in the image.
PROSE = {
    "busybox": "GPL-2.0-only",
    "gcc-14": "GPL-3.0-or-later WITH GCC-exception-3.1",
    f"python{PYTHON}": "PSF-2.0",
}


def make(plan: Plan) -> list[Path]:
    """Write the SBOM of the wheel with the dependencies that requirements.lock pins."""
    file = plan.dist / f"authproxy_registry-{plan.version}.cdx.json"
    file.write_bytes(of_wheel(plan))
    return [file]


def of_wheel(plan: Plan) -> bytes:
    """The SBOM of the wheel. Which file of a dependency is installed depends on the platform, so no digests."""
    ours = read_wheel(wheel_of(plan))
    wheels = find_wheels(plan.root / "requirements.lock", ours, AMD64)
    root = {**_of_wheel(ours), "type": "application"}
    return _bom(plan, root, [_of_wheel(wheel) for wheel in wheels], _graph([*wheels, ours], AMD64))


def of_image(plan: Plan, made: FileSystem) -> bytes:
    """The SBOM of the image for one architecture: Debian packages and wheels."""
    reference = f"pkg:oci/authproxy@{plan.version}?arch={made.architecture.name}"
    root = {
        "type": "container",
        "bom-ref": reference,
        "name": "authproxy",
        "version": plan.version,
        "licenses": [{"expression": "Apache-2.0"}],
    }
    texts = {
        path.split("/")[3]: content.decode(errors="replace")
        for path, content in made.layers[0].files()
        if path.startswith("usr/share/doc/") and path.endswith("/copyright")
    }
    packages = [_of_package(one, texts.get(one.name, "")) for one in made.packages]
    wheels = [{**_of_wheel(one), "hashes": [{"alg": "SHA-256", "content": one.sha256}]} for one in made.wheels]
    graph = {
        reference: sorted([_reference(made.wheels[-1]), *map(_deb, made.packages)]),
        **_graph(made.wheels, made.architecture),
        **_debian_graph(made.packages),
    }
    return _bom(plan, root, [*packages, *wheels], graph)


def _bom(plan: Plan, root: dict[str, Any], components: Iterable[dict[str, Any]], graph: dict[str, list[str]]) -> bytes:
    body = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"timestamp": rfc3339(plan.epoch), "component": root},
        "components": sorted(components, key=lambda one: str(one["bom-ref"])),
        "dependencies": [{"ref": ref, "dependsOn": needed} for ref, needed in sorted(graph.items())],
    }
    return json.dumps(body, indent=1).encode() + b"\n"


def _of_wheel(wheel: Wheel) -> dict[str, Any]:
    reference = _reference(wheel)
    found = {
        "type": "library",
        "bom-ref": reference,
        "name": wheel.name,
        "version": wheel.version,
        "purl": reference,
        "description": wheel.metadata["Summary"] or "",
        "licenses": _licences(wheel),
    }
    return {key: value for key, value in found.items() if value}


def _licences(wheel: Wheel) -> list[dict[str, Any]]:
    if expression := wheel.metadata["License-Expression"]:
        return [{"expression": expression}]
    classifiers = [one for one in wheel.metadata.get_all("Classifier", []) if one.startswith(CLASSIFIER)]
    names = {one.rpartition(" :: ")[2] for one in classifiers} - {"OSI Approved"}
    text = wheel.metadata["License"] or ""
    if not names and text and "\n" not in text and len(text) <= MAX_NAME:
        names = {text}
    return [{"license": {"name": name}} for name in sorted(names)]


def _of_package(package: Package, copyright_text: str) -> dict[str, Any]:
    reference = _deb(package)
    source, source_version = package.source
    found = {
        "type": "library",
        "bom-ref": reference,
        "name": package.name,
        "version": package.version,
        "purl": reference,
        "hashes": [{"alg": "SHA-256", "content": package.sha256}],
        "licenses": (
            [{"expression": PROSE[source]}]
            if source in PROSE
            # Debian's short names, of which many are SPDX's: debian/copyright in the machine-readable format.
            else [{"license": {"name": name}} for name in _short_names(copyright_text)]
        ),
        "properties": [{"name": "debian:source", "value": f"{source}={source_version}"}],
    }
    return {key: value for key, value in found.items() if value}


def _short_names(text: str) -> list[str]:
    if not text.startswith("Format:"):
        return []
    return sorted({name.strip() for name in re.findall(r"^License:[ \t]*(\S.*)$", text, re.MULTILINE)})


def _reference(wheel: Wheel) -> str:
    return f"pkg:pypi/{wheel.name}@{wheel.version}"


def _deb(package: Package) -> str:
    # https://github.com/package-url/purl-spec/blob/main/types-doc/deb-definition.md
    version = quote(package.version, safe=".:~-")
    return f"pkg:deb/debian/{package.name}@{version}?arch={package.architecture}&distro={SUITE}"


def _graph(wheels: Iterable[Wheel], architecture: Architecture) -> dict[str, list[str]]:
    there = {wheel.name: _reference(wheel) for wheel in wheels}
    return {
        _reference(wheel): sorted({there[name] for name in wheel.requires(architecture) if name in there})
        for wheel in wheels
    }


def _debian_graph(packages: Iterable[Package]) -> dict[str, list[str]]:
    there = {package.name: _deb(package) for package in packages}
    return {_deb(package): sorted({there[name] for name in _depends(package) if name in there}) for package in packages}


def _depends(package: Package) -> set[str]:
    lines = re.findall(r"^(?:Pre-)?Depends: (.*)$", package.control, re.MULTILINE)
    return {re.split(r"[ :(]", one.strip())[0] for line in lines for one in re.split(r"[,|]", line)}
