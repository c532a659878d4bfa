"""As much of a Kubernetes API as Helm asks for to render a chart for a cluster: discovery, and objects by name."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

# Group and version, kind and its plural, of what the chart makes.
KINDS = {
    "v1": {
        "Secret": "secrets",
        "ConfigMap": "configmaps",
        "Service": "services",
        "ServiceAccount": "serviceaccounts",
        "PersistentVolumeClaim": "persistentvolumeclaims",
    },
    "apps/v1": {"Deployment": "deployments"},
    "policy/v1": {"PodDisruptionBudget": "poddisruptionbudgets"},
    "networking.k8s.io/v1": {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses"},
}
Objects = Mapping[tuple[str, str], Mapping[str, Any]]


@contextmanager
def running_api(objects: Objects, more: Mapping[str, Mapping[str, str]] | None = None) -> Iterator[str]:
    """The URL of an API that has these objects, by kind and name, takes no others, and knows `more` kinds."""
    answers = _discovery({**KINDS, **(more or {})})
    for (kind, name), each in objects.items():
        version = next(version for version, kinds in KINDS.items() if kind in kinds)
        prefix = "/api/v1" if version == "v1" else f"/apis/{version}"
        answers[f"{prefix}/namespaces/{each['metadata']['namespace']}/{KINDS[version][kind]}/{name}"] = each

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            # No schema of any kind, as an empty protobuf message: nothing is validated by it.
            found = b"" if path == "/openapi/v2" else answers.get(path)
            missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound"}
            body = found if isinstance(found, bytes) else json.dumps(found or missing).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _discovery(known: Mapping[str, Mapping[str, str]]) -> dict[str, Mapping[str, Any]]:
    groups = []
    answers: dict[str, Mapping[str, Any]] = {
        "/version": {"major": "1", "minor": "30", "gitVersion": "v1.30.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
    }
    for version, kinds in known.items():
        resources = [
            {"name": plural, "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get", "list", "create"]}
            for kind, plural in kinds.items()
        ]
        path = "/api/v1" if version == "v1" else f"/apis/{version}"
        answers[path] = {"kind": "APIResourceList", "groupVersion": version, "resources": resources}
        if version != "v1":
            name, _, number = version.partition("/")
            here = {"groupVersion": version, "version": number}
            groups.append({"name": name, "versions": [here], "preferredVersion": here})
    answers["/apis"] = {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    return answers
