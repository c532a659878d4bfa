"""What upgrades of a release keep: the admin's password, the own CA, and a certificate that is still right."""

import base64
import time
from typing import Any

import helm_python as helm
import pytest
from cryptography import x509

from tests.deploy.chart import FOLDER, NAMESPACE, RELEASE, Objects, objects_of, render
from tests.support.kubernetes_api import running_api

SECRETS = [("Secret", f"authproxy-{name}") for name in ("admin", "ca", "tls")]
DAY_S = 86_400


@pytest.fixture
def first() -> Objects:
    """The Secrets of an installation, as the cluster has them."""
    owner = {"meta.helm.sh/release-name": RELEASE, "meta.helm.sh/release-namespace": NAMESPACE}
    objects = render()
    for key in SECRETS:
        objects[key]["metadata"]["annotations"] = objects[key]["metadata"].get("annotations", {}) | owner
    return {key: objects[key] for key in SECRETS}


def upgraded(
    existing: Objects, values: dict[str, Any] | None = None, more: dict[str, dict[str, str]] | None = None
) -> Objects:
    """What Helm would apply to a cluster that has these objects, and knows `more` kinds."""
    with (
        running_api(existing, more) as url,
        helm.Config(kube_apiserver=url, namespace=NAMESPACE, storage_driver="memory") as config,
    ):
        release = config.install(str(FOLDER), RELEASE, values, namespace=NAMESPACE, dry_run="server")
    return objects_of(release["manifest"])


def data(objects: Objects, name: str) -> Any:
    return objects["Secret", f"authproxy-{name}"]["data"]


def served(objects: Objects) -> x509.Certificate:
    return x509.load_pem_x509_certificate(base64.b64decode(data(objects, "tls")["tls.crt"]))


def ca(objects: Objects) -> x509.Certificate:
    return x509.load_pem_x509_certificate(base64.b64decode(data(objects, "ca")["tls.crt"]))


def test_an_upgrade_changes_no_secret(first: Objects) -> None:
    after = upgraded(first)
    for name in ("admin", "ca", "tls"):
        assert data(after, name) == data(first, name)
    notes = after["Secret", "authproxy-tls"]["metadata"]["annotations"]
    assert notes["authproxy/issued"] == first["Secret", "authproxy-tls"]["metadata"]["annotations"]["authproxy/issued"]


def test_another_name_gets_a_certificate_of_the_same_ca(first: Objects) -> None:
    after = upgraded(first, {"host": "registry.example.com"})
    assert data(after, "ca") == data(first, "ca")
    assert data(after, "tls") != data(first, "tls")
    assert data(after, "tls")["ca.crt"] == data(first, "tls")["ca.crt"]
    served(after).verify_directly_issued_by(ca(first))
    names = served(after).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "registry.example.com" in names.get_values_for_type(x509.DNSName)


@pytest.mark.parametrize(("days", "is_renewed"), [(299, False), (301, True)])
def test_a_certificate_of_300_days_is_renewed(first: Objects, days: int, *, is_renewed: bool) -> None:
    issued = str(int(time.time()) - days * DAY_S)
    first["Secret", "authproxy-tls"]["metadata"]["annotations"]["authproxy/issued"] = issued
    after = upgraded(first)
    assert (data(after, "tls") != data(first, "tls")) is is_renewed
    served(after).verify_directly_issued_by(ca(first))


def test_a_ca_that_was_removed_is_made_again_with_its_certificate(first: Objects) -> None:
    after = upgraded({key: each for key, each in first.items() if key != ("Secret", "authproxy-ca")})
    assert ca(after) != ca(first)
    served(after).verify_directly_issued_by(ca(after))
    assert data(after, "admin") == data(first, "admin")


def test_a_cluster_without_them_gets_new_ones(first: Objects) -> None:
    after = upgraded({})
    assert data(after, "admin") != data(first, "admin")
    assert data(after, "ca") != data(first, "ca")


@pytest.mark.parametrize("version", ["v1", "v1alpha3", "v1alpha2"])
def test_a_tls_route_has_the_version_that_the_cluster_knows(first: Objects, version: str) -> None:
    values = {"host": "registry.example.com", "gateway": {"enabled": True, "parentRefs": [{"name": "public"}]}}
    more = {f"gateway.networking.k8s.io/{version}": {"TLSRoute": "tlsroutes"}}
    route = upgraded(first, values, more)["TLSRoute", "authproxy"]
    assert route["apiVersion"] == f"gateway.networking.k8s.io/{version}"
