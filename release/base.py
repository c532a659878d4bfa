"""The lowest layer: Debian packages, unpacked without their maintainer scripts, and the files that these would make."""

import re

from release.architecture import Architecture
from release.debian import Package, download
from release.errors import ReleaseError
from release.program import run_bytes
from release.tree import Tree

# Debian's suite has this Python; the wheels of the image are for it.
PYTHON = "3.13"
STDLIB = f"usr/lib/python{PYTHON}"
INTERPRETER = f"usr/bin/python{PYTHON}"

PACKAGES = (
    f"python{PYTHON}-minimal",
    f"libpython{PYTHON}-stdlib",
    "libstdc++6",  # for google-re2 and cel-expr-python
    "ca-certificates",
    "tzdata",
    "base-files",
    "netbase",
    "busybox-static",  # a shell and its programs: docker exec -it … sh
    "openssl",  # the configuration of libssl; not the program
)
# What only maintainer scripts use, or parts of Python that are left out below.
OMITTED = (
    *("debconf", "debianutils", "dpkg", "mawk", "tar", "libacl1", "libmd0", "libpcre2-8-0", "libselinux1"),
    *("libdb5.3t64", "libncursesw6", "libreadline8t64", "libtinfo6", "readline-common"),
    "openssl-provider-legacy",
)

# Paths that are left out, with all that is below them.
UNWANTED = tuple(
    re.compile(pattern)
    for pattern in (
        r"usr/share/doc/[^/]+/(?!copyright$).+",  # the copyright files stay: the licences ask for them
        r"usr/share/(man|info|locale|lintian|bug|perl5|pixmaps|applications|python3|debconf|menu)",
        r"usr/share/(base-files|binfmts|bash-completion|initramfs-tools|ca-certificates)",
        r"etc/(init\.d|cron\.[a-z]+|default|update-motd\.d|profile\.d|ca-certificates.*|dpkg|python[0-9.]+)",
        r"etc/ssl/private",
        r"usr/lib/(systemd|binfmt\.d|ssl/misc|ssl/private|valgrind|tmpfiles\.d|bfd-plugins)",
        r"usr/lib/[a-z0-9_]+-linux-gnu/(gconv|audit|lib(memusage|pcprofile|thread_db|nss_hesiod|nss_compat)\.so.*)",
        r"usr/(sbin/.+|games|include|src|local/(src|games|include|man|share))",
        r"usr/bin/(openssl|c_rehash|pydoc.*|pygettext.*)",
        r"usr/share/zoneinfo/(posix|right|localtime)",
        rf"{STDLIB}/(ensurepip|idlelib|lib2to3|pydoc_data|test|tkinter|turtledemo|turtle\.py|_pyrepl|curses|dbm)",
        rf"{STDLIB}/sitecustomize\.py",  # a link to a file in /etc
        rf"{STDLIB}/lib-dynload/(_curses|_curses_panel|_dbm|_gdbm|_tkinter|_test\w*|_xx\w*|xx\w*|readline)\..*",
        r"(boot|home|media|mnt|opt|proc|srv|sys|var/(backups|cache|local|mail|opt|spool|lock|log))",
    )
)

# The programs of busybox that have a link in /usr/bin.
SHELL_PROGRAMS = (
    "[ ash awk base64 basename cat chmod chown clear cp cut date df diff dirname du echo env expr false "
    "find free grep gunzip gzip head hexdump hostname id kill less ln ls md5sum mkdir mktemp more mv nc "
    "netstat nslookup od pidof ping printf ps pwd readlink realpath rm rmdir sed seq sh sha256sum sleep "
    "sort stat stty tail tar tee test timeout top touch tr true tty uname uniq vi watch wc wget which "
    "whoami xargs yes zcat"
)

ACCOUNT = 65532  # authproxy's, user and group
PASSWD = f"""\
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
authproxy:x:{ACCOUNT}:{ACCOUNT}:authproxy:/var/lib/authproxy:/usr/sbin/nologin
"""
GROUP = f"""\
root:x:0:
nogroup:x:65534:
authproxy:x:{ACCOUNT}:
"""
NSSWITCH = """\
passwd: files
group: files
hosts: files dns
services: files
protocols: files
"""
BUNDLE = "etc/ssl/certs/ca-certificates.crt"
CERTIFICATES = re.compile(r"usr/share/ca-certificates/mozilla/.+\.crt")
TEMPORARY = 0o1777


def make_base(architecture: Architecture, snapshot: str = "") -> tuple[Tree, list[Package]]:
    """The file system and its packages. Entries that are made here have the time 0. Raises ReleaseError."""
    packages = download(architecture.name, PACKAGES, OMITTED, snapshot)
    tree = Tree(mtime=0)
    for package in packages:
        tree.unpack(run_bytes("dpkg-deb", "--fsys-tarfile", str(package.file)))
    bundle = ca_bundle(tree)
    tree.remove(lambda path: any(one.fullmatch(path) for one in UNWANTED))
    _complete(tree, bundle)
    for package in packages:
        # Where scanners for vulnerabilities look in images that have no package manager.
        tree.file(f"var/lib/dpkg/status.d/{package.name}", _status(package))
    return tree, packages


def ca_bundle(tree: Tree) -> bytes:
    """The CA certificates in one file, as update-ca-certificates concatenates them."""
    found = [content.rstrip() + b"\n" for path, content in tree.files() if CERTIFICATES.fullmatch(path)]
    if not found:
        raise ReleaseError("ca-certificates has no certificates where they are looked for: see release/base.py")
    return b"".join(found)


def _complete(tree: Tree, bundle: bytes) -> None:
    tree.file("etc/passwd", PASSWD)
    tree.file("etc/group", GROUP)
    tree.file("etc/nsswitch.conf", NSSWITCH)
    tree.file(BUNDLE, bundle)
    tree.link("usr/lib/ssl/cert.pem", f"/{BUNDLE}")  # OpenSSL's default; Debian hashes the names in a folder instead
    tree.link("usr/bin/python3", f"python{PYTHON}")
    for name in SHELL_PROGRAMS.split():
        tree.link(f"usr/bin/{name}", "busybox")
    tree.folder("root", mode=0o700)
    tree.folder("tmp", mode=TEMPORARY)
    tree.folder("var/tmp", mode=TEMPORARY)
    for name in ("dev", "proc", "sys", "run", "opt"):
        tree.folder(name)


def _status(package: Package) -> str:
    first, _, rest = package.control.partition("\n")
    return f"{first}\nStatus: install ok installed\n{rest.rstrip()}\n"
