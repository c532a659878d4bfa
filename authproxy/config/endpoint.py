"""Where the server of a configuration listens, read without the model of the settings.

Only for plain values of a few keys. Everything else is None, and a caller then loads the configuration. A property test
holds that the model says the same of every configuration that is read here.
"""

import os
import re

TYPE_CHECKING = False  # typing's constant, without the 4 ms for typing
if TYPE_CHECKING:
    from collections.abc import Mapping

    from yaml import Node

VERSION = "0.1"
# Hosts that mean every address of this machine, each with one on which such a server listens too.
EVERY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked up, not bound

# The keys of the section `http`. With any other one the configuration is not valid.
KEYS = {
    *("net", "addr", "prefix", "host", "secret", "relativeurls", "draintimeout", "headers", "cors", "maintenance"),
    *("tls", "debug", "workers", "trustedproxies", "proxyprotocol", "http2", "h2c"),
}
_DEFAULTS = {"net": "tcp", "addr": ":5000", "prefix": "/"}
_EMBEDDED = {"addr": "localhost:5000", "tls.certificate": "server.pem", "tls.key": "server.key"}

# Texts that mean the same in a file and in a variable, quoted or not.
_ADDRESS = re.compile(r"([A-Za-z0-9][A-Za-z0-9.-]*|):([1-9][0-9]{0,4})")
_SOCKET = re.compile(r"/[A-Za-z0-9._/-]+")
_PREFIX = re.compile(r"/(?:[A-Za-z0-9_-]+/)*")
_PLAIN = {
    "net": re.compile(r"tcp|unix"),
    "addr": re.compile(f"{_ADDRESS.pattern}|{_SOCKET.pattern}"),
    "prefix": _PREFIX,
    "tls.certificate": re.compile(r"[A-Za-z0-9./][A-Za-z0-9._/-]*"),
    "tls.key": re.compile(r"[A-Za-z0-9./][A-Za-z0-9._/-]*"),
}
_MAX_PORT = 65_535
_VARIABLE = "REGISTRY_HTTP"
_TAG = "tag:yaml.org,2002:"


class Endpoint:
    """Where to ask a server: a host and a port, or the path of a socket."""

    __slots__ = ("has_tls", "host", "path", "port", "prefix")

    def __init__(self, host: str, port: int, path: str, prefix: str, *, has_tls: bool) -> None:
        self.host = host
        self.port = port
        self.path = path  # "" for TCP
        self.prefix = prefix
        self.has_tls = has_tls


def read_endpoint(file: str, environ: "Mapping[str, str]") -> Endpoint | None:
    """The endpoint of a file, or of the embedded default if `file` is empty; None if only the model can tell."""
    written = _read_file(file) if file else _EMBEDDED
    changed = _read_variables(environ)
    if written is None or changed is None:
        return None
    values = _DEFAULTS | written | changed
    if any(_PLAIN[key].fullmatch(value) is None for key, value in values.items()):
        return None
    certificate, key = "tls.certificate" in values, "tls.key" in values
    if certificate != key:
        return None
    addr, prefix = values["addr"], values["prefix"]
    if values["net"] == "unix":
        return Endpoint("", 0, addr, prefix, has_tls=key) if _SOCKET.fullmatch(addr) else None
    match = _ADDRESS.fullmatch(addr)
    if match is None or int(match[2]) > _MAX_PORT:
        return None
    return Endpoint(EVERY_ADDRESS.get(match[1], match[1]), int(match[2]), "", prefix, has_tls=key)


def _read_variables(environ: "Mapping[str, str]") -> "dict[str, str] | None":
    found: dict[str, str] = {}
    for name, value in environ.items():
        if not name.startswith(_VARIABLE):
            continue
        # REGISTRY_HTTP_ADDR_FILE and REGISTRY_HTTP_TLS are not in `_PLAIN`.
        key = name[len(_VARIABLE) + 1 :].lower().replace("_", ".")
        if name == name.upper() and key in _PLAIN:
            found[key] = value
        elif key.partition(".")[0] in ("", "net", "addr", "prefix", "tls", "file"):
            return None
    return found


def _read_root(file: str) -> "Node | None":
    """The root of a file's YAML; None if it can't be read here."""
    import yaml

    if not os.path.isfile(file):  # noqa: PTH113 - as below; a pipe can be read only once
        return None
    try:
        with open(file, "rb") as opened:  # noqa: PTH123 - pathlib takes longer to load than this
            content = opened.read()
        if b"\0" in content or content.startswith(b"\xef\xbb\xbf"):
            return None
        root: Node | None = yaml.compose(content.decode("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return None
    return root


def _read_file(file: str) -> "dict[str, str] | None":
    top = _entries(_read_root(file))
    # A file without it has faults, or is wrapped in another: without `http` it would mean the default address.
    if top is None or _text(top.get("version")) != VERSION:
        return None
    http = _entries(top["http"]) if "http" in top else {}
    if http is None or not http.keys() <= KEYS:
        return None
    found = {key: _text(http[key]) for key in _DEFAULTS if key in http}
    if "tls" in http:
        tls = _entries(http["tls"])
        if tls is None or tls.keys() != {"certificate", "key"}:
            return None
        found |= {f"tls.{key}": _text(node) for key, node in tls.items()}
    return found


def _entries(node: "Node | None") -> "dict[str, Node] | None":
    """The values of a mapping whose keys are texts, each once; None for anything else."""
    import yaml

    if not isinstance(node, yaml.MappingNode):
        return None
    entries = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode) and _text(key)}
    return entries if len(entries) == len(node.value) else None


def _text(node: "Node | None") -> str:
    """The text of a scalar, or "", which no key has as its plain value."""
    if node is None or node.tag not in (_TAG + "str", _TAG + "float", _TAG + "int"):
        return ""
    return str(node.value)
