"""The Helm chart: what it makes is valid, every value has its effect, and values that have none are refused."""

import base64
import json
import re
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import helm_python as helm
import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from cryptography import x509

import authproxy
from authproxy.config.deprecated import RENAMED
from authproxy.config.document.schema import fields_of
from authproxy.config.load import load
from authproxy.config.sections.http import Http
from authproxy.config.settings import Settings
from authproxy.config.unsupported import UNSUPPORTED
from tests.deploy.chart import FOLDER, NAMESPACE, RELEASE, Objects, merged, notes, render, sources
from tests.support.binaries import ROOT

# From the oldest that Chart.yaml admits to the newest that the schemas know.
VERSIONS = ("1.27", kubernetes_validate.latest_version())
# Kinds of other projects, of which there is no schema here.
FOREIGN = {"Certificate", "ServiceMonitor", "TLSRoute", "HTTPRoute"}
HOST = "registry.example.com"
DIGEST = "sha256:" + "a" * 64

DEPLOYMENT = ("Deployment", "authproxy")
SERVICE = ("Service", "authproxy")


def pod(objects: Objects) -> Any:
    return objects[DEPLOYMENT]["spec"]["template"]["spec"]


def container(objects: Objects) -> Any:
    return pod(objects)["containers"][0]


def annotations(objects: Objects) -> Any:
    return objects[DEPLOYMENT]["spec"]["template"]["metadata"].get("annotations", {})


def volume(objects: Objects, name: str) -> Any:
    return next(volume for volume in pod(objects)["volumes"] if volume["name"] == name)


def config(objects: Objects) -> Any:
    return yaml.safe_load(objects["ConfigMap", "authproxy-config"]["data"]["config.yml"])


def policy(objects: Objects) -> Any:
    return objects["NetworkPolicy", "authproxy"]["spec"]


def certificate(objects: Objects) -> x509.Certificate:
    secret = objects["Secret", "authproxy-tls"]["data"]
    return x509.load_pem_x509_certificate(base64.b64decode(secret["tls.crt"]))


def names(objects: Objects) -> list[str]:
    found = certificate(objects).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))]


class Value(NamedTuple):
    """A value that is set, where its effect shows, and what shows there."""

    path: str
    value: Any
    seen: Callable[[Objects], Any]
    expected: Any
    beside: dict[str, Any] = {}  # noqa: RUF012 - read only

    @property
    def values(self) -> dict[str, Any]:
        return merged(self.beside, at(self.path, self.value))


