"""The lines that make a client on another machine trust a CA, ready to paste: the certificate is in them.

Hosts are names or addresses with a port, in which no character means anything to a shell.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum


class Client(Enum):
    """For whom."""

    DOCKER = "docker"
    PODMAN = "podman"
    CONTAINERD = "containerd"
    K3S = "k3s"
    CURL = "curl"
    SYSTEM = "system"
    MAC = "mac"
    WINDOWS = "windows"


TITLES = {
    Client.DOCKER: "docker on Linux",
    Client.PODMAN: "podman, buildah, skopeo, CRI-O",
    Client.CONTAINERD: 'containerd, if its config.toml has config_path = "/etc/containerd/certs.d"',
    Client.K3S: "k3s, rke2: on each node; a registries.yaml that exists is left for you to extend",
    Client.CURL: "curl, without changing the machine",
    Client.SYSTEM: "every program on a Linux machine: Debian, Ubuntu, Alpine; Fedora, RHEL",
    Client.MAC: "Docker Desktop on a Mac; restart it afterwards",
    Client.WINDOWS: "Docker Desktop on Windows, in PowerShell; restart it afterwards",
}


def lines_for(client: Client, hosts: Sequence[str], authority: str) -> str:
    """The lines for a client. `authority` is the CA's certificate in PEM."""
    return "\n".join(_MAKERS[client](hosts, authority.strip())) + "\n"


def _file(path: str, content: str) -> Iterator[str]:
    quote = '"' if path.startswith('"') else ""
    yield f"sudo mkdir -p {path.rpartition('/')[0]}{quote}"
    yield f"sudo tee {path} >/dev/null <<'EOF'"
    yield content
    yield "EOF"


def _in_each(folder: str, hosts: Sequence[str], authority: str) -> Iterator[str]:
    """A file for each host; the certificate is printed once."""
    if len(hosts) == 1:
        yield from _file(f"{folder}/{hosts[0]}/ca.crt", authority)
        return
    yield f"for host in {' '.join(hosts)}; do"
    yield from _file(f'"{folder}/$host/ca.crt"', authority)
    yield "done"


def _docker(hosts: Sequence[str], authority: str) -> Iterator[str]:
    yield from _in_each("/etc/docker/certs.d", hosts, authority)


def _podman(hosts: Sequence[str], authority: str) -> Iterator[str]:
    yield from _in_each("/etc/containers/certs.d", hosts, authority)


def _containerd(hosts: Sequence[str], authority: str) -> Iterator[str]:
    file = "/etc/containerd/authproxy-ca.crt"
    yield from _file(file, authority)
    for host in hosts:
        toml = f'server = "https://{host}"\n\n[host."https://{host}"]\n  ca = "{file}"'
        yield from _file(f"/etc/containerd/certs.d/{host}/hosts.toml", toml)


def _k3s(hosts: Sequence[str], authority: str) -> Iterator[str]:
    file, settings = "/etc/rancher/k3s/authproxy-ca.crt", "/etc/rancher/k3s/registries.yaml"
    yield from _file(file, authority)
    yield f"[ -e {settings} ] && echo 'add these lines yourself' || sudo tee {settings} <<'EOF'"
    yield "configs:"
    for host in hosts:
        yield f'  "{host}":\n    tls:\n      ca_file: {file}'
    yield "EOF"
    yield "sudo systemctl restart k3s"


def _curl(hosts: Sequence[str], authority: str) -> Iterator[str]:
    yield f"cat >authproxy-ca.crt <<'EOF'\n{authority}\nEOF"
    yield from (f"curl --cacert authproxy-ca.crt https://{host}/v2/" for host in hosts)


def _system(_hosts: Sequence[str], authority: str) -> Iterator[str]:
    yield f"cat >authproxy-ca.crt <<'EOF'\n{authority}\nEOF"
    yield "if command -v update-ca-certificates >/dev/null; then"
    yield "  sudo install -D -m 0644 authproxy-ca.crt /usr/local/share/ca-certificates/authproxy-ca.crt"
    yield "  sudo update-ca-certificates"
    yield "else"
    yield "  sudo install -D -m 0644 authproxy-ca.crt /etc/pki/ca-trust/source/anchors/authproxy-ca.crt"
    yield "  sudo update-ca-trust"
    yield "fi"


def _mac(_hosts: Sequence[str], authority: str) -> Iterator[str]:
    yield f"cat >authproxy-ca.crt <<'EOF'\n{authority}\nEOF"
    yield "sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain authproxy-ca.crt"


def _windows(_hosts: Sequence[str], authority: str) -> Iterator[str]:
    yield f"@'\n{authority}\n'@ | Set-Content -Encoding ascii authproxy-ca.crt"
    yield "Import-Certificate -FilePath authproxy-ca.crt -CertStoreLocation Cert:\\CurrentUser\\Root"


_MAKERS: Mapping[Client, Callable[[Sequence[str], str], Iterator[str]]] = {
    Client.DOCKER: _docker,
    Client.PODMAN: _podman,
    Client.CONTAINERD: _containerd,
    Client.K3S: _k3s,
    Client.CURL: _curl,
    Client.SYSTEM: _system,
    Client.MAC: _mac,
    Client.WINDOWS: _windows,
}
