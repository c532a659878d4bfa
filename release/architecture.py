"""The architectures of the image, by the names that Debian, Python's wheels and OCI give them."""

import platform
from dataclasses import dataclass

from release.errors import ReleaseError


@dataclass(frozen=True, slots=True)
class Architecture:
    """One architecture of the image. Debian and OCI (Go) agree on its name."""

    name: str  # amd64
    machine: str  # x86_64: the kernel's and the wheels'
    multiarch: str  # the folder of its libraries
    loader: str  # of ELF programs: the path in the image


AMD64 = Architecture("amd64", "x86_64", "x86_64-linux-gnu", "usr/lib64/ld-linux-x86-64.so.2")
ARM64 = Architecture("arm64", "aarch64", "aarch64-linux-gnu", "usr/lib/ld-linux-aarch64.so.1")
ARCHITECTURES = (AMD64, ARM64)


def this_machines() -> Architecture:
    """The architecture of this machine. Raises ReleaseError if there is no image for it."""
    for architecture in ARCHITECTURES:
        if platform.machine() == architecture.machine:
            return architecture
    raise ReleaseError(f"the image is built on {AMD64.machine} and {ARM64.machine}, not on {platform.machine()}")