def at(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    return value  # type: ignore[no-any-return]


BEHIND = {"tls": {"enabled": False}, "host": HOST}
INGRESS = BEHIND | {"ingress": {"enabled": True}}
GATEWAY: dict[str, Any] = {"host": HOST, "gateway": {"enabled": True, "parentRefs": [{"name": "public"}]}}
CERT_MANAGER: dict[str, Any] = {"tls": {"certManager": {"enabled": True, "issuerRef": {"name": "letsencrypt"}}}}
MONITORED: dict[str, Any] = {"serviceMonitor": {"enabled": True}}
MANY = {
    "persistence": {
        "registry": {"accessModes": ["ReadWriteMany"]},
        "state": {"accessModes": ["ReadWriteMany"]},
    }
}
BALANCED: dict[str, Any] = {"service": {"type": "LoadBalancer"}}
UPSTREAM: dict[str, Any] = {"url": "http://registry.other.svc:5000"}
ANYONE = [{"ipBlock": {"cidr": "192.0.2.0/24"}}]


def kind(wanted: str, name: str = "authproxy") -> Callable[[Objects], Any]:
    return lambda objects: objects.get((wanted, name))


def of(key: tuple[str, str], seen: Callable[[Any], Any]) -> Callable[[Objects], Any]:
    return lambda objects: seen(objects[key])


def claimed(mount: str) -> Callable[[Objects], Any]:
    return lambda objects: volume(objects, mount)["persistentVolumeClaim"]["claimName"]


def mounts(objects: Objects) -> list[str]:
    found = sorted(each["name"] for each in container(objects)["volumeMounts"])
    assert found == sorted(each["name"] for each in pod(objects)["volumes"])
    return found


def threshold(probe: str) -> Callable[[Objects], Any]:
    return lambda objects: container(objects)[f"{probe}Probe"]["failureThreshold"]


def monitor(objects: Objects) -> Any:
    return objects["ServiceMonitor", "authproxy"]["spec"]["endpoints"][0]


def claim_rows(part: str, mount: str) -> list[Value]:
    key = ("PersistentVolumeClaim", f"authproxy-{part}")
    path = f"persistence.{part}"
    return [
        Value(f"{path}.size", "7Gi", lambda o: o[key]["spec"]["resources"]["requests"]["storage"], "7Gi"),
        Value(f"{path}.storageClass", "fast", lambda o: o[key]["spec"]["storageClassName"], "fast"),
        Value(f"{path}.storageClass", "-", lambda o: o[key]["spec"]["storageClassName"], ""),
        Value(f"{path}.existingClaim", "mine", claimed(mount), "mine"),
        Value(f"{path}.existingClaim", "mine", kind(*key), None),
        Value(f"{path}.accessModes", ["ReadWriteMany"], lambda o: o[key]["spec"]["accessModes"], ["ReadWriteMany"]),
        Value(f"{path}.annotations", {"a": "b"}, lambda o: o[key]["metadata"]["annotations"]["a"], "b"),
    ]


VALUES = [
    Value("host", HOST, lambda o: config(o)["token"]["service"], HOST),
    Value("host", HOST, lambda o: config(o)["token"]["issuer"], HOST),
    Value("host", HOST, lambda o: HOST in names(o), True),
    Value("host", HOST, lambda o: config(o)["http"]["host"], f"https://{HOST}", INGRESS),
    Value("image.repository", "registry.example.com:5000/a", lambda o: container(o)["image"],
          f"registry.example.com:5000/a:{authproxy.__version__}"),
    Value("image.tag", "edge", lambda o: container(o)["image"], "authproxy:edge"),
    Value("image.digest", DIGEST, lambda o: container(o)["image"], f"authproxy:{authproxy.__version__}@{DIGEST}"),
    Value("image.pullPolicy", "Always", lambda o: container(o)["imagePullPolicy"], "Always"),
    Value("imagePullSecrets", [{"name": "pull"}], lambda o: pod(o)["imagePullSecrets"], [{"name": "pull"}]),
    Value("nameOverride", "hub", lambda o: ("Deployment", "authproxy-hub") in o, True),
    Value("fullnameOverride", "hub", lambda o: ("Deployment", "hub") in o, True),
    Value("replicaCount", 3, lambda o: o[DEPLOYMENT]["spec"]["replicas"], 3, MANY),
    Value("persistence", MANY["persistence"], lambda o: o[DEPLOYMENT]["spec"]["strategy"]["type"], "RollingUpdate"),
    Value("strategy", {"type": "RollingUpdate"}, lambda o: o[DEPLOYMENT]["spec"]["strategy"]["type"], "RollingUpdate"),
    Value("config.log.level", "debug", lambda o: config(o)["log"]["level"], "debug"),
    Value("config.audit", None, lambda o: "audit" in config(o), False),
    Value("config.upstream", UPSTREAM, lambda o: "storage" in config(o), False),
    Value("config.upstream", UPSTREAM, kind("PersistentVolumeClaim", "authproxy-registry"), None),
    Value("config.upstream", UPSTREAM, mounts, ["admin", "authproxy", "certs", "config", "policies", "tmp"]),
    Value("config.upstream", UPSTREAM, lambda o: o[DEPLOYMENT]["spec"]["strategy"]["type"], "RollingUpdate",
          {"persistence": {"state": {"accessModes": ["ReadWriteMany"]}}}),
    Value("config.x-anything", {"a": 1}, lambda o: config(o)["x-anything"], {"a": 1}),
    Value("config.token.service", "x", lambda o: config(o)["token"]["service"], "x"),
    Value("config.identities", [{"users": {"path": "/a"}}], lambda o: config(o)["identities"][2:],
          [{"users": {"path": "/a"}}]),
    Value("config.limits", {"requesthead": 10485760}, lambda o: config(o)["limits"]["requesthead"], 10485760),
    Value("config.http.host", "https://a.example", lambda o: config(o)["http"]["host"], "https://a.example", INGRESS),
    Value("existingConfigMap", "mine", lambda o: volume(o, "config")["configMap"]["name"], "mine"),
    Value("existingConfigMap", "mine", kind("ConfigMap", "authproxy-config"), None),
    Value("existingConfigMap", "mine", annotations, {}),
    Value("policies", {"a.yaml": "version: 1\n"}, lambda o: o["ConfigMap", "authproxy-policies"]["data"],
          {"a.yaml": "version: 1\n"}),
    Value("existingPoliciesConfigMap", "mine", lambda o: volume(o, "policies")["configMap"]["name"], "mine"),
    Value("existingPoliciesConfigMap", "mine", kind("ConfigMap", "authproxy-policies"), None),
    Value("admin.existingSecret", "first", lambda o: volume(o, "admin")["secret"]["secretName"], "first"),
    Value("admin.existingSecret", "first", kind("Secret", "authproxy-admin"), None),
    Value("admin.key", "pw", lambda o: volume(o, "admin")["secret"]["items"], [{"key": "pw", "path": "password"}]),
    Value("admin.key", "pw", lambda o: list(o["Secret", "authproxy-admin"]["data"]), ["pw"]),
    Value("users.existingSecret", "mine", lambda o: volume(o, "users")["secret"]["secretName"], "mine"),
    Value("users.existingSecret", "mine", kind("Secret", "authproxy-admin"), None),
    Value("users.existingSecret", "mine", lambda o: config(o)["identities"][0]["htpasswd"]["path"],
          "/etc/authproxy/users/htpasswd"),
    Value("tls.enabled", False, lambda o: "tls" in config(o)["http"], False),
    Value("tls.enabled", False, lambda o: [key for key in o if key[1].endswith(("-tls", "-ca"))], []),
    Value("tls.enabled", False, lambda o: o[SERVICE]["spec"]["ports"][0]["name"], "http"),
    Value("tls.existingSecret", "mine", lambda o: volume(o, "certs")["secret"]["secretName"], "mine"),
    Value("tls.existingSecret", "mine", lambda o: [key for key in o if key[1].endswith(("-tls", "-ca"))], []),
    Value("tls.certManager.enabled", True, lambda o: o["Certificate", "authproxy"]["spec"]["secretName"],
          "authproxy-tls", CERT_MANAGER),
    Value("tls.certManager.enabled", True, kind("Secret", "authproxy-tls"), None, CERT_MANAGER),
    Value("tls.certManager.issuerRef", {"name": "a", "kind": "ClusterIssuer"},
          lambda o: o["Certificate", "authproxy"]["spec"]["issuerRef"], {"name": "a", "kind": "ClusterIssuer"},
          CERT_MANAGER),
    Value("tls.names", ["b.example"], lambda o: o["Certificate", "authproxy"]["spec"]["dnsNames"], [HOST, "b.example"],
          CERT_MANAGER | {"host": HOST}),
    Value("tls.names", ["b.example"], lambda o: "b.example" in names(o), True),
    Value("tls.addresses", ["192.0.2.7"], lambda o: "192.0.2.7" in names(o), True),
    Value("tls.addresses", ["192.0.2.7"], lambda o: o["Certificate", "authproxy"]["spec"]["ipAddresses"],
          ["192.0.2.7"], CERT_MANAGER),
    Value("persistence.enabled", False, lambda o: volume(o, "registry"), {"name": "registry", "emptyDir": {}}),
    Value("persistence.enabled", False, lambda o: [key for key in o if key[0] == "PersistentVolumeClaim"], []),
    *(
        Value("persistence.keep", False, of(key, lambda each: each["metadata"].get("annotations")), None)
        for key in (
            ("PersistentVolumeClaim", "authproxy-registry"),
            ("PersistentVolumeClaim", "authproxy-state"),
            ("Secret", "authproxy-admin"),
            ("Secret", "authproxy-ca"),
        )
    ),
    *claim_rows("registry", "registry"),
    *claim_rows("state", "authproxy"),
    Value("service.type", "NodePort", lambda o: o[SERVICE]["spec"]["type"], "NodePort"),
    Value("service.port", 8443, lambda o: o[SERVICE]["spec"]["ports"][0]["port"], 8443),
    Value("service.port", 8443, lambda o: backend(o)["port"]["number"], 8443, INGRESS),
    Value("service.nodePort", 30443, lambda o: o[SERVICE]["spec"]["ports"][0]["nodePort"], 30443,
          {"service": {"type": "NodePort"}}),
    Value("service.annotations", {"a": "b"}, lambda o: o[SERVICE]["metadata"]["annotations"], {"a": "b"}),
    Value("service.externalTrafficPolicy", "Local", lambda o: o[SERVICE]["spec"]["externalTrafficPolicy"], "Local",
          BALANCED),
    Value("service.loadBalancerIP", "192.0.2.7", lambda o: o[SERVICE]["spec"]["loadBalancerIP"], "192.0.2.7", BALANCED),
    Value("service.loadBalancerClass", "a/b", lambda o: o[SERVICE]["spec"]["loadBalancerClass"], "a/b", BALANCED),
    Value("service.loadBalancerSourceRanges", ["192.0.2.0/24"], lambda o:
          o[SERVICE]["spec"]["loadBalancerSourceRanges"], ["192.0.2.0/24"], BALANCED),
    Value("ingress.enabled", True, lambda o: o["Ingress", "authproxy"]["spec"]["rules"][0]["host"], HOST, BEHIND),
    Value("ingress.className", "nginx", lambda o: o["Ingress", "authproxy"]["spec"]["ingressClassName"], "nginx",
          INGRESS),
    Value("ingress.annotations", {"a": "b"}, lambda o: o["Ingress", "authproxy"]["metadata"]["annotations"],
          {"a": "b"}, INGRESS),
    Value("ingress.hosts", ["a.example", "b.example"], lambda o:
          [rule["host"] for rule in o["Ingress", "authproxy"]["spec"]["rules"]], ["a.example", "b.example"], INGRESS),
    Value("ingress.hosts", ["a.example"], lambda o: config(o)["http"]["host"], "https://a.example",
          INGRESS | {"host": ""}),
    Value("ingress.tls", [{"secretName": "x"}], lambda o: o["Ingress", "authproxy"]["spec"]["tls"],
          [{"secretName": "x"}], INGRESS),
    Value("gateway.enabled", True, lambda o: o["TLSRoute", "authproxy"]["spec"]["hostnames"], [HOST], GATEWAY),
    Value("gateway.kind", "HTTPRoute", lambda o: o["HTTPRoute", "authproxy"]["apiVersion"],
          "gateway.networking.k8s.io/v1", merged(GATEWAY, BEHIND)),
    Value("gateway.kind", "HTTPRoute", lambda o: config(o)["http"]["host"], f"https://{HOST}", merged(GATEWAY, BEHIND)),
    Value("gateway.annotations", {"a": "b"}, lambda o: o["TLSRoute", "authproxy"]["metadata"]["annotations"],
          {"a": "b"}, GATEWAY),
    Value("gateway.parentRefs", [{"name": "x", "namespace": "y"}], lambda o:
          o["TLSRoute", "authproxy"]["spec"]["parentRefs"], [{"name": "x", "namespace": "y"}], GATEWAY),
    Value("gateway.hostnames", ["a.example"], lambda o: o["TLSRoute", "authproxy"]["spec"]["hostnames"], ["a.example"],
          GATEWAY),
    Value("networkPolicy.enabled", False, kind("NetworkPolicy"), None),
    Value("networkPolicy.from", ANYONE, lambda o: policy(o)["ingress"][0]["from"], ANYONE),
    Value("networkPolicy.metricsFrom", ANYONE, lambda o: policy(o)["ingress"][1]["from"], ANYONE),
    Value("networkPolicy.metricsFrom", [], lambda o: len(policy(o)["ingress"]), 1),
    Value("networkPolicy.egress", [{"ports": [{"port": 53}]}], lambda o: policy(o)["egress"],
          [{"ports": [{"port": 53}]}]),
    Value("podDisruptionBudget.enabled", False, kind("PodDisruptionBudget"), None),
    Value("podDisruptionBudget.maxUnavailable", "25%", lambda o:
          o["PodDisruptionBudget", "authproxy"]["spec"]["maxUnavailable"], "25%"),
    Value("serviceMonitor.enabled", True, lambda o: monitor(o)["path"], "/metrics"),
    Value("serviceMonitor.interval", "1m", lambda o: monitor(o)["interval"], "1m", MONITORED),
    Value("serviceMonitor.scrapeTimeout", "5s", lambda o: monitor(o)["scrapeTimeout"], "5s", MONITORED),
    Value("serviceMonitor.labels", {"release": "p"}, lambda o:
          o["ServiceMonitor", "authproxy"]["metadata"]["labels"]["release"], "p", MONITORED),
    Value("serviceAccount.create", False, lambda o: pod(o)["serviceAccountName"], "default"),
    Value("serviceAccount.create", False, kind("ServiceAccount"), None),
    Value("serviceAccount.name", "mine", lambda o: pod(o)["serviceAccountName"], "mine"),
    Value("serviceAccount.annotations", {"a": "b"}, lambda o:
          o["ServiceAccount", "authproxy"]["metadata"]["annotations"], {"a": "b"}),
    *(
        Value(f"{which}Probe", {"failureThreshold": 9}, threshold(which), 9)
        for which in ("startup", "readiness", "liveness")
    ),
    Value("resources.limits.memory", "1Gi", lambda o: container(o)["resources"]["limits"]["memory"], "1Gi"),
    Value("podSecurityContext.fsGroup", 1000, lambda o: pod(o)["securityContext"]["fsGroup"], 1000),
    Value("podSecurityContext", dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup")), lambda o:
          sorted(pod(o)["securityContext"]), ["fsGroupChangePolicy", "runAsNonRoot", "seccompProfile"]),
    Value("securityContext.runAsUser", 1000, lambda o: container(o)["securityContext"]["runAsUser"], 1000),
    Value("terminationGracePeriodSeconds", 9, lambda o: pod(o)["terminationGracePeriodSeconds"], 9),
    Value("priorityClassName", "high", lambda o: pod(o)["priorityClassName"], "high"),
    Value("nodeSelector", {"a": "b"}, lambda o: pod(o)["nodeSelector"], {"a": "b"}),
    Value("tolerations", [{"key": "a"}], lambda o: pod(o)["tolerations"], [{"key": "a"}]),
    Value("affinity", {"nodeAffinity": {}}, lambda o: pod(o)["affinity"], {"nodeAffinity": {}}),
    Value("topologySpreadConstraints",
          [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
          lambda o: pod(o)["topologySpreadConstraints"][0]["topologyKey"], "zone"),
    Value("podAnnotations", {"a": "b"}, lambda o: annotations(o)["a"], "b"),
    Value("podLabels", {"a": "b"}, lambda o: o[DEPLOYMENT]["spec"]["template"]["metadata"]["labels"]["a"], "b"),
    Value("extraEnv", [{"name": "A", "value": "b"}], lambda o: container(o)["env"][-1], {"name": "A", "value": "b"}),
    Value("extraVolumes", [{"name": "a", "emptyDir": {}}], lambda o: pod(o)["volumes"][-1],
          {"name": "a", "emptyDir": {}}),
    Value("extraVolumeMounts", [{"name": "tmp", "mountPath": "/a"}], lambda o: container(o)["volumeMounts"][-1],
          {"name": "tmp", "mountPath": "/a"}),
]  # fmt: skip


def backend(objects: Objects) -> Any:
    return objects["Ingress", "authproxy"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]


@pytest.mark.parametrize("row", VALUES, ids=lambda row: f"{row.path}={row.value}")
def test_a_value_has_its_effect(row: Value) -> None:
    assert row.seen(render(row.values)) == row.expected
    if row.values == row.beside:
        return  # it is already set, and what it makes is the effect
    try:
        without = row.seen(render(row.beside))
    except (helm.HelmError, KeyError, IndexError, StopIteration):
        return  # what it changes is not there without it
    assert without != row.expected, "the default shows the same"


def leaves(node: Any, path: str = "") -> set[str]:
    """The paths of the values that can be set, config and Kubernetes' own maps as one each."""
    whole = {"config", "policies", "resources", "podSecurityContext", "securityContext"}
    if isinstance(node, dict) and node and path not in whole and not path.endswith("Probe"):
        return {leaf for key, value in node.items() for leaf in leaves(value, f"{path}.{key}".strip("."))}
    return {path}


def test_every_value_has_a_row() -> None:
    tested = {row.path for row in VALUES}
    defaults = leaves(yaml.safe_load((FOLDER / "values.yaml").read_text()))
    assert {path for path in defaults if not any(f"{row}.".startswith(f"{path}.") for row in tested)} == set()


@cache
def check(text: str, version: str) -> None:
    """Most objects are the same whatever is set. Raises kubernetes_validate.ValidationError."""
    kubernetes_validate.validate(json.loads(text), version, strict=True)


@pytest.mark.parametrize("values", [{}, *(row.values for row in VALUES)], ids=lambda values: json.dumps(values)[:80])
def test_every_object_is_one_of_kubernetes(values: dict[str, Any]) -> None:
    for each in render(values).values():
        assert each["metadata"].get("namespace") == NAMESPACE
        if each["kind"] == "Secret":
            each["data"] = dict.fromkeys(each["data"], "YQ==")
        if each["kind"] not in FOREIGN:
            for version in VERSIONS if values == {} else VERSIONS[:1]:
                check(json.dumps(each), version)


def test_helm_finds_nothing_to_say_about_the_chart() -> None:
    report = helm.lint(FOLDER, strict=True)
    said = [message["error"] for message in report["messages"]]
    assert (said, report["errors"]) == (["icon is recommended"], [])


def test_the_chart_has_the_version_of_the_program() -> None:
    chart = yaml.safe_load((FOLDER / "Chart.yaml").read_text())
    assert (chart["version"], str(chart["appVersion"])) == (authproxy.__version__, authproxy.__version__)


def test_the_schema_is_one_and_knows_exactly_the_values() -> None:
    schema = json.loads((FOLDER / "values.schema.json").read_text())
    # Helm before 3.18 knows no later draft.
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert set(schema["properties"]) - {"global"} == set(yaml.safe_load((FOLDER / "values.yaml").read_text()))


def test_the_default_policies_are_those_of_the_embedded_default() -> None:
    default = (ROOT / "policies/default.yaml").read_text()
    assert render()["ConfigMap", "authproxy-policies"]["data"] == {"default.yaml": default}


def test_the_default_configuration_is_that_of_deploy() -> None:
    """But for the port, which the Deployment sets as a variable, and the name of the service."""
    ours = yaml.safe_load((ROOT / "deploy/config.yml").read_text())
    chart = config(render({"host": HOST}))
    assert ours["http"].pop("addr") == ":443"
    assert chart.pop("version") == str(ours.pop("version"))
    assert chart == ours


READ = [{}, INGRESS, {"users": {"existingSecret": "mine"}}, {"config": {"upstream": UPSTREAM}}]


@pytest.mark.parametrize("values", READ, ids=str)
def test_the_configuration_is_one_that_the_server_reads(values: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(render(values)["ConfigMap", "authproxy-config"]["data"]["config.yml"])
    environ = {entry["name"]: entry["value"] for entry in container(render(values))["env"]}
    loaded = load(tmp_path / "config.yml", environ)
    assert loaded.warnings == ()


REFUSED = [
    ({"imgae": {}}, "additional properties 'imgae' not allowed"),
    ({"image": {"repo": "x"}}, "additional properties 'repo' not allowed"),
    ({"host": "https://registry.example.com"}, "/host"),
    ({"replicaCount": "2"}, "got string, want integer"),
    ({"service": {"type": "ExternalName"}}, "/service/type"),
    ({"persistence": {"state": {"accessModes": ["ReadOnlyMany"]}}}, "/persistence/state/accessModes/0"),
    ({"networkPolicy": {"egress": [{}]}}, "minProperties"),
    ({"networkPolicy": {"from": [{}]}}, "minProperties"),
    ({"admin": {"password": "x"}}, "additional properties 'password' not allowed"),
    ({"config": {"http": {"addr": ":443"}}}, "config.http.addr: the chart sets it"),
    ({"config": {"http": {"debug": {"addr": ":1"}}}}, "config.http.debug: the chart sets it"),
    ({"config": {"http": {"tls": {"key": "/a"}}}}, "config.http.tls.key: the chart sets it; name the Secret in tls"),
    ({"config": {"http": {"secret": "hush"}}}, "config.http.secret: everyone who may read ConfigMaps"),
    (
        {"config": {"audit": {"webhook": {"headers": {"Authorization": ["Bearer x"]}}}}},
        "config.audit.webhook.headers.Authorization: everyone",
    ),
    ({"extraEnv": [{"value": "x"}]}, "missing property 'name'"),
    ({"policies": {"a.txt": ""}}, "its name has to end in .yaml"),
    ({"policies": {"../a.yaml": ""}}, "is no file of policies"),
    ({"policies": {"a.yaml": ""}, "existingPoliciesConfigMap": "b"}, "policies has no effect beside"),
    ({"admin": {"existingSecret": "a"}, "users": {"existingSecret": "b"}}, "admin.existingSecret has no effect"),
    ({"users": {"existingSecret": "b"}, "config": {"token": None}}, "users.existingSecret has no effect without"),
    (merged(CERT_MANAGER, {"tls": {"existingSecret": "a"}}), "tls.existingSecret has no effect beside"),
    ({"tls": {"enabled": False, "existingSecret": "a"}}, "have no effect with tls.enabled: false"),
    ({"tls": {"certManager": {"enabled": True}}}, "tls.certManager.issuerRef.name: which issuer signs"),
    ({"ingress": {"enabled": True}}, "ingress.enabled: set host, or ingress.hosts"),
    ({"gateway": {"enabled": True}}, "gateway.enabled: set host, or gateway.hostnames"),
    ({"host": HOST, "gateway": {"enabled": True}}, "gateway.parentRefs: name the Gateway"),
    (merged(GATEWAY, {"gateway": {"kind": "HTTPRoute"}}), "set tls.enabled to false, or take TLSRoute"),
    (merged(GATEWAY, {"tls": {"enabled": False}}), "set tls.enabled to true, or take HTTPRoute"),
    (
        {"existingConfigMap": "a", "config": {"log": {"level": "debug"}}},
        "config has no effect beside existingConfigMap",
    ),
    ({"existingConfigMap": "a", "config": {"audit": None}}, "config has no effect beside existingConfigMap"),
    (
        {"config": {"upstream": UPSTREAM, "storage": {"inmemory": {}}}},
        "config.storage has no effect with config.upstream",
    ),
    (
        {"config": {"upstream": UPSTREAM}, "persistence": {"registry": {"existingClaim": "a"}}},
        "persistence.registry.existingClaim has no effect with config.upstream",
    ),
    *(
        ({"persistence": {"enabled": False, part: {"existingClaim": "a"}}}, f"{part}.existingClaim has no effect")
        for part in ("registry", "state")
    ),
    ({"tls": {"existingSecret": "a", "names": ["b.example"]}}, "tls.names has no effect"),
    ({"tls": {"enabled": False, "addresses": ["192.0.2.7"]}}, "tls.addresses has no effect"),
    ({"tls": {"certManager": {"issuerRef": {"name": "a"}}}}, "issuerRef has no effect without tls.certManager.enabled"),
    ({"ingress": {"hosts": ["a.example"]}}, "ingress.hosts has no effect without ingress.enabled"),
    ({"ingress": {"tls": [{"secretName": "a"}]}}, "ingress.tls has no effect without ingress.enabled"),
    ({"gateway": {"parentRefs": [{"name": "a"}]}}, "gateway.parentRefs has no effect without gateway.enabled"),
    ({"networkPolicy": {"enabled": False, "from": ANYONE}}, "networkPolicy.from has no effect without"),
    ({"serviceMonitor": {"labels": {"a": "b"}}}, "serviceMonitor.labels has no effect without serviceMonitor.enabled"),
    ({"podLabels": {"app.kubernetes.io/instance": "a"}}, "podLabels: app.kubernetes.io/instance: the chart sets it"),
    ({"service": {"nodePort": 30443}}, "service.nodePort has no effect with service.type ClusterIP"),
    ({"service": {"externalTrafficPolicy": "Local"}}, "service.externalTrafficPolicy has no effect with service.type"),
    ({"service": {"type": "NodePort", "loadBalancerIP": "192.0.2.7"}}, "service.loadBalancerIP has no effect with"),
    ({"config": {"htpp": {}}}, "at '/config': additional properties 'htpp' not allowed"),
    ({"config": {"http": {"hots": "x"}}}, "at '/config/http': additional properties 'hots' not allowed"),
    ({"config": {"http": {"x-a": 1}}}, "at '/config/http': additional properties 'x-a' not allowed"),
    ({"config": {"upstreams": ["a"]}}, "at '/config/upstreams/0': got string, want object"),
    ({"config": {"token": True}}, "at '/config/token': got boolean"),
    *(({part: None}, f"missing property '{part}'") for part in ("config", "persistence", "tls")),
    ({"replicaCount": 2}, r"several pods need persistence.registry.accessModes: \[ReadWriteMany\]"),
    ({"replicaCount": 2, "persistence": {"enabled": False}}, "each pod would have a registry of its own"),
]


@pytest.mark.parametrize(("values", "reason"), REFUSED, ids=[str(values) for values, _ in REFUSED])
def test_values_without_an_effect_or_a_meaning_are_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(helm.HelmError, match=reason):
        render(values)


FROM_SECRET = {"secretKeyRef": {"name": "mine", "key": "secret"}}


@pytest.mark.parametrize("keyword", ["basic", "bearer", "mint", "pass"])
def test_the_keywords_of_authorization_are_no_secrets(keyword: str) -> None:
    shown = config(render({"config": {"upstream": UPSTREAM | {"authorization": keyword}}}))
    assert shown["upstream"]["authorization"] == keyword
    several = [UPSTREAM | {"match": "**", "authorization": keyword}]
    assert config(render({"config": {"upstreams": several}}))["upstreams"] == several


SECRET_KEYS = [
    ({"audit": {"webhook": {"headers": {"X-Api-Key": ["x"]}}}}, "config.audit.webhook.headers.X-Api-Key"),
    (
        {"health": {"http": [{"uri": "http://a", "headers": {"X-Key": ["x"]}}]}},
        r"config.health.http\[0\].headers.X-Key",
    ),
    ({"http": {"headers": {"Set-Cookie": ["x"]}}}, "config.http.headers.Set-Cookie"),
    ({"redis": {"password": "x"}}, "config.redis.password"),
    ({"storage": {"s3": {"secretkey": "x"}}}, "config.storage.s3.secretkey"),
    ({"upstream": {"url": "https://robot:x@registry.example.com"}}, "config.upstream.url"),
    ({"audit": {"webhook": {"url": "https://x@log.example.com/a"}}}, "config.audit.webhook.url"),
]


@pytest.mark.parametrize(("given", "path"), SECRET_KEYS, ids=[path for _, path in SECRET_KEYS])
def test_no_secret_is_taken_into_the_config_map(given: dict[str, Any], path: str) -> None:
    with pytest.raises(helm.HelmError, match=f"{path}: everyone who may read ConfigMaps could read it"):
        render({"config": given})


SECRET_VARIABLES = [
    ("REGISTRY_HTTP_SECRET", "x"),
    ("REGISTRY_HTTP", "{secret: x}"),
    ("REGISTRY_HTTP", "prefix: /\nsecret: x"),
    ("REGISTRY_HEALTH_HTTP", "[{uri: http://a, headers: {X-Key: [x]}}]"),
    ("REGISTRY_AUDIT_WEBHOOK_HEADERS", "{Authorization: [x]}"),
    ("REGISTRY_AUDIT_WEBHOOK_HEADERS_AUTHORIZATION", "[x]"),
    ("REGISTRY_AUDIT_WEBHOOK", "{headers: {X-Key: [x]}}"),
    ("REGISTRY_HEALTH_HTTP_0_HEADERS_X_KEY", "x"),
    ("REGISTRY_REDIS_PASSWORD", "x"),
    ("HTTPS_PROXY", "http://robot:x@proxy.example.com:3128"),
]


@pytest.mark.parametrize(("name", "value"), SECRET_VARIABLES)
def test_a_secret_of_a_variable_comes_from_a_secret(name: str, value: str) -> None:
    with pytest.raises(helm.HelmError, match=f"extraEnv: {name}: .* use valueFrom.secretKeyRef instead of value"):
        render({"extraEnv": [{"name": name, "value": value}]})
    entry = {"name": name, "valueFrom": FROM_SECRET}
    assert container(render({"extraEnv": [entry]}))["env"][-1] == entry


@pytest.mark.parametrize("entry", [{"value": "x"}, {"valueFrom": FROM_SECRET}], ids=str)
def test_the_admins_password_is_a_file(entry: dict[str, Any]) -> None:
    with pytest.raises(helm.HelmError, match=r"extraEnv: AUTHPROXY_ADMIN_PASSWORD: .* admin.existingSecret"):
        render({"extraEnv": [{"name": "AUTHPROXY_ADMIN_PASSWORD", **entry}]})


PLAIN_VARIABLES = [
    ("REGISTRY_HTTP_SECRET_FILE", "/run/secrets/a"),
    ("REGISTRY_UPSTREAM_AUTHORIZATION", "basic"),
    ("REGISTRY_UPSTREAM_URL", "http://registry.other.svc:5000/a@b"),
    ("REGISTRY_LOG_LEVEL", "{a: ["),
]


@pytest.mark.parametrize(("name", "value"), PLAIN_VARIABLES)
def test_other_variables_have_a_plain_value(name: str, value: str) -> None:
    entry = {"name": name, "value": value}
    assert container(render({"extraEnv": [entry]}))["env"][-1] == entry


def test_a_variable_that_the_chart_sets_is_refused() -> None:
    ours = [entry["name"] for entry in container(render())["env"]]
    assert len(ours) == 4
    for name in ours:
        with pytest.raises(helm.HelmError, match=f"extraEnv: {name}: the chart sets it"):
            render({"extraEnv": [{"name": name, "valueFrom": FROM_SECRET}]})


def test_a_registry_of_our_own_among_upstreams_keeps_its_volume() -> None:
    entries = [UPSTREAM | {"match": "a/**"}, {"match": "**", "backend": "core"}]
    objects = render({"config": {"upstreams": entries}})
    assert "storage" in config(objects)
    assert ("PersistentVolumeClaim", "authproxy-registry") in objects
    assert "storage" not in config(render({"config": {"upstreams": entries[:1]}}))


def test_the_templates_know_the_default_configuration() -> None:
    values = yaml.safe_load((FOLDER / "values.yaml").read_text())
    assert yaml.safe_load((FOLDER / "files/config.yaml").read_text()) == values["config"]


def test_the_schema_knows_the_keys_of_the_configuration() -> None:
    """The model's, and those of CNCF Distribution of which the server says itself what they mean here."""
    schema = json.loads((FOLDER / "values.schema.json").read_text())["properties"]["config"]
    foreign = [*(key.path for key in UNSUPPORTED), *(old for old, _ in RENAMED)]
    assert set(schema["properties"]) == {*fields_of(Settings), *(path[0] for path in foreign)}
    http = {*fields_of(Http), *(path[1] for path in foreign if path[0] == "http")}
    assert set(schema["properties"]["http"]["properties"]) == http
    assert schema["additionalProperties"] is schema["properties"]["http"]["additionalProperties"] is False


def every_path(node: Any, path: tuple[str, ...] = ()) -> list[str]:
    below = (
        [found for key, value in node.items() for found in every_path(value, (*path, key))]
        if isinstance(node, dict)
        else []
    )
    return [*([".".join(path)] if path else []), *below]


@pytest.mark.parametrize("path", every_path(yaml.safe_load((FOLDER / "values.yaml").read_text())))
def test_null_is_a_default_or_an_error_that_names_the_value(path: str) -> None:
    try:
        render(at(path, None))
        notes(at(path, None))
    except helm.HelmValuesError as error:
        assert f"missing property '{path.rpartition('.')[2]}'" in str(error)


def test_a_start_does_not_wait_for_checks_or_the_end_of_a_maintenance() -> None:
    probes = {
        kind: container(render())[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")
    }
    assert probes == {"startup": "/livez", "readiness": "/readyz", "liveness": "/livez"}


# What is abused is a value; what it must not become is another field, another object or a template.
HOSTILE = 'x"\n---\nkind: Secret\n{{ .Release.Name }}: {{ fail "evaluated" }} # ${PATH} %s'
FREE_TEXT = [
    "service.loadBalancerClass",
    *("service.annotations.a", "serviceAccount.annotations.a", "podAnnotations.a", "podLabels.a", "nodeSelector.a"),
    *("persistence.registry.annotations.a", "policies.a_yaml", "config.log.level"),
]


@pytest.mark.parametrize("path", FREE_TEXT)
def test_a_text_stays_a_text(path: str) -> None:
    values = merged(BALANCED, at(path, HOSTILE))
    if path == "policies.a_yaml":
        values = {"policies": {"a.yaml": HOSTILE}}
    objects = render(values)
    assert set(objects) == set(render())
    found = [config(objects)] if path.startswith("config") else [json.dumps(list(objects.values()))]
    assert any(json.dumps(HOSTILE)[1:-1] in (text if isinstance(text, str) else json.dumps(text)) for text in found)


def strings(node: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of the strings that the schema takes, except below maps that Kubernetes or the server defines."""
    if isinstance(node, dict):
        return [found for key, value in node.items() for found in strings(value, (*path, key))]
    return [path] if isinstance(node, str) else []


@pytest.mark.parametrize("path", strings(yaml.safe_load((FOLDER / "values.yaml").read_text())), ids=".".join)
def test_no_other_string_can_break_out_of_its_place(path: tuple[str, ...]) -> None:
    """Those of names, hosts, sizes and tags by the schema; the others by quotes."""
    try:
        objects = render(merged(BALANCED, at(".".join(path), HOSTILE)))
    except helm.HelmValuesError:
        return
    assert set(objects) == set(render())


def test_no_secret_is_in_a_config_map_and_every_key_is_readable_by_the_pod_alone() -> None:
    objects = render()
    secrets = {
        base64.b64decode(text).decode() for key, each in objects.items() if key[0] == "Secret"
        for name, text in each["data"].items() if name in {"password", "tls.key"}
    }  # fmt: skip
    assert len(secrets) == 3
    open_to_all = json.dumps([each for key, each in objects.items() if key[0] != "Secret"]) + notes()
    assert not [secret for secret in secrets if json.dumps(secret)[1:-1] in open_to_all]
    modes = {name: volume(objects, name)["secret"]["defaultMode"] for name in ("certs", "admin")}
    assert modes == {"certs": 0o440, "admin": 0o440}


def test_the_ca_that_signs_is_mounted_nowhere() -> None:
    assert "authproxy-ca" not in json.dumps(render()[DEPLOYMENT])


def test_no_service_shows_the_metrics_to_clients() -> None:
    objects = render(MONITORED)
    ports = {name: [port["targetPort"] for port in each["spec"]["ports"]]
             for (kind, name), each in objects.items() if kind == "Service"}  # fmt: skip
    assert ports == {"authproxy": ["https"], "authproxy-metrics": ["health"]}
    assert objects["Service", "authproxy-metrics"]["spec"]["clusterIP"] == "None"


def test_the_network_policy_closes_what_no_value_opens() -> None:
    spec = policy(render())
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["egress"] == []
    assert [rule["ports"] for rule in spec["ingress"]] == [[{"port": "https"}], [{"port": "health"}]]
    assert "from" in spec["ingress"][1]


def test_the_own_certificate_has_the_names_of_the_service_and_the_own_ca() -> None:
    objects = render()
    assert names(objects) == [
        *("authproxy", "authproxy.registry", "authproxy.registry.svc", "authproxy.registry.svc.cluster.local"),
        *("localhost", "127.0.0.1"),
    ]
    ca = x509.load_pem_x509_certificate(base64.b64decode(objects["Secret", "authproxy-tls"]["data"]["ca.crt"]))
    certificate(objects).verify_directly_issued_by(ca)


def test_a_change_of_the_configuration_rolls_out_and_one_of_the_policies_does_not() -> None:
    before = annotations(render())["checksum/config"]
    assert annotations(render())["checksum/config"] == before
    assert annotations(render({"config": {"log": {"level": "debug"}}}))["checksum/config"] != before
    assert annotations(render({"policies": {"a.yaml": "version: 1"}}))["checksum/config"] == before


def test_every_password_is_another_one() -> None:
    passwords = {render()["Secret", "authproxy-admin"]["data"]["password"] for _ in range(3)}
    assert len(passwords) == 3
    assert {len(base64.b64decode(password)) for password in passwords} == {24}


@pytest.mark.parametrize("name", ["hub", "authproxy", "my-authproxy", "a" * 53])
def test_a_release_of_any_name_has_names_that_kubernetes_takes(name: str) -> None:
    objects = render(name=name)
    for each in objects.values():
        assert len(each["metadata"]["name"]) <= 63
        kubernetes_validate.validate(each, VERSIONS[0], strict=True)
    full = next(name for kind, name in objects if kind == "Deployment")
    assert name[:50] in full or full.startswith("a" * 50)


def test_two_releases_in_one_namespace_share_nothing() -> None:
    one, two = render(name="one"), render(name="two")
    assert not set(one) & set(two)
    selectors = [o["Service", f"{n}-authproxy"]["spec"]["selector"] for n, o in (("one", one), ("two", two))]
    assert selectors[0] != selectors[1]


def test_the_pod_speaks_for_itself_alone() -> None:
    spec = pod(render())
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    assert render()["ServiceAccount", "authproxy"]["automountServiceAccountToken"] is False


NOTES = [
    ({}, "get secret authproxy-admin -o jsonpath='{.data.password}' | base64 -d"),
    ({}, "docker login localhost:5000"),
    ({}, "port-forward service/authproxy 5000:443"),
    ({}, r"get secret authproxy-tls -o jsonpath='{.data.ca\.crt}'"),
    ({"host": HOST}, f"docker login {HOST}"),
    ({"host": HOST, "service": {"type": "LoadBalancer"}}, f"The address for the DNS entry of {HOST}"),
    ({"admin": {"existingSecret": "mine", "key": "a.b"}}, r"get secret mine -o jsonpath='{.data.a\.b}'"),
    (INGRESS, "config.http.trustedproxies is empty"),
    ({"host": HOST, "ingress": {"enabled": True}}, "nginx.ingress.kubernetes.io/backend-protocol: HTTPS"),
    ({"persistence": {"enabled": False}}, "gone with the pod"),
    ({"host": HOST, "service": {"port": 8443}}, f"docker login {HOST}:8443"),
    ({"host": HOST, "service": {"port": 8443}}, f"/etc/docker/certs.d/{HOST}:8443/ca.crt"),
    ({"host": HOST, "service": {"type": "NodePort", "nodePort": 30443}}, f"docker login {HOST}:30443"),
    ({"host": HOST, "service": {"type": "NodePort"}}, "-o jsonpath='{.spec.ports[0].nodePort}'"),
    (INGRESS | {"service": {"port": 8443}}, f"docker login {HOST}\n"),
    (INGRESS | {"host": "", "ingress": {"enabled": True, "hosts": ["a.example"]}}, "docker login a.example\n"),
    (INGRESS, "Set\nnetworkPolicy.from to the namespace of the Ingress controller."),
    (
        merged(GATEWAY, BEHIND, {"gateway": {"kind": "HTTPRoute"}}),
        "networkPolicy.from to the namespace of the gateway.",
    ),
    (INGRESS, "ingress.tls is empty: nothing terminates TLS"),
    (BEHIND, "neither an Ingress nor an HTTPRoute is in front: nothing terminates TLS"),
    ({"config": {"upstream": UPSTREAM}}, "networkPolicy.egress is empty, so the pods cannot reach config.upstream"),
]


@pytest.mark.parametrize(("values", "said"), NOTES, ids=[said for _, said in NOTES])
def test_the_notes_say_what_to_type_next(values: dict[str, Any], said: str) -> None:
    assert said in notes(values)


SILENT = [
    (INGRESS | {"existingConfigMap": "mine"}, "trustedproxies"),
    (INGRESS | {"networkPolicy": {"from": ANYONE}}, "networkPolicy.from"),
    (merged(INGRESS, {"ingress": {"tls": [{"secretName": "a"}]}}), "terminates TLS"),
    (merged(GATEWAY, BEHIND, {"gateway": {"kind": "HTTPRoute"}}), "terminates TLS"),
    ({"config": {"upstream": UPSTREAM}, "networkPolicy": {"egress": [{"ports": [{"port": 53}]}]}}, "egress"),
    ({}, "networkPolicy"),
]


@pytest.mark.parametrize(("values", "absent"), SILENT, ids=[str(values) for values, _ in SILENT])
def test_the_notes_advise_nothing_that_is_done(values: dict[str, Any], absent: str) -> None:
    assert absent not in notes(values)


def test_the_notes_name_no_secret_that_does_not_exist() -> None:
    text = notes({"users": {"existingSecret": "mine"}, "tls": {"existingSecret": "other"}, "host": HOST})
    assert "get secret" not in text


PAGE = (ROOT / "docs/how-to/run-on-kubernetes.md").read_text().split("## With plain manifests")[0]
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
INSTALLS = [
    line
    for page in (PAGE, (FOLDER / "README.md").read_text())
    for line in re.findall(r"^helm install .*$", page, re.MULTILINE)
]


@pytest.mark.parametrize("values", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_values_of_the_page_make_valid_objects(values: str) -> None:
    for each in render(yaml.safe_load(values)).values():
        if each["kind"] not in FOREIGN:
            kubernetes_validate.validate(each, VERSIONS[0], strict=True)


@pytest.mark.parametrize("line", INSTALLS)
def test_the_lines_of_the_pages_install(line: str) -> None:
    words = line.split()
    assert words[:3] == ["helm", "install", RELEASE]
    assert words[3] in {"deploy/chart", "oci://REGISTRY/charts/authproxy"}
    assert words[words.index("--namespace") + 1] == NAMESPACE
    given = [value for option, value in pairwise(words) if option == "--set"]
    assert given
    assert DEPLOYMENT in render(merged(*map(helm.parse_set_string, given)))


def test_the_example_of_an_ingress_opens_the_pods_to_the_controller_alone() -> None:
    behind = [values for values in map(yaml.safe_load, EXAMPLES) if "ingress" in values]
    assert len(behind) == 1
    assert policy(render(behind[0]))["ingress"][0]["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
    ]
    assert not [word for word in ("networkPolicy", "trustedproxies", "terminates TLS") if word in notes(behind[0])]


def test_the_page_has_examples() -> None:
    assert (len(EXAMPLES), len(INSTALLS)) == (3, 4)


def test_no_template_evaluates_a_value() -> None:
    texts = {file.name: file.read_text() for file in (FOLDER / "templates").iterdir()}
    assert [name for name, text in texts.items() if " tpl " in text] == []
    assert sources()
