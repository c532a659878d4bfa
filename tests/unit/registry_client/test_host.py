import pytest

from authproxy.registry_client.host import authority_of, parse_host, parse_named_host


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("registry.example.org", "registry.example.org"),
        ("localhost:5000", "localhost:5000"),
        ("registry", "registry"),
        ("[::1]:5000", "[::1]:5000"),
        ("https://ghcr.io/", "ghcr.io"),
        ("http://10.0.0.1:5000/v2/", "10.0.0.1:5000"),
        ("docker.io", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("https://registry-1.docker.io", "docker.io"),
    ],
)
def test_a_registry_is_its_host(text: str, host: str) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize("text", ["", "a/b", "https://", "ftp://a", "a b", "a:port", "-a", "a.b:70000", "a?b"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a registry; write its host"):
        parse_host(text)


@pytest.mark.parametrize("text", ["localhost", "localhost:5000", "registry.example.org", "registry:5000", "[::1]:5000"])
def test_names_of_images_begin_with_it(text: str) -> None:
    assert parse_named_host(text) == text


@pytest.mark.parametrize("text", ["registry", "https://registry/", ""])
def test_names_of_images_begin_with_no_other(text: str) -> None:
    with pytest.raises(ValueError, match="is not a registry"):
        parse_named_host(text)


def test_docker_hub_answers_elsewhere() -> None:
    assert authority_of("docker.io") == "registry-1.docker.io"
    assert authority_of("ghcr.io") == "ghcr.io"
