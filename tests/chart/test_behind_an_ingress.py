"""The configuration that the chart writes for an Ingress, behind an nginx with the headers of ingress-nginx.

Helm pushes a chart through both, and pulls it back.
"""

from pathlib import Path
from typing import Any

import trustme

import authproxy
from release.chart import contents, pack
from release.plan import Plan
from tests.deploy.chart import render
from tests.support.binaries import ROOT
from tests.support.helm import Helm
from tests.support.nginx import running_nginx
from tests.support.server import ADMIN, ADMIN_PASSWORD, Server, free_port

VERSION = authproxy.__version__
# https://kubernetes.github.io/ingress-nginx: the headers of its template, with its default values.
INGRESS = """\
ssl_certificate {folder}/server.pem;
ssl_certificate_key {folder}/server.key;
client_max_body_size 0;
location / {{
    proxy_set_header Host $http_host;
    proxy_set_header X-Request-ID $request_id;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header X-Forwarded-Port 443;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Scheme $scheme;
    proxy_set_header X-Scheme $scheme;
    proxy_http_version 1.1;
    proxy_buffering off;
    proxy_pass http://127.0.0.1:{port};
}}
"""


def values(folder: Path, url: str) -> dict[str, Any]:
    """Those of the page, with the folders and the port of this test."""
    return {
        "host": "localhost",
        "tls": {"enabled": False},
        "ingress": {"enabled": True},
        "config": {
            "http": {"trustedproxies": ["127.0.0.1"], "host": url},
            "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
            "token": {"keys": str(folder / "keys"), "state": str(folder / "state")},
            "policies": {"path": str(ROOT / "policies")},
            "audit": {"file": {"path": str(folder / "audit.log")}},
        },
    }


def test_a_chart_is_pushed_and_pulled_through_an_ingress(tmp_path: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = ca.issue_cert("localhost")
    issued.private_key_pem.write_to_path(tmp_path / "server.key")
    for part in issued.cert_chain_pems:
        part.write_to_path(tmp_path / "server.pem", append=True)
    port = free_port()
    with running_nginx(tmp_path / "nginx", INGRESS.format(folder=tmp_path, port=port), has_tls=True) as url:
        host = url.removeprefix("https://").replace("127.0.0.1", "localhost")
        objects = render(values(tmp_path, f"https://{host}"))
        (tmp_path / "config.yml").write_text(objects["ConfigMap", "authproxy-config"]["data"]["config.yml"])
        settings = {
            "AUTHPROXY_ADMIN_PASSWORD": ADMIN_PASSWORD,
            "REGISTRY_IDENTITIES_0_HTPASSWD_PATH": str(tmp_path / "htpasswd"),
            "REGISTRY_IDENTITIES_1_USERS_PATH": str(tmp_path / "users.yaml"),
        }
        server = Server(tmp_path, settings, port, arguments=("config.yml",), has_tls=False)
        server.start()
        try:
            chart = tmp_path / f"authproxy-{VERSION}.tgz"
            chart.write_bytes(pack(contents(Plan(ROOT, tmp_path, VERSION, "", 0), VERSION), 0))
            helm = Helm(tmp_path / "home", tmp_path / "ca.pem")
            helm.must("login", host, ADMIN, stdin=ADMIN_PASSWORD)
            helm.must("push", str(chart), f"oci://{host}/charts")
            (tmp_path / "pulled").mkdir()
            helm.must("pull", f"oci://{host}/charts/authproxy", VERSION, str(tmp_path / "pulled"))
            assert (tmp_path / "pulled" / chart.name).read_bytes() == chart.read_bytes()
            assert "warning" not in server.output
        finally:
            server.stop()
